"""What the numbers of a replay do not show.

Law: whatever makes them other than what a live service would have seen is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guardrail.adapters.http.resources import DEFAULT_EXEMPT, UNMATCHED
from guardrail.cli.replay.order import HOLD_US, MOST_HELD
from guardrail.cli.replay.routes import EXEMPT
from guardrail.cli.words import lasting, number
from guardrail.rules.spelling import any_of

if TYPE_CHECKING:
    from guardrail.cli.replay.result import Replayed
    from guardrail.rules.model import Rule

_MOST_NAMES = 10


def notes(done: Replayed) -> Iterator[str]:
    """Say what the numbers do not show."""
    yield from _about_lines(done)
    yield from _about_times(done)
    yield from _left_out(done)
    yield from _about_rules(done)


def _about_lines(done: Replayed) -> Iterator[str]:
    reading = done.reading
    if reading.unread:
        yield f"{number(reading.unread, 'line')} could not be read and counted for nothing, such as:"
        yield from (f"  line {one.number:,}: {one.why}: {one.text}" for one in reading.shown)
    if reading.refused_then:
        yield f"{number(reading.refused_then, 'call')} got 429 or 503 then, for reasons that are not in the log."


def _about_times(done: Replayed) -> Iterator[str]:
    order = done.order
    if order.early:
        most = lasting(order.furthest_us)
        lines = "line was" if order.early == 1 else "lines were"
        yield f"{order.early:,} {lines} earlier than one before, by {most} at most; calls are taken in the order of their times."
    if order.late:
        calls = "call was" if order.late == 1 else "calls were"
        yield (
            f"{order.late:,} {calls} more than {lasting(HOLD_US)} or {MOST_HELD:,} lines late, "
            "and taken as of the time that was reached by then."
        )
    if done.reading.coarse and not order.spread:
        yield (
            "The log tells whole seconds: the calls of one second come in all at once, in the order of their lines, and "
            "find a small burst used up sooner than they did. --spread lays them out evenly over their second."
        )


def _about_rules(done: Replayed) -> Iterator[str]:
    if unmatched := done.new.unasked[UNMATCHED]:
        yield f"No rule is about {number(unmatched, 'call')}: {'it was' if unmatched == 1 else 'they were'} let in."
    if exempt := done.new.unasked[EXEMPT]:
        paths = any_of(text for text in DEFAULT_EXEMPT if text.startswith("/"))
        was = "was" if exempt == 1 else "were"
        yield f"{number(exempt, 'call')} to {paths} {was} let in, as adapters do unless told otherwise."
    for tally in done.new.tallies.values():
        if tally.asked and (names := done.untold(tally.rule)):
            missing = _missing(tally.rule, names)
            yield f"The log says nothing of {any_of(names)}, at which rule '{tally.rule.name}' looks: {missing}."
    if done.unmet:
        names = [f"'{rule.name}'" for rule in done.unmet]
        more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
        yield f"No call was about {number(len(names), 'rule')}: {', '.join(names[:_MOST_NAMES])}{more}."


def _left_out(done: Replayed) -> Iterator[str]:
    untimed, rules = done.reading.untimed, [tally.rule for tally in done.new.tallies.values()]
    lost = []
    if any(rule.kind == "bulkhead" for rule in rules):
        lost.append("bulkheads leave them out")
    if any(rule.kind == "breaker" and rule.slow_call_us is not None for rule in rules):
        lost.append("to breakers they are not slow")
    if untimed and lost:
        who = "The log does not" if untimed == done.reading.calls else f"Of {number(untimed, 'call')} the log does not"
        yield f"{who} say how long calls took: {', and '.join(lost)}."


def _missing(rule: Rule, names: list[str]) -> str:
    if any(name in part for part in rule.key for name in names):
        return "all calls without it share one state"
    if any(name in rule.when for name in names):
        return "it is taken as missing"
    return "each call costs its own cost"
