"""The calm lane that callers may inline decides and counts as the breaker itself does."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from guardrail.core.breaker import Breaker
from guardrail.core.breaker_state import BreakerState, Ticket, Transition
from guardrail.core.verdict import Outcome

SHAPES = st.sampled_from(
    [
        {"failure_rate": Fraction(1, 2), "min_calls": 3, "window_us": 50},
        {"slow_call_us": 3, "slow_rate": Fraction(1, 2), "min_calls": 3, "window_us": 95},
        {"failure_rate": Fraction(1, 3), "consecutive_failures": 2, "min_calls": 4, "window_us": 50},
    ]
)
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(["success", "success", "success", "failure", "ignored"])
Step = tuple[int, bool, Outcome]  # time that passes, enter (or end), how it ended

STEPS = st.lists(st.tuples(st.sampled_from([0, 0, 1, 1, 2, 5, 12, 40, -3]), st.booleans(), OUTCOMES), max_size=40)


def is_calm(state: BreakerState, now_us: int) -> bool:
    return state.seen_us <= now_us < state.calm_until_us


def admit(breaker: Breaker, state: BreakerState, now_us: int) -> Ticket | None:
    breaker.settle(state, now_us)
    return breaker.admit(state, now_us)[0] if breaker.ask(state, now_us).allowed else None


def admit_inline(breaker: Breaker, state: BreakerState, now_us: int) -> Ticket | None:
    if is_calm(state, now_us):
        event("admitted inline")
        state.seen_us = now_us
        return Ticket(state.generation, now_us)
    return admit(breaker, state, now_us)


def record_inline(
    breaker: Breaker, state: BreakerState, ticket: Ticket, outcome: Outcome, now_us: int
) -> Transition | None:
    fast = breaker.slow_call_us is None or now_us - ticket.started_us <= breaker.slow_call_us
    if is_calm(state, now_us) and outcome == "success" and fast and ticket.generation == state.generation:
        event("recorded inline")
        state.seen_us = now_us
        state.row = 0
        state.total_successes += 1
        window = state.window
        window.calls += 1
        return breaker.judge(state) if window.failures or window.slow else None
    return breaker.record(state, ticket, outcome, now_us)


@settings(deadline=None, max_examples=150)
@given(shape=SHAPES, steps=STEPS)
def test_the_calm_lane_and_the_breaker_stay_equal(shape: dict[str, Any], steps: list[Step]) -> None:
    breaker = Breaker(open_for_us=5, half_open_calls=2, probe_timeout_us=4, **shape)
    plain, inline = breaker.fresh(1000), breaker.fresh(1000)
    now_us = 1000
    under_way: list[Ticket] = []
    for delta_us, enters, outcome in steps:
        now_us += delta_us
        if enters or not under_way:
            ticket = admit(breaker, plain, now_us)
            assert ticket == admit_inline(breaker, inline, now_us)
            under_way += [ticket] if ticket else []
        else:
            ticket = under_way.pop(0)
            transition = breaker.record(plain, ticket, outcome, now_us)
            assert transition == record_inline(breaker, inline, ticket, outcome, now_us)
        assert plain == inline


def test_the_calm_lane_is_closed_whenever_something_could_happen() -> None:
    breaker = Breaker(failure_rate=Fraction(1, 2), window_us=100, min_calls=1)
    state = breaker.fresh(0)
    assert is_calm(state, 9)
    assert not is_calm(state, 10)  # the bucket ends
    breaker.settle(state, 10)
    assert is_calm(state, 19)
    breaker.force_closed(state, 11)
    assert not is_calm(state, 11)
    breaker.reset(state, 12)
    assert is_calm(state, 12)
    breaker.settle(state, 11)
    assert not is_calm(state, 11)  # the clocks differ from here on
    breaker.reset(state, 13)
    assert not is_calm(state, 13)


def test_a_window_of_calls_is_calm_for_as_long_as_it_is_closed() -> None:
    breaker = Breaker(failure_rate=Fraction(1, 2), window_calls=10)
    state = breaker.fresh(0)
    assert is_calm(state, 10**15)
    breaker.settle(state, 10**15)
    assert is_calm(state, 10**15)
