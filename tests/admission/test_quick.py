"""The quick ways in decide as the flow does, on the same history, and look the same to whoever looks."""

import asyncio
import gc
import warnings
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail import RateLimited, Refused
from guardrail.admission import plan as plans
from guardrail.admission.permit import Permit
from guardrail.admission.quick import BARE, FreePermit, LocalPermit, QuickPermit
from guardrail.admission.quick_shared import SharedPermit
from guardrail.stores.protocol import Unavailable
from guardrail.testing import FakeClock, RecordingListener
from tests.admission.fake_store import FakeStore
from tests.admission.scene import START_US, S, bulkhead, guard_of, inside, left, limit

RULES = [
    limit("3/s", burst=4),
    limit("3/s", key="user"),
    limit("5/2s", key=["user", "tenant"], cost=2),
    limit("4/s", key="user", overrides={"u1": "2/s"}),
]
WINDOWS = [limit("4/s", key="user", algorithm=name) for name in ("sliding_window", "fixed_window", "sliding_log")]
POLICIES = [limit("4/s", key="user", on_store_error=policy) for policy in ("local", "allow", "deny")]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["enter", "enter", "enter", "enter", "peek", "settle", "exit", "rate", "reset", "look", "outage"]
        ),
        st.integers(0, 4),
        st.sampled_from(["u1", "u2", "", "u" * 200]),
        st.sampled_from([0, 0, 1, 50_000, 333_333, S, -300_000, -2 * S]),
    ),
    max_size=40,
)


class Twin:
    """One guard, and everything it said."""

    def __init__(self, rule, *, shared, quick):
        self.clock = FakeClock(START_US)
        self.news = RecordingListener()
        self.store = FakeStore(self.clock, processes=2) if shared else None
        self.rule = rule
        self.quick = quick
        self.rates = ["3/s", "5/s", "5/2s"]
        with self.ways():
            self.guard = guard_of(self.clock, rule, listeners=[self.news], store=self.store)
        self.inside = []
        self.said = []

    @contextmanager
    def ways(self):
        with pytest.MonkeyPatch.context() as patch:
            if not self.quick:
                patch.setattr(plans, "way_past", lambda _resource, _gates: None)
            yield

    def step(self, what, number, user, step_us):
        self.clock.set_us(self.clock.now_us() + step_us)
        attributes = {"user": user, "tenant": "t"}
        match what:
            case "enter":
                permit = self.guard.try_enter("r", attributes, cost=number)
                self.said.append(bool(permit))
                self.inside.append(permit)
                if number % 2:
                    self.said.append(permit.decision)
            case "peek":
                self.said.append(self.guard.peek("r", attributes, cost=number))
            case "rate":
                self.guard.apply([{**self.rule, "rate": self.rates[number % 3]}])
            case "reset" if self.rule.get("key") == "user":
                self.guard.reset("r/limit", user)
            case "outage" if self.store is not None:
                self.store.outage = Unavailable(700_000) if self.store.outage is None else None
            case "settle" if self.inside:
                self.inside[number % len(self.inside)].settle(number)
            case "look" if self.inside:
                self.said.append(self.inside[number % len(self.inside)].decision)
            case "exit" if self.inside:
                self.inside.pop(0).exit()

    def play(self, steps):
        with self.ways():
            for step in steps:
                self.step(*step)
        self.said += [permit.decision for permit in self.inside]
        for permit in self.inside:
            permit.exit()
        return self.said, self.news.events


@pytest.mark.parametrize("rule", RULES, ids=str)
@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_a_limit_of_this_process(rule, steps):
    quick, slow = (Twin(rule, shared=False, quick=way) for way in (True, False))
    assert slow.play(steps) == quick.play(steps)


