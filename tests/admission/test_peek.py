"""Peek gives the decision that such a call would get, and leaves no trace."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.telemetry.events import CallRefused
from guardrail.testing import FakeClock
from tests.admission.scene import START_US, S, breaker, bulkhead, decided, everybody_leaves, guard_of, held, limit

RULES = [
    limit("3/s", burst=4, name="bucket"),
    limit("4/2s", algorithm="sliding_window", name="window"),
    limit("5/s", algorithm="fixed_window", key="user", name="keyed"),
    limit("6/s", algorithm="sliding_log", cost="tokens", name="log"),
    limit("2/s", max_wait="400ms", name="queue"),
    limit("2/s", mode="shadow", name="watched"),
    bulkhead(2, name="places"),
    bulkhead(1, key="user", name="own place"),
    bulkhead(1, mode="shadow", name="watched places"),
    breaker(consecutive_failures=2, open_for="1s", half_open_calls=2, name="health"),
    breaker(consecutive_failures=1, open_for="1s", mode="shadow", name="watched health"),
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["call", "call", "call", "enter", "fail", "leave"]),
        st.integers(0, 3),
        st.sampled_from(["u1", "u2"]),
        st.sampled_from([0, 1, 50_000, 400_000, S, -300_000]),
    ),
    max_size=30,
)


def without_shadows(decision):
    return replace(decision, verdicts=tuple(one for one in decision.verdicts if not one.shadow))


@settings(max_examples=150)
@given(st.sets(st.sampled_from(range(len(RULES))), min_size=1, max_size=5), STEPS, st.sampled_from([None, 0, "100ms"]))
def test_a_call_gets_what_peek_said(chosen, steps, max_wait):
    clock = FakeClock(START_US)
    guard = guard_of(clock, *(RULES[place] for place in sorted(chosen)))
    everybody_leaves()
    for what, cost, user, step_us in steps:
        clock.set_us(clock.now_us() + step_us)
        attributes = {"user": user, "tokens": cost}
        if what == "leave":
            everybody_leaves()
            continue
        foreseen = [guard.peek("r", attributes, cost=cost, max_wait=max_wait) for _ in range(2)]
        permit = held(guard, attributes=attributes, cost=cost, max_wait=max_wait)
        decision = permit.decision
        if decision.wait:  # rules that only watch look at it after its sleep, which peek does not wait for
            decision, *foreseen = (without_shadows(one) for one in (decision, *foreseen))
        assert [decision] * 2 == foreseen
        if what != "enter":
            permit.exit(OSError() if what == "fail" else None)


@settings(max_examples=100)
@given(st.sets(st.sampled_from(range(len(RULES))), min_size=1, max_size=5), STEPS)
def test_peek_leaves_no_trace(chosen, steps):
    """Of two guards with the same history, one is looked at all the time: what they decide stays the same."""
    clocks = FakeClock(START_US), FakeClock(START_US)
    plain, seen = (guard_of(clock, *(RULES[place] for place in sorted(chosen))) for clock in clocks)
    everybody_leaves()
    for what, cost, user, step_us in steps:
        for clock in clocks:
            clock.set_us(clock.now_us() + step_us)
        attributes = {"user": user, "tokens": cost}
        for looked_at in ("u1", "u2", "u3"):
            seen.peek("r", {"user": looked_at, "tokens": 1}, cost=cost)
        if what == "leave":
            everybody_leaves()
            continue
        one, other = (held(guard, attributes=attributes, cost=cost) for guard in (plain, seen))
        assert one.decision == other.decision
        if what != "enter":
            one.exit(OSError() if what == "fail" else None)
            other.exit(OSError() if what == "fail" else None)


def test_peek_tells_no_listener(clock, news):
    guard = guard_of(clock, limit(), limit(mode="shadow", name="watched"), breaker(open_for="1s"), listeners=[news])
    decided(guard)
    guard.breakers["r/breaker"].force_open()
    told = len(news.events)
    guard.peek("r")
    guard.breakers["r/breaker"].reset()
    guard.peek("r")
    assert ([], told + 1) == (news.of(CallRefused), len(news.events))


def test_peek_does_not_open_the_door_of_a_breaker(clock):
    guard = guard_of(clock, breaker(consecutive_failures=1, open_for="1s"))
    held(guard).exit(OSError())
    clock.advance(1)
    assert guard.peek("r").allowed
    assert ("open", 0) == (guard.breakers["r/breaker"].state, guard.breakers["r/breaker"].snapshot().probes_out)


def test_peek_never_waits_for_a_place(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    held(guard)
    assert ("bulkhead_full", 0.0) == (guard.peek("r").reason, guard.peek("r").wait)


def test_peek_stops_where_a_call_would_stop(clock):
    guard = guard_of(clock, bulkhead(name="first"), bulkhead(name="second"), limit("1/h"))
    held(guard)
    assert ["first"] == [one.rule for one in guard.peek("r").verdicts]
    assert guard.peek("r") == decided(guard)


def test_peek_shows_the_wait_of_a_limit(clock):
    guard = guard_of(clock, limit("1/s", max_wait="10s"))
    decided(guard, cost=1)
    assert (True, 1.0) == (guard.peek("r").allowed, guard.peek("r").wait)


def test_the_twin_for_tasks_says_the_same(clock):
    guard = guard_of(clock, limit("3/min"))
    decided(guard)
    assert guard.peek("r", cost=2) == asyncio.run(guard.apeek("r", cost=2))
    asyncio.run(guard.areset("r/limit"))
    assert 3 == guard.peek("r", cost=0).remaining


@pytest.mark.parametrize("cost", [0, 1, 3])
def test_a_peek_at_an_admission_shows_what_will_remain(clock, cost):
    guard = guard_of(clock, limit("3/min"))
    assert 3 - cost == guard.peek("r", cost=cost).remaining
