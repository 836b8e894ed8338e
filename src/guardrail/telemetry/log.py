"""Log: events as lines of the standard library's loggers, few enough to be read, with fields for machines.

Law: refusals are sampled, one line a second for each rule, and the next one says how many were left out (`suppressed`). No
line holds a key unless that was asked for. Nothing is printed where nobody has set up logging.

    logger              level                          writes
    ──────────────────  ─────────────────────────────  ───────────────────────────────────────────────
    guardrail.refusals  INFO                           refusals, also those of rules that only watch
    guardrail.breakers  INFO; WARNING: one opens       every move of a breaker
    guardrail.rules     INFO                           other rules are in force
    guardrail.rules     ERROR; WARNING: unreadable     new rules cannot be used
    guardrail.keys      WARNING                        a rule has as many keys as it may keep

What happens to a store is written by the store, to `guardrail.store`. In the span of a trace every record has its `trace_id`
and `span_id` in hex. Every record has `guardrail_event`, and by that, each with `guardrail_` before it:

    call_refused     outcome (refuse | shadow_refuse), resource, rule, kind, reason (one word), retry_after (seconds, or
                     None), suppressed
    breaker_moved    rule, breaker (a hash for its key), from_state, to_state, reason (a sentence), suppressed
    rules_reloaded   source (None: code), revision, previous
    rules_rejected   source, problems (how many)
    keys_overflowed  rule, max_keys
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from guardrail.telemetry.entry import INFO, entry_of
from guardrail.telemetry.events import BreakerMoved, CallRefused
from guardrail.telemetry.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.telemetry.entry import Entry
    from guardrail.telemetry.events import Event


class EventLog:
    """Write events to the loggers `guardrail.*`. Safe from any thread, and across a fork.

    A listener: a refusal that was not asked about before is sampled all the same.

    Args:
        show_keys: Name breakers with their keys; default: with hashes of them, the same for all time in all processes.
        now: Seconds on a clock that does not step back.
    """

    def __init__(self, *, show_keys: bool = False, now: Callable[[], float] = time.monotonic) -> None:
        from logging import NullHandler, getLogger  # `import guardrail` does without

        self._show_keys = show_keys
        self._loggers = {topic: getLogger(f"guardrail.{topic}") for topic in ("refusals", "breakers", "rules", "keys")}
        self._refusals = self._loggers["refusals"]
        self._lines = Sampler(every_s=1.0, burst=1, now=now)
        self._moves = Sampler(every_s=0.1, burst=100, now=now)  # a rule may have thousands of breakers
        house = getLogger("guardrail")
        if not house.handlers:  # else Python prints warnings where nobody has set up logging
            house.addHandler(NullHandler())

    def wants(self, rule: str) -> bool:
        """Tell whether a refusal by this rule would be written now; who hears yes tells the event.

        *rule* is the one that the event will name: each has lines of its own. Cheap, and never raises. While the logger is on, every no is counted, and told with the next yes.
        """
        try:
            return self._refusals.isEnabledFor(INFO) and self._lines.wants(rule)
        except Exception:  # noqa: BLE001  whatever a logger of the service does, the call goes on
            return False

    def __call__(self, event: Event) -> None:
        """Write an event, if it is its turn."""
        suppressed = self._suppressed(event)
        if suppressed is not None:
            entry = entry_of(event, suppressed, show_keys=self._show_keys)
            if entry is not None:
                self._write(entry)

    def after_fork(self) -> None:
        """Sample afresh in a forked child."""
        self._lines.after_fork()
        self._moves.after_fork()

    def _suppressed(self, event: Event) -> int | None:
        """Return how many lines were left out before the one of this event; None: this is left out too."""
        match event:
            case CallRefused(rule=rule):
                granted = self._lines.left_out(rule)
                return self._lines.left_out(rule) if granted is None and self.wants(rule) else granted
            case BreakerMoved(rule=rule):
                return self._moves.left_out(rule) if self._moves.wants(rule) else None
            case _:
                return 0

    def _write(self, entry: Entry) -> None:
        logger = self._loggers[entry.topic]
        if logger.isEnabledFor(entry.level):
            fields = {f"guardrail_{name}": value for name, value in entry.fields.items()}
            record = logger.makeRecord(
                logger.name, entry.level, __file__, 0, entry.text, entry.said, None, extra=fields
            )
            for name, value in trace_ids().items():
                if not hasattr(record, name):  # a service whose records have them by themselves keeps its own
                    setattr(record, name, value)
            logger.handle(record)


def trace_ids() -> dict[str, str]:
    """Return the ids of the current OpenTelemetry span. Imports nothing: who has a span has imported it."""
    trace = sys.modules.get("opentelemetry.trace")
    try:
        context = None if trace is None else trace.get_current_span().get_span_context()
        if trace is None or context is None or not context.is_valid:
            return {}
        return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}
    except Exception:  # noqa: BLE001  half imported, or a span of somebody else's making: the line is written without
        return {}
