"""Entry: an event as a line of a log, in words for people and in fields for machines.

Law: what an entry says is one line, and holds no key unless that was asked for: of a key there is its hash.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.core.verdict import Decision
from guardrail.errors import RuleError
from guardrail.telemetry.events import BreakerMoved, CallRefused, KeysOverflowed, RulesRejected, RulesReloaded

if TYPE_CHECKING:
    from guardrail.telemetry.events import Event

INFO, WARNING, ERROR = 20, 30, 40  # as in `logging`
MOST_PROBLEMS = 10  # of rejected rules that are listed
OPEN = frozenset({"open", "forced_open"})


class Entry(NamedTuple):
    """Hold one line.

    Attributes:
        topic: The last part of the logger's name.
        text: With a `%s` for each of *said*, so that lines of a kind can be told by it.
        fields: By their names without `guardrail_`.
    """

    topic: str
    level: int
    text: str
    said: tuple[object, ...]
    fields: dict[str, Any]


def entry_of(event: Event, suppressed: int, *, show_keys: bool) -> Entry | None:
    """Return the entry of an event; None: it is written elsewhere.

    Args:
        suppressed: How many entries like it were left out before it.
    """
    match event:
        case CallRefused():
            return _refused(event, suppressed)
        case BreakerMoved():
            return _moved(event, suppressed, show_keys=show_keys)
        case RulesReloaded(source, revision, previous):
            said = source or "code", revision, previous
            return Entry(
                "rules",
                INFO,
                "rules from %s in force: revision %s, before %s",
                said,
                {"event": "rules_reloaded", "source": source, "revision": revision, "previous": previous},
            )
        case RulesRejected():
            return _rejected(event)
        case KeysOverflowed(rule, most):
            return Entry(
                "keys",
                WARNING,
                "rule '%s' keeps %s keys, as many as it may: further ones share one state",
                (_one_line(rule), f"{most:,}"),
                {"event": "keys_overflowed", "rule": rule, "max_keys": most},
            )
        case _:  # a store writes its own
            return None


def hidden(key: str) -> str:
    """Return the hash that stands for a key: the same for all time in all processes."""
    from hashlib import blake2b  # loads OpenSSL; few lines need it

    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def outline_of(error: Exception) -> list[str]:
    """Return what is wrong with rules, for logs and snapshots: places and sentences, nothing of what stands there."""
    match error:
        case RuleError(problems=problems):
            listed = [one.outline() for one in problems[:MOST_PROBLEMS]]
            more = len(problems) - MOST_PROBLEMS
            return [*listed, f"and {more} more"] if more > 0 else listed
        case OSError():
            return [str(error)]
        case _:  # nobody knows what its text holds
            return [type(error).__name__]


def own_decision(event: CallRefused) -> Decision:
    """Return what the rule itself decided: of a shadow refusal, the decision of the call says nothing about it."""
    mine = (replace(one, shadow=False) for one in event.decision.verdicts if one.rule == event.rule and not one.allowed)
    verdict = next(mine, None)
    return event.decision if verdict is None else Decision.of((verdict,))


def _refused(event: CallRefused, suppressed: int) -> Entry:
    alone = own_decision(event)
    fields = {
        "event": "call_refused",
        "outcome": "shadow_refuse" if event.shadow else "refuse",
        "resource": event.resource,
        "rule": event.rule,
        "kind": event.kind,
        "reason": event.reason,
        "retry_after": alone.retry_after,
        "suppressed": suppressed,
    }
    text = "would have refused %s: %s%s" if event.shadow else "refused %s: %s%s"
    said = _one_line(event.resource), _one_line(alone.sentence()), _also(suppressed)
    return Entry("refusals", INFO, text, said, fields)


def _moved(event: BreakerMoved, suppressed: int, *, show_keys: bool) -> Entry:
    name = event.breaker if show_keys else _label(event)
    fields = {
        "event": "breaker_moved",
        "rule": event.rule,
        "breaker": name,
        "from_state": event.from_state,
        "to_state": event.to_state,
        "reason": event.reason,
        "suppressed": suppressed,
    }
    said = _one_line(name), event.from_state, event.to_state, event.reason, _also(suppressed)
    level = WARNING if event.to_state in OPEN else INFO
    return Entry("breakers", level, "breaker '%s' went from %s to %s: %s%s", said, fields)


def _rejected(event: RulesRejected) -> Entry:
    problems = event.error.problems if isinstance(event.error, RuleError) else ()
    fields = {"event": "rules_rejected", "source": event.source, "problems": max(1, len(problems))}
    level = ERROR if problems else WARNING  # what cannot be read may be on its way
    said = _one_line("; ".join(outline_of(event.error)))
    return Entry("rules", level, "rules rejected, the last good ones stay: %s", (said,), fields)


def _label(event: BreakerMoved) -> str:
    """Return the name of a breaker without its key."""
    if event.breaker == event.rule or event.resource is not None:
        return event.breaker
    return f"{event.rule}/{hidden(event.breaker.removeprefix(f'{event.rule}/'))}"


def _also(suppressed: int) -> str:
    return f"; suppressed={suppressed}" if suppressed else ""


def _one_line(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]
