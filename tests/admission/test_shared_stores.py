"""No error of a store reaches the call; and how a guard treats the store it has."""

import asyncio
import logging

import pytest

from guardrail import Guard, StoreError
from guardrail.stores.protocol import Unavailable
from tests.admission.fake_store import FakeStore
from tests.admission.scene import S, bulkhead, decided, guard_of, held, in_child, inside, limit
from tests.admission.shared_scene import both

BESIDE = bulkhead(99, name="places")


# -- a store that breaks its law ---------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("policy", "reason", "retry_after"),
    [("allow", None, None), ("deny", "store_unavailable", 1.0), ("local", None, None)],
)
def test_a_store_that_raises_counts_as_away(store, shared, decided, caplog, policy, reason, retry_after):
    store.fails = OSError("no route")
    guard = shared(limit("5/min", on_store_error=policy), BESIDE)
    decision = decided(guard)
    assert (reason, retry_after) == (decision.reason, decision.retry_after)
    assert ["the store raised instead of answering; on_store_error decides"] == caplog.messages
    assert "no route" in caplog.text


def test_a_store_that_raises_while_it_is_looked_at_counts_as_away(store, shared, caplog):
    store.fails = OSError("no route")
    guard = shared(limit("5/min"), BESIDE)
    assert [4, 4] == [guard.peek("r").remaining, asyncio.run(guard.apeek("r")).remaining]
    assert 2 == len(caplog.messages)


def test_what_a_store_raises_when_a_call_ends_is_logged(store, shared, caplog):
    guard = shared(limit("100/min", name="n", charge="failure"), BESIDE)
    permit = held(guard, cost=10)
    store.fails = OSError("no route")
    permit.settle(20)
    permit.settle(5)
    permit.exit()
    assert ["charging more for rule 'n' failed", *["giving back for rule 'n' failed"] * 3] == caplog.messages
    assert [("guardrail.store", logging.ERROR)] * 4 == [(one.name, one.levelno) for one in caplog.records]
    assert 0 == inside(guard, "places")


def test_reset_says_that_the_store_could_not_be_asked(store, shared):
    guard = shared(limit("1/min"))
    for _ in range(2):
        decided(guard)
    store.fails = StoreError("the store is away")
    with pytest.raises(StoreError):
        guard.reset("r/limit")
    with pytest.raises(StoreError):
        asyncio.run(guard.areset("r/limit"))
    assert 2 == len(store.asked)
    assert not decided(guard).allowed


# -- forks, and the end ------------------------------------------------------------------------------------------------


def test_a_child_tells_its_store(store, shared):
    guard = shared(limit("5/min"))
    assert ("(1, 4)", 0) == (in_child(lambda: (store.forks, decided(guard).remaining)), store.forks)


def test_what_a_child_has_of_its_parents_calls_it_does_not_give_back(store, shared):
    """The parent does: twice would let more in than the limit."""
    guard = shared(limit("100/min", charge="failure"), BESIDE)
    permit = held(guard, cost=10)

    def child():
        permit.settle(20)
        permit.settle(5)
        permit.exit()
        return store.refunds, store.owed

    assert "([], [])" == in_child(child)
    permit.settle(5)
    permit.exit()
    assert [5, 5] == [refund.cost for refund in store.refunds]


def test_a_store_given_as_an_url_is_made_and_closed_by_the_guard(clock, store, monkeypatch):
    made = []

    def redis_store(url):
        made.append(url)
        return store

    monkeypatch.setattr("guardrail.stores.redis.RedisStore", redis_store)
    url = "redis://localhost:6379/0"
    with guard_of(clock, limit(), store=url):
        assert 0 == store.closed
    assert 1 == store.closed

    async def use():
        async with guard_of(clock, limit(), store=url):
            pass

    asyncio.run(use())
    monkeypatch.setenv("GUARDRAIL_STORE", url)
    guard_of(clock, limit()).close()
    assert ([url] * 3, 3) == (made, store.closed)


@pytest.mark.parametrize("what", [1, FakeStore, object()])
def test_what_is_no_store_is_refused_in_words(clock, what):
    with pytest.raises(TypeError, match="store must be a URL such as 'redis://localhost:6379/0', or a RedisStore, got"):
        guard_of(clock, limit(), store=what)


def test_the_wait_for_the_store_to_come_back_is_the_longest(away, shared):
    guard = shared(limit("1/min", name="l"), limit("5/min", name="d", on_store_error="deny"))
    away.outage = Unavailable(90 * S)
    assert ("d", 90.0) == (decided(guard).rule, decided(guard).retry_after)


def test_what_is_wrong_with_the_environment_is_said_of_the_environment(monkeypatch):
    monkeypatch.setenv("GUARDRAIL_STORE", "rediss//nowhere")
    with pytest.raises(ValueError, match=r"GUARDRAIL_STORE: .*; or 'memory://' for none"):
        Guard()
    monkeypatch.setenv("GUARDRAIL_STORE", "")
    Guard().close()


def test_a_list_is_no_store():
    with pytest.raises(TypeError, match=r"got \['redis://x'\]"):
        Guard(store=["redis://x"])
