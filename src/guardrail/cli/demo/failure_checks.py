"""What the demo claims of breakers and bulkheads, held against what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.cli.demo.checks import Check
from guardrail.cli.demo.hearing import Move
from guardrail.cli.demo.traffic import Answer, quantiles


def opened(failing_since: float, moves: Sequence[Move]) -> Check:
    """Check that the breaker opened after its dependency began to fail."""
    claim = "the supplier fails: its breaker opens"
    first = next((one for one in moves if one.at >= failing_since and one.to_state == "open"), None)
    if first is None:
        return Check(claim, "it never opened", holds=False)
    return Check(claim, f"after {first.at - failing_since:.2f} s: {first.reason}", first.from_state == "closed")


def left_alone(between: tuple[Move, Move] | None, prices: Sequence[Answer], failing: Sequence[Answer]) -> Check:
    """Check that while the breaker was open nobody called the dependency, and every caller got the fallback.

    Args:
        between: An opening of the breaker and the move after it; None: nobody got the fallback while it was open.
        prices: Answers of the page that needs the dependency.
        failing: Those from before the opening, for their latency.
    """
    claim = "while it is open callers get the last known price, and the supplier is left alone"
    if between is None:
        return Check(claim, "nobody got it", holds=False)
    opening, trying = between
    calls, stood_in = trying.supplier_calls - opening.supplier_calls, trying.stood_in - opening.stood_in
    answers = [one for one in prices if one.sent >= opening.at and one.received <= trying.at and one.status != 429]
    others = [one for one in answers if "last known" not in one.page]
    slow, fast = (quantiles([one.received - one.sent for one in some if one.allowed]) for some in (failing, answers))
    pace = f"; {fast[0]:.0f} ms instead of {slow[0]:.0f}" if slow and fast else ""
    measured = f"{stood_in} callers got it, the supplier was called {calls} times{pace}"
    if others:
        measured = f"{len(others)} callers got something else: {others[0].status} {others[0].page}"
    return Check(claim, measured, calls == 0 and stood_in > 0 and not others)


def closed(well_since: float, moves: Sequence[Move], answer: Answer | None) -> Check:
    """Check that the breaker closed by way of a trial, and that the dependency answers again."""
    claim = "the supplier is well again: the breaker tries it out and closes"
    steps = [one.to_state for one in moves]
    if answer is None or steps[-2:] != ["half_open", "closed"]:
        return Check(claim, "it did not close", holds=False)
    measured = f"after {moves[-1].at - well_since:.2f} s; the price is {answer.page or answer.body}"
    return Check(claim, measured, answer.allowed and "last known" not in answer.page)


def kept_apart(places: int, most_inside: int, early: Sequence[Answer], late: Sequence[Answer], after: Answer) -> Check:
    """Check that a bulkhead let in as many as it has places, and refused the others while those were inside.

    Args:
        early: What was answered while the places were taken.
        late: What was answered when they were left.
        after: What a call afterwards was answered.
    """
    claim = f"a bulkhead of {places}: never more inside, the others are refused meanwhile, places come back"
    full, inside = sum(one.status == 503 for one in early), sum(one.allowed for one in late)
    again = "let in" if after.allowed else "refused"
    measured = f"{inside} inside, {full} refused meanwhile, at most {most_inside} at once; the next one {again}"
    holds = most_inside == places == inside and full == len(early) and bool(early) and after.allowed
    return Check(claim, measured, holds and len(late) == places)