@pytest.mark.parametrize("rule", [*RULES, *WINDOWS, *POLICIES], ids=str)
@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_a_limit_in_a_store(rule, steps):
    quick, slow = (Twin(rule, shared=True, quick=way) for way in (True, False))
    assert slow.play(steps) == quick.play(steps)
    assert slow.store.asked == quick.store.asked
    assert slow.store.refunds == quick.store.refunds
    assert slow.store.owed == quick.store.owed


# -- who goes which way ------------------------------------------------------------------------------------------------

#   rules                                                         what the permit is
WHO = [
    ([limit()], LocalPermit),
    ([limit(key="user")], LocalPermit),
    ([limit(key="user", cost=2, burst=2)], LocalPermit),
    ([limit(algorithm="fixed_window")], Permit),
    ([limit(max_wait="1s")], Permit),
    ([limit(cost="tokens")], Permit),
    ([limit(charge="failure")], Permit),
    ([limit(mode="shadow")], Permit),
    ([limit(when={"user": "u1"})], Permit),
    ([limit(key="user", overrides={"u1": "9/s"})], Permit),
    ([limit(name="a"), limit(name="b")], Permit),
    ([], FreePermit),
]


@pytest.mark.parametrize(("rules", "kind"), WHO, ids=str)
def test_one_plain_limit_is_decided_quickly(clock, rules, kind):
    guard = guard_of(clock, *rules)
    guard.try_enter("r", {"user": "u1"}).exit()  # a new key is for the flow
    clock.advance(3600)
    permit = guard.try_enter("r", {"user": "u1"})
    permit.exit()
    assert kind is type(permit)


SHARED = [
    ([limit()], SharedPermit),
    ([limit(key="user", algorithm="sliding_window")], SharedPermit),
    ([limit(key="user", overrides={"u1": "9/s"})], SharedPermit),
    ([limit(scope="local")], LocalPermit),
    ([limit(max_wait="1s")], Permit),
    ([limit(cost="tokens")], Permit),
    ([limit(charge="failure")], Permit),
    ([limit(key="user", enforce="50%")], Permit),
]


@pytest.mark.parametrize(("rules", "kind"), SHARED, ids=str)
def test_one_plain_limit_in_a_store_is_decided_quickly(clock, rules, kind):
    guard = guard_of(clock, *rules, store=FakeStore(clock))
    permit = guard.try_enter("r", {"user": "u1"})
    permit.exit()
    assert kind is type(permit)


def test_decorated_functions_take_the_quick_way_to_a_store(clock):
    store = FakeStore(clock)
    guard = guard_of(clock, store=store)

    @guard.limit("2/min", key="user")
    def call(user):
        return user

    @guard.limit("2/min", key="user", name="tasks")
    async def acall(user):
        return user

    assert ["u1", "u1"] == [call("u1"), call("u1")]
    with pytest.raises(RateLimited) as refused:
        call("u1")
    assert 30 == refused.value.retry_after
    assert "u1" == asyncio.run(acall("u1"))
    assert {1} == {len(checks) for checks in store.asked}


def test_where_nobody_looks_at_the_permit_it_is_the_same_for_all_calls(clock):
    guard = guard_of(clock, limit("9/min"), bulkhead(1) | {"resource": "s"})
    for resource in "rs":
        guard.try_enter(resource).exit()
    first, second, free = (guard.at_once(resource, {}, bare=True) for resource in ("r", "r", "no rule"))
    assert first is second is free is BARE
    assert (True, False, []) == (bool(first), first.awaits_end, list(first.standings()))
    first.exit()
    assert 6 == left(guard)
    with pytest.raises(TypeError, match="a bare permit remembers nothing"):
        first.decision  # noqa: B018
    assert guard.at_once("r", {}) is not BARE
    held = guard.at_once("s", {}, bare=True)  # what holds something has to be ended
    assert (True, 1) == (held.awaits_end, inside(guard, "s/bulkhead"))
    held.exit()


# -- what a permit is --------------------------------------------------------------------------------------------------


