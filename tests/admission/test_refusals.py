"""What the store has refused is remembered, so that an abuser costs it nothing, and no longer than it is true."""

import asyncio
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from guardrail.admission import refusals
from guardrail.admission.refusals import Refusals
from guardrail.core.token_bucket import TokenBucket
from guardrail.stores.protocol import Check, Unavailable
from guardrail.testing import FakeClock
from tests.admission.scene import START_US, S, bulkhead, decided, guard_of, held, limit
from tests.admission.shared_scene import alone_or_not, asks, both, every_algorithm, spent
from tests.core.limit_run import Run, every_limit

# -- what is answered from memory --------------------------------------------------------------------------------------


@both
@alone_or_not
@every_algorithm
def test_a_storm_of_refused_calls_asks_once(clock, store, shared, decided, others, algorithm):
    rule = limit("10/min", key="user", algorithm=algorithm)
    guard, local = shared(rule, *others), guard_of(clock, rule, *others)
    user = {"user": "u1"}
    for one in (guard, local):
        decided(one, attributes=user, cost=10)
    for _ in range(20):
        assert decided(local, attributes=user) == decided(guard, attributes=user)
        clock.advance(0.05)
    assert 2 == len(store.asked)


@both
@alone_or_not
@every_algorithm
def test_it_ends_exactly_at_retry_after(clock, store, shared, decided, others, algorithm):
    guard = spent(shared(limit("10/min", algorithm=algorithm), *others))
    before = len(store.asked)
    end_us = clock.now_us() + round(decided(guard).retry_after * S)
    clock.set_us(end_us - 1)
    assert (0.000001, before) == (decided(guard).retry_after, len(store.asked))
    clock.set_us(end_us)
    assert (True, before + 1) == (decided(guard).allowed, len(store.asked))


@alone_or_not
def test_a_costlier_call_is_answered_from_it_with_its_own_time(clock, store, shared, others):
    guard = spent(shared(limit("60/min"), *others), cost=60)
    assert [5.0, 0] == [decided(guard, cost=5).retry_after, asks(store, lambda: decided(guard, cost=5))]
    clock.advance(0.5)
    assert [4.5, "cost_too_large"] == [decided(guard, cost=5).retry_after, decided(guard, cost=61).reason]
    assert 2 == len(store.asked)


@alone_or_not
def test_a_cheaper_call_asks(store, shared, others):
    guard = shared(limit("60/min"), *others)
    decided(guard, cost=55)
    assert [False, True] == [decided(guard, cost=cost).allowed for cost in (7, 4)]
    assert [False, 0] == [decided(guard, cost=7).allowed, asks(store, lambda: decided(guard, cost=7))]


@alone_or_not
def test_what_a_cheaper_call_takes_is_not_forgotten(clock, shared, others):
    """The refusal was remembered with 5 left; by now it is 1."""
    guard, local = shared(limit("60/min"), *others), guard_of(clock, limit("60/min"), *others)
    for cost in (55, 7, 4, 7):
        said = [decided(one, cost=cost) for one in (guard, local)]
        assert said[0] == said[1]


@alone_or_not
def test_a_call_of_no_cost_asks_and_goes_through(shared, others):
    guard = spent(shared(limit("10/min"), *others))
    assert decided(guard, cost=0).allowed


@alone_or_not
def test_a_log_answers_only_calls_of_the_same_cost(store, shared, others):
    """The store tells only what a call of this one cost needs to know."""
    guard = spent(shared(limit("10/min", algorithm="sliding_log"), *others))
    assert [1, 0] == [asks(store, lambda: decided(guard, cost=2)) for _ in range(2)]


def test_a_call_that_waits_longer_asks(clock, store, shared):
    guard = shared(limit("1/s", burst=1, max_wait="5s"))
    decided(guard)
    assert [0.9, 0.9] == [decided(guard, max_wait="100ms").retry_after for _ in range(2)]
    assert (2, 0.95) == (len(store.asked), decided(guard, max_wait="50ms").retry_after)
    assert (1.0, 3) == (decided(guard, max_wait="1s").wait, len(store.asked))


@alone_or_not
def test_other_keys_and_other_rates_ask(store, shared, others):
    rates = {"u1": "10/min"}
    guard = shared(limit("10/min", key="user", overrides={"u3": "20/min"}), *others)
    spent(guard, attributes={"user": "u1"})
    assert [1, 1] == [asks(store, partial(decided, guard, attributes={"user": user})) for user in ("u2", "u3")]
    looked_up = shared(limit("10/min", name="n", key="user"), *others, overrides={"n": rates.get})
    spent(looked_up, attributes={"user": "u1"})
    rates["u1"] = "20/min"
    looked_up._stock._lookups["n"]._known.clear()  # a minute later
    assert decided(looked_up, attributes={"user": "u1"}).allowed


