"""What is left of each limit with a key, in whole numbers, whichever way a call went."""

import pytest

from guardrail.admission.ambient import around, attributes, innermost, publish, withdraw
from guardrail.admission.gate import Standing
from guardrail.admission.quick import LocalPermit
from guardrail.stores.protocol import Unavailable
from tests.admission.fake_store import FakeStore
from tests.admission.scene import guard_of, limit

MINUTE_US = 60_000_000
CALL = {"attributes": {"user": "u1"}}


def test_the_quick_way_and_the_flow_say_the_same(clock):
    guard = guard_of(clock, limit("4/min", key="user"))
    new, known = guard.try_enter("r", **CALL), guard.try_enter("r", **CALL)
    assert isinstance(known, LocalPermit)
    assert [Standing("r/limit", 4, 3, MINUTE_US // 4, MINUTE_US)] == list(new.standings())
    assert [Standing("r/limit", 4, 2, MINUTE_US // 2, MINUTE_US)] == list(known.standings())


def test_a_refused_call_shows_what_is_left_too(clock):
    guard = guard_of(clock, limit("1/min", key="user"), store=FakeStore(clock))
    assert [0, 0, 0] == [guard.try_enter("r", **CALL).standings()[0].remaining for _ in range(3)]


def test_limits_without_a_key_and_those_that_watch_are_nobodys_own(clock):
    rules = [limit(name="a"), limit(name="b", key="user", mode="shadow"), limit(name="c", key="user")]
    assert ["c"] == [one.rule for one in guard_of(clock, *rules).try_enter("r", **CALL).standings()]
    assert () == guard_of(clock, limit()).try_enter("r").standings()


def test_they_stand_in_the_order_of_the_rules_wherever_they_are_kept(clock):
    rules = [limit("5/min", name=name, key="user", scope=scope) for name, scope in [("a", "shared"), ("b", "local")]]
    guard = guard_of(clock, *rules, store=FakeStore(clock))
    assert ["a", "b"] == [one.rule for one in guard.try_enter("r", **CALL).standings()]


def test_nothing_is_said_of_a_limit_that_nobody_could_ask(clock):
    store = FakeStore(clock)
    guard = guard_of(clock, limit(key="user", on_store_error="allow"), store=store)
    store.outage = Unavailable(1)
    assert [] == list(guard.try_enter("r", **CALL).standings())


def test_a_call_is_decided_at_once_where_nothing_has_to_be_waited_for(clock):
    guard = guard_of(clock, limit("2/min", key="user"))
    assert guard.at_once("r", **CALL) is None  # a new key is for the flow
    guard.try_enter("r", **CALL).exit()
    permit = guard.at_once("r", **CALL)
    assert permit is not None
    assert permit.decision.allowed
    assert guard.at_once("r", **CALL) is None
    shared = guard_of(clock, limit("1/min", key="user"), store=FakeStore(clock))
    assert shared.at_once("r", **CALL) is None
    assert [True, False] == [bool(shared.try_enter("r", **CALL)) for _ in range(2)]
    refused = shared.at_once("r", **CALL)
    assert refused is not None
    assert not refused


# -- attributes that are not a block -----------------------------------------------------------------------------------


class Lazy(dict):
    """Attributes that are worked out one by one."""

    def get(self, name, default=None):
        return {"user": "u1"}.get(name, default)

    def keys(self):
        raise AssertionError("nobody need know all of them")


def test_what_is_published_is_asked_for_one_by_one(clock):
    published = publish(Lazy())
    assert isinstance(innermost(), Lazy)
    with attributes(plan="free"):
        assert ["u1", "free", None] == [around(name) for name in ("user", "plan", "tenant")]
    withdraw(published)
    assert around("user") is None


def test_a_missing_one_is_that_of_the_block_outside():
    with attributes(tenant="acme", plan="free"):
        published = publish({"plan": None})
        assert ["acme", None] == [around("tenant"), around("plan")]
        withdraw(published)
        with pytest.raises(RuntimeError):
            withdraw(published)