def test_a_permit_that_is_dropped_leaves_nothing_behind(clock):
    guard = guard_of(clock, limit("9/min"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        permit = guard.try_enter("r")
        assert isinstance(permit, QuickPermit)
        del permit
        gc.collect()
    assert 8 == left(guard)


def test_a_permit_says_how_it_stands(clock):
    guard = guard_of(clock, limit("1/min"), store=FakeStore(clock))
    permit = guard.try_enter("r")
    permit.begin()
    assert "<Permit for 'r': granted>" == repr(permit)
    permit.exit(ValueError(), failed=True, code="http.500")
    assert "<Permit for 'r': over>" == repr(permit)
    refused = guard.try_enter("r")
    assert "<Permit for 'r': refused>" == repr(refused)
    assert isinstance(refused.refusal(), RateLimited)
    refused.exit()
    refused.settle(5)


def test_refusals_are_told(clock, news):
    guard = guard_of(clock, limit("1/min"), store=FakeStore(clock), listeners=[news])
    for _ in range(3):
        guard.try_enter("r").exit()
    assert ["r/limit", "r/limit"] == [event.rule for event in news.events]


def test_an_entry_takes_the_quick_way_too(clock):
    guard = guard_of(clock, limit("1/min"), store=FakeStore(clock))
    with guard.enter("r") as permit:
        assert isinstance(permit, SharedPermit)
    with pytest.raises(Refused), guard.enter("r"):
        pass


def test_in_tasks_it_is_the_same(clock):
    asyncio.run(in_tasks(clock))


async def in_tasks(clock):
    guard = guard_of(clock, limit("1/min", key="user"), store=FakeStore(clock))
    async with guard.enter("r", {"user": "u1"}) as permit:
        assert isinstance(permit, SharedPermit)
    refused = await guard.atry_enter("r", {"user": "u1"})
    again = await guard.atry_enter("r", {"user": "u1"})
    assert (False, False, refused.decision) == (bool(refused), bool(again), again.decision)
    long = await guard.atry_enter("r", {"user": "x" * 500})
    assert Permit is type(long)
    here = guard_of(clock, limit("1/min", key="user"))
    new, known = await here.atry_enter("r"), await here.atry_enter("r", cost=0)
    assert (Permit, Permit) == (type(new), type(known))
    clock.advance(60)
    assert LocalPermit is type(await here.atry_enter("r"))


# -- what may go wrong -------------------------------------------------------------------------------------------------


def test_a_store_that_raises_is_one_that_is_away(clock, caplog):
    store = FakeStore(clock)
    guard = guard_of(clock, limit("1/min", on_store_error="deny"), store=store)
    store.fails = ValueError("a bug in the store")
    assert "store_unavailable" == guard.try_enter("r").decision.reason
    assert "store_unavailable" == asyncio.run(guard.atry_enter("r")).decision.reason
    assert 2 == caplog.text.count("a bug in the store")


def test_a_finalizer_that_came_in_between_has_its_turn(clock):
    guard = guard_of(clock, limit("9/min"))
    guard.try_enter("r").exit()
    guard.ledger.deferred.append(lambda: guard.ledger.limits["r/limit"].forget(None))
    guard.try_enter("r").exit()
    assert 9 == left(guard)


def test_a_refused_permit_that_was_asked_again_shows_what_was_remembered(clock):
    guard = guard_of(clock, limit("1/min"), store=FakeStore(clock))
    guard.try_enter("r").exit()
    first, again = guard.try_enter("r"), guard.try_enter("r")
    assert first.decision == again.decision


def test_a_bulkhead_that_should_be_shared_says_that_it_is_not(clock, caplog):
    rule = {"kind": "bulkhead", "resource": "r", "max_concurrent": 1, "scope": "shared"}
    guard = guard_of(clock, rule, store=FakeStore(clock))
    guard.try_enter("r").exit()
    guard.apply([rule])
    guard.try_enter("r").exit()
    assert 1 == caplog.text.count("bulkhead 'r/bulkhead' counts in this process")