def test_one_remembered_refusal_is_enough(store, shared):
    guard = shared(limit("10/min", name="a"), limit("99/min", name="b"))
    decided(guard, cost=10)
    assert [1, 0] == [asks(store, lambda: decided(guard)) for _ in range(2)]
    assert ("a", "rate") == (decided(guard).rule, decided(guard).reason)


def test_places_and_tokens_of_this_process_come_back_from_a_remembered_refusal(shared):
    guard = spent(shared(limit("10/min"), bulkhead(1), limit("99/min", name="here", scope="local")))
    assert [89, 89] == [next(one.remaining for one in decided(guard).verdicts if one.rule == "here") for _ in range(2)]


@both
def test_peek_is_answered_from_it_too(store, shared, decided):
    guard = spent(shared(limit("10/min")))
    assert 0 == asks(store, lambda: (guard.peek("r"), asyncio.run(guard.apeek("r"))))
    assert decided(guard) == guard.peek("r")


def test_what_peek_has_seen_of_a_clock_that_stepped_back_is_not_remembered(clock, store, shared):
    """It saw the state moved to the earlier time; nobody has moved it."""
    guard = shared(limit("10/min"))
    decided(guard, cost=10)
    clock.advance(-1)
    guard.peek("r")
    clock.advance(1)
    assert (6.0, 3) == (decided(guard).retry_after, len(store.asked))


def test_rules_that_only_watch_remember_nothing(store, shared):
    guard = shared(limit("10/min", mode="shadow"))
    decided(guard, cost=10)
    assert [1, 1] == [asks(store, lambda: decided(guard)) for _ in range(2)]


@alone_or_not
def test_it_keeps_nobody_out_of_a_guard_that_only_watches(shared, others):
    guard = spent(shared(limit("10/min"), *others))
    guard.mode = "shadow"
    assert held(guard)
    guard.mode = "enforce"
    assert not held(guard)


def test_it_answers_while_the_store_is_away(store, shared):
    guard = spent(shared(limit("10/min", on_store_error="allow")))
    store.outage = Unavailable(S)
    assert ("rate", 0) == (decided(guard).reason, asks(store, lambda: decided(guard)))


# -- how many ----------------------------------------------------------------------------------------------------------

BUCKET = TokenBucket(1, S, 1)
FULL = (1_000_000, START_US)


def noted(memory, place, sent_us=START_US, cost=1):
    memory.note(Check(place, BUCKET, cost), FULL, START_US, S, sent_us, memory.mark(place))


def recalled(memory, place, cost=1):
    return memory.recall(place, BUCKET, cost, 0, START_US) is not None


def test_the_oldest_go_where_there_are_too_many(monkeypatch):
    assert 10_000 == refusals.MOST_REFUSALS
    monkeypatch.setattr(refusals, "MOST_REFUSALS", 3)
    memory = Refusals(FakeClock(START_US))
    for place in ["a", "b", "c", "a", "d"]:
        noted(memory, place)
    assert [False, True, True, True] == [recalled(memory, place) for place in "abcd"]


def test_with_a_clock_of_its_own_the_store_is_judged_by_the_machines_steady_clock():
    memory = Refusals(None)
    now_us = memory.now_us()
    noted(memory, "a", sent_us=now_us)
    assert memory.recall("a", BUCKET, 1, 0, memory.now_us()) is not None
    assert memory.recall("a", BUCKET, 1, 0, now_us + S) is None


@given(every_limit, st.integers(0, 10), st.integers(1, 10), st.integers(0, 12), st.integers(0, 150))
def test_whatever_is_answered_from_it_the_store_would_have_said(limit, taken, cost, more, later_us):
    run = Run(limit, 7)
    if taken:
        run.call(min(taken, limit.capacity))
    ruling = run.look(cost, max_wait_us=0)
    if ruling.allowed:
        return
    memory = Refusals(FakeClock(7))
    check = Check("p", limit, cost)
    memory.note(check, limit.at(run.state, 7), 7, ruling.retry_after_us, 7, memory.mark("p"))
    found = memory.recall("p", limit, cost + more, 0, 7 + later_us)
    if found is not None:
        state, now_us = found.at(7 + later_us)
        run.go(now_us)
        assert run.look(cost + more, max_wait_us=0) == limit.ask(state, now_us, cost + more, 0)
        assert not run.look(cost + more, max_wait_us=0).allowed
