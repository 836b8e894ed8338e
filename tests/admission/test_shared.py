"""Limits that several processes share: one question to the store for each decision, and all or nothing."""

import asyncio

import pytest

from guardrail import RateLimited
from guardrail.telemetry.events import CallRefused, StoreBack
from tests.admission.fake_store import FakeStore
from tests.admission.scene import (
    START_US,
    aheld,
    breaker,
    bulkhead,
    guard_of,
    held,
    inside,
    left,
    limit,
    shown,
)
from tests.admission.shared_scene import HERE, alone_or_not, both, digest, keys

# -- one question, all or nothing --------------------------------------------------------------------------------------


@both
@alone_or_not
def test_two_guards_over_one_store_share_a_limit(clock, store, decided, others):
    first, second = (guard_of(clock, limit("2/min"), *others, store=store) for _ in range(2))
    assert [1, 0] == [decided(guard).remaining for guard in (first, second)]
    assert ["rate", "rate"] == [decided(guard).reason for guard in (first, second)]


@both
@alone_or_not
def test_a_decision_is_one_question(store, shared, decided, others):
    guard = shared(limit("5/min"), *others)
    assert [4, 3, 2] == [decided(guard).remaining for _ in range(3)]
    assert 3 == len(store.asked)


@both
def test_all_shared_limits_of_a_call_are_in_one_question(store, shared, decided):
    guard = shared(limit("5/min", name="a"), limit("9/min", name="b", key="user"), limit("7/min", name="c", **HERE))
    assert [("a", True, None, 4), ("b", True, None, 8), ("c", True, None, 6)] == shown(decided(guard))
    assert [[f"{{{digest('r')}}}:a", f"{{{digest('')}}}:b"]] == keys(store)


@both
def test_a_limit_in_the_store_that_refuses_leaves_the_others_uncharged(store, shared, decided):
    guard = shared(limit("5/min", name="a"), limit("1/min", name="b"), limit("7/min", name="c", **HERE))
    decided(guard)
    assert [("a", True, None, 4), ("b", False, "rate", 0), ("c", True, None, 6)] == shown(decided(guard))
    assert [4, 0] == [store.left(key) for key in keys(store)[0]]
    assert 6 == left(guard, "c")


@both
def test_a_limit_of_this_process_that_refuses_spares_the_store_the_question(store, shared, decided):
    guard = shared(limit("5/min", name="a"), limit("1/min", name="b", **HERE))
    decided(guard)
    assert [("b", False, "rate", 0)] == shown(decided(guard))
    assert (1, 4) == (len(store.asked), store.only_left())


@both
def test_a_breaker_or_a_bulkhead_that_refuses_spares_the_store_the_question(store, shared, decided):
    guard = shared(limit("5/min"), bulkhead(1), breaker())
    holder = held(guard)
    assert "bulkhead_full" == decided(guard).reason
    guard.breakers["r/breaker"].force_open()
    assert "breaker_forced" == decided(guard).reason
    holder.exit()
    assert 1 == len(store.asked)


@both
def test_a_place_is_free_again_when_the_store_refuses(shared, decided):
    guard = shared(limit("1/min"), bulkhead(1))
    assert decided(guard).allowed
    assert ["rate", "rate"] == [decided(guard).reason for _ in range(2)]
    assert 0 == inside(guard)


@both
@alone_or_not
def test_a_refusal_says_what_a_limit_of_this_process_would_say(clock, shared, decided, news, others):
    rule = limit("100/min", name="per-user", key="user")
    guard, local = shared(rule, *others), guard_of(clock, rule, *others)
    for one in (guard, local):
        decided(one, attributes={"user": "u1"}, cost=100)
    clock.advance(0.3)
    said = [decided(one, attributes={"user": "u1"}) for one in (guard, local)]
    assert said[0] == said[1]
    with pytest.raises(RateLimited, match="r: 100/min exceeded by rule 'per-user'; retry after 0.3 s"):
        guard.enter("r", {"user": "u1"}).__enter__()
    assert [said[0]] * 2 == [event.decision for event in news.of(CallRefused)]


@both
def test_a_call_that_has_to_wait_sleeps_without_its_place(clock, store, shared, decided):
    guard = shared(limit("1/s", burst=1, max_wait="5s"), bulkhead(1))
    assert [0, 1.0, 1.0] == [decided(guard).wait for _ in range(3)]
    assert (START_US + 2_000_000, 3) == (clock.now_us(), len(store.asked))


@both
def test_the_call_itself_may_cap_the_wait(store, shared, decided):
    guard = shared(limit("1/s", burst=1, max_wait="5s"))
    decided(guard)
    assert (False, 0.75) == (decided(guard, max_wait="250ms").allowed, decided(guard, max_wait="250ms").retry_after)
    assert (False, 1.0) == (decided(guard, max_wait=0).allowed, decided(guard, max_wait=0).retry_after)
    assert [5_000_000, 250_000] == [check.max_wait_us for checks in store.asked for check in checks]


@both
def test_the_longest_wait_counts_wherever_the_limit_is_kept(clock, shared, decided):
    waits = {"burst": 1, "max_wait": "5s"}
    guard = shared(limit("1/s", name="here", **waits, **HERE), limit("2/s", name="there", **waits))
    assert [0.0, 1.0] == [decided(guard).wait for _ in range(2)]
    guard = shared(limit("2/s", name="near", **waits, **HERE), limit("1/s", name="far", **waits))
    assert [0.0, 1.0] == [decided(guard).wait for _ in range(2)]
    assert START_US + 2_000_000 == clock.now_us()


# -- rules that only watch ---------------------------------------------------------------------------------------------


@both
def test_a_rule_that_only_watches_is_asked_in_the_same_question_and_refuses_nothing(store, shared, decided, news):
    guard = shared(limit("5/min", name="a"), limit("1/min", name="b", mode="shadow"))
    assert [("a", True, None, 4), ("b", True, None, 0)] == shown(decided(guard))
    assert [("a", True, None, 3), ("b", False, "rate", 0)] == shown(decided(guard))
    assert [[False, True]] * 2 == [[check.watches for check in checks] for checks in store.asked]
    assert [("b", True, "rate")] == [(event.rule, event.shadow, event.reason) for event in news.of(CallRefused)]


@both
def test_a_rule_that_only_watches_charges_nothing_and_says_nothing_of_a_call_that_is_refused(store, shared, decided):
    guard = shared(limit("1/min", name="a"), limit("5/min", name="b", mode="shadow"))
    decided(guard)
    assert [("a", False, "rate", 0)] == shown(decided(guard))
    assert 4 == store.left(keys(store)[0][1])


@both
def test_a_rule_that_watches_is_given_back_when_another_refuses_after_the_wait(clock, store, shared, decided):
    """The breaker opens while the call sleeps."""
    guard = shared(limit("1/s", burst=1, max_wait="5s"), limit("5/min", name="b", mode="shadow"), breaker())
    decided(guard)
    store.meanwhile = guard.breakers["r/breaker"].force_open
    assert [("r/limit", True, None, 0), ("r/breaker", False, "breaker_forced", None)] == shown(decided(guard))
    assert 2 == len(store.refunds)


def test_the_share_of_keys_for_which_a_rule_is_enforced_is_the_same_in_all_processes(clock, shared, monkeypatch):
    """A long key is a digest with a secret of the process."""
    rule = limit("1/min", name="n", key="user", enforce="50%")
    users = ["x" * 200 + str(number) for number in range(20)]
    said = []
    for secret in (b"one process", b"another"):
        monkeypatch.setattr("guardrail.admission.call._SECRET", secret)
        guard = guard_of(clock, rule, store=FakeStore(clock))
        for user in users:
            held(guard, attributes={"user": user})
        said.append([bool(held(guard, attributes={"user": user})) for user in users])
    assert said[0] == said[1]
    assert {True, False} == set(said[0])


# -- the guard and its store -------------------------------------------------------------------------------------------


def test_listeners_hear_of_the_store(store, shared, news):
    shared(limit())
    store.tell(StoreBack("redis://localhost", 1.5))
    assert [StoreBack("redis://localhost", 1.5)] == news.events


def test_a_store_made_elsewhere_is_not_closed(store, shared):
    with shared(limit()):
        pass

    async def use():
        async with shared(limit()):
            pass

    asyncio.run(use())
    assert 0 == store.closed


def test_calls_are_still_decided_after_close(shared):
    guard = shared(limit("2/min"))
    guard.close()
    assert (1, 0) == (held(guard).decision.remaining, aheld(guard).decision.remaining)
