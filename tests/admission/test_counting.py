"""What is counted of calls, whichever way they go: closures, quick ways, the flow, a store."""

import asyncio
import logging
import sys
from threading import Thread

import pytest

from guardrail import Guard, Refused
from guardrail.admission.call import as_text
from guardrail.core.verdict import Decision
from guardrail.stores.protocol import Unavailable
from guardrail.telemetry.events import CallRefused
from guardrail.testing import RecordingListener
from tests.admission.fake_store import FakeStore
from tests.admission.scene import S, breaker, bulkhead, guard_of, limit


def counted(guard, rule="r/limit", resource="r"):
    """The calls a rule has let in, kept out, would have kept out, and decided without its store."""
    tally = guard.ledger.counts.tallies[resource, rule]
    return tally.allowed, tally.refused, tally.shadow_refused, tally.errors


def tried(guard, times, resource="r", attributes=None, **options):
    for _ in range(times):
        guard.try_enter(resource, attributes, **options).exit()


def tried_in_a_task(guard, times, attributes=None):
    async def main():
        for _ in range(times):
            (await guard.atry_enter("r", attributes)).exit()

    asyncio.run(main())


class TestEveryWayIn:
    @pytest.mark.parametrize("way", [tried, tried_in_a_task])
    @pytest.mark.parametrize(
        "rule",
        [limit("3/h"), limit("3/h", key="user"), limit("3/h", algorithm="sliding_log"), limit("3/h", charge="failure")],
        ids=["plain", "keyed", "a log", "for failures"],
    )
    def test_a_limit(self, clock, way, rule):
        guard = guard_of(clock, rule)
        way(guard, 5, attributes={"user": "u1"})
        expected = (5, 0, 0, 0) if "charge" in rule else (3, 2, 0, 0)
        assert expected == counted(guard)

    def test_a_breaker_and_a_bulkhead(self, clock):
        guard = guard_of(clock, breaker(), bulkhead(1))
        permit = guard.try_enter("r")
        tried(guard, 2)
        assert ((1, 0, 0, 0), (1, 2, 0, 0)) == (counted(guard, "r/breaker"), counted(guard, "r/bulkhead"))
        permit.exit()

    def test_an_open_breaker(self, clock):
        guard = guard_of(clock, breaker())
        guard.breakers["r/breaker"].force_open()
        tried(guard, 2)
        assert (0, 2, 0, 0) == counted(guard, "r/breaker")

    def test_decorated_functions(self):
        guard = Guard()

        def work(user):
            return user

        made = {
            "limit": guard.limit("5/h", name="limit")(work),
            "keyed": guard.limit("5/h", key="user", name="keyed")(work),
            "breaker": guard.breaker(name="breaker")(work),
            "bulkhead": guard.bulkhead(5, name="bulkhead")(work),
        }
        for function in made.values():
            for _ in range(5):
                function("u1")
        for name in ("limit", "keyed"):
            with pytest.raises(Refused):
                made[name]("u1")
        rules = [("limit", "limit"), ("keyed", "limit"), ("breaker", "breaker"), ("bulkhead", "bulkhead")]
        found = [counted(guard, f"{name}/{kind}", name) for name, kind in rules]
        assert [(5, 1, 0, 0), (5, 1, 0, 0), (5, 0, 0, 0), (5, 0, 0, 0)] == found

    @pytest.mark.parametrize("keyed", [{}, {"key": "user"}])
    def test_a_decorated_stack(self, keyed):
        guard = Guard()

        @guard.breaker(name="r")
        @guard.limit("5/h", name="r", **keyed)
        @guard.bulkhead(5, name="r")
        def work(user):
            return user

        for _ in range(5):
            work("u1")
        with pytest.raises(Refused):
            work("u1")
        kinds = ("breaker", "limit", "bulkhead")
        assert [(5, 0, 0, 0), (5, 1, 0, 0), (5, 0, 0, 0)] == [counted(guard, f"r/{kind}") for kind in kinds]

    def test_a_rule_that_does_not_apply_counts_nothing(self, clock):
        guard = guard_of(clock, limit("5/h", when={"tenant": "acme"}))
        tried(guard, 2)
        tried(guard, 1, attributes={"tenant": "acme"})
        assert (1, 0, 0, 0) == counted(guard)

    def test_looking_counts_nothing(self, clock):
        guard = guard_of(clock, limit("1/h"))
        guard.peek("r")
        guard.standing("r/limit")
        assert (0, 0, 0, 0) == counted(guard)

    def test_every_rule_that_refuses_counts_the_call(self, clock):
        guard = guard_of(clock, limit("1/h", name="a"), limit("1/h", name="b"), limit("9/h", name="c"))
        tried(guard, 3)
        assert [(1, 2, 0, 0), (1, 2, 0, 0), (1, 0, 0, 0)] == [counted(guard, name) for name in "abc"]

    def test_threads_lose_no_count(self):
        guard = Guard([limit("1000000/s", burst=1_000_000), breaker()])
        watched = guard.breaker(name="w")(lambda: None)
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)

        def call():
            for _ in range(2_000):
                guard.try_enter("r").exit()
                watched()

        try:
            threads = [Thread(target=call) for _ in range(8)]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
        finally:
            sys.setswitchinterval(before)
        assert [16_000] * 3 == [
            counted(guard, rule, resource)[0]
            for rule, resource in [("r/limit", "r"), ("r/breaker", "r"), ("w/breaker", "w")]
        ]


class TestWatching:
    def test_what_a_rule_would_refuse(self, clock):
        guard = guard_of(clock, limit("1/h", mode="shadow"), bulkhead(5))
        tried(guard, 3)
        assert ((1, 0, 2, 0), (3, 0, 0, 0)) == (counted(guard), counted(guard, "r/bulkhead"))

    def test_a_guard_that_only_watches(self, clock):
        guard = guard_of(clock, limit("1/h", name="a"), breaker(name="b"), mode="shadow")
        guard.breakers["b"].force_open()
        tried(guard, 2)
        assert ((1, 0, 1, 0), (0, 0, 2, 0)) == (counted(guard, "a"), counted(guard, "b"))

    def test_only_some_keys(self, clock):
        guard = guard_of(clock, limit("1/h", key="user", enforce="50%"))
        for number in range(200):
            tried(guard, 2, attributes={"user": f"u{number}"})
        allowed, refused, would, _ = counted(guard)
        assert (200, 200) == (allowed, refused + would)
        assert 50 < refused < 150

    def test_nothing_of_a_call_that_another_rule_refuses(self, clock):
        guard = guard_of(clock, limit("1/h", name="a"), limit("1/h", name="b", mode="shadow"))
        tried(guard, 3)
        assert ((1, 2, 0, 0), (1, 0, 0, 0)) == (counted(guard, "a"), counted(guard, "b"))

    def test_a_shared_rule(self, clock):
        guard = guard_of(clock, limit("1/h", mode="shadow"), limit("9/h", name="x"), store=FakeStore(clock))
        tried(guard, 3)
        assert ((1, 0, 2, 0), (3, 0, 0, 0)) == (counted(guard), counted(guard, "x"))


class TestStores:
    @pytest.mark.parametrize("way", [tried, tried_in_a_task])
    def test_what_a_store_decides(self, clock, way):
        guard = guard_of(clock, limit("2/h", key="user"), store=FakeStore(clock))
        way(guard, 5, attributes={"user": "u1"})
        assert (2, 3, 0, 0) == counted(guard)

    @pytest.mark.parametrize("policy", ["local", "allow", "deny"])
    @pytest.mark.parametrize("more", [[], [limit("9/h", name="x", mode="shadow")]], ids=["quick", "the flow"])
    def test_what_is_decided_without_it(self, clock, policy, more):
        store = FakeStore(clock)
        store.outage = Unavailable(S)
        guard = guard_of(clock, limit("9/h", on_store_error=policy), *more, store=store)
        tried(guard, 3)
        assert ((0, 3, 0, 3) if policy == "deny" else (3, 0, 0, 3)) == counted(guard)
        if more and policy != "deny":
            assert (0, 0, 0, 3) == counted(guard, "x")

    def test_a_peek_without_it_is_no_decision(self, clock):
        store = FakeStore(clock)
        store.outage = Unavailable(S)
        guard = guard_of(clock, limit("9/h"), limit("9/h", name="x", mode="shadow"), store=store)
        guard.peek("r")
        assert ((0, 0, 0, 0), (0, 0, 0, 0)) == (counted(guard), counted(guard, "x"))


class TestTime:
    def test_waiting_for_a_limit_is_counted_by_its_rule(self, clock):
        guard = guard_of(clock, limit("1/s", max_wait="5s"))
        tried(guard, 3)
        waited = guard.ledger.counts.waits["r/limit"].view()
        assert (2, 2.0) == (waited.count, waited.total)  # the clock goes on with each: a second for each of them

    def test_waiting_for_a_place(self, clock):
        guard = guard_of(clock, bulkhead(1, max_wait="1s"))
        permit = guard.try_enter("r")
        began_us = clock.now_us()
        assert not guard.try_enter("r", max_wait="1ms")
        assert began_us <= clock.now_us()
        assert 1 == guard.ledger.counts.waits["r/bulkhead"].view().count
        permit.exit()

    def test_how_long_calls_take_is_counted_where_that_is_asked_for(self, clock):
        guard = guard_of(clock, limit("9/s"), measure_latency=True)
        work = guard.guarded("free")(lambda: clock.advance(0.5))
        work()
        with guard.enter("r"):
            clock.advance(0.25)
        found = {name: one.view().total for name, one in guard.ledger.counts.latencies.items()}
        assert {"free": 0.5, "r": 0.25} == found

    def test_and_not_otherwise(self, clock):
        guard = guard_of(clock, limit("9/s"), bulkhead(1))
        tried(guard, 1)
        assert {} == guard.ledger.counts.latencies


class TestTelling:
    def test_an_event_is_built_only_if_somebody_wants_it(self, clock, monkeypatch):
        guard = guard_of(clock, limit("1/h", name="a"), limit("1/h", name="b", mode="shadow"))
        monkeypatch.setattr(guard.ledger, "log", Silent())
        monkeypatch.setattr(Decision, "of", None)
        tried(guard, 2)
        tried(guard_of(clock, limit("1/h")), 0)

    def test_the_log_hears_of_refusals_that_it_wants(self, clock):
        guard = guard_of(clock, limit("1/h", name="a"), limit("2/h", name="b", mode="shadow"))
        guard.ledger.log = log = Wanting("a")
        tried(guard, 2)
        assert [("a", False)] == [(one.rule, one.shadow) for one in log.heard]

    def test_and_of_shadow_refusals(self, clock):
        guard = guard_of(clock, limit("9/h", name="a"), limit("1/h", name="b", mode="shadow"))
        guard.ledger.log = log = Wanting("b")
        tried(guard, 2)
        assert [("b", True)] == [(one.rule, one.shadow) for one in log.heard]

    def test_listeners_hear_of_all_of_them(self, clock):
        events = RecordingListener()
        guard = guard_of(clock, limit("1/h"), listeners=[events])
        guard.ledger.log = log = Wanting("another")
        tried(guard, 3)
        assert (2, []) == (len([one for one in events.events if isinstance(one, CallRefused)]), log.heard)

    def test_a_listener_that_comes_later(self, clock):
        guard, events = guard_of(clock, limit("1/h")), RecordingListener()
        tried(guard, 2)
        guard.add_listener(events)
        tried(guard, 1)
        assert 1 == len(events.events)
        guard.remove_listener(events)
        tried(guard, 1)
        assert 1 == len(events.events)

    def test_what_cannot_be_told_anything_is_refused(self, clock):
        with pytest.raises(TypeError, match="listeners must be a list of callables over an event"):
            guard_of(clock).add_listener(None)
        with pytest.raises(TypeError, match="log must be an EventLog"):
            guard_of(clock, log=logging.getLogger())


class Silent:
    def wants(self, _rule):
        return False

    def __call__(self, event):
        raise AssertionError(event)


class Wanting:
    def __init__(self, rule):
        self.rule = rule
        self.heard = []

    def wants(self, rule):
        return rule == self.rule

    def __call__(self, event):
        self.heard.append(event)


def test_a_forked_child_begins_at_0(clock):
    guard = guard_of(clock, limit("2/h", key="user"), breaker(), bulkhead(5))
    tried(guard, 3, attributes={"user": "u1"})
    guard.after_fork()
    assert ((0, 0, 0, 0), (0, 0, 0, 0)) == (counted(guard), counted(guard, "r/breaker"))
    seen = guard.snapshot()
    assert ((), 0) == (seen.hot_keys, seen.breakers[0].successes)
    tried(guard, 1, attributes={"user": "u2"})
    assert 1 == guard.snapshot().breakers[0].successes


def test_keys_of_a_decorated_function_are_sampled():
    guard = Guard()
    work = guard.limit("1000000/s", key="user", name="w", burst=1_000_000)(lambda user: user)
    for _ in range(1_000):
        work("u1")
    (hot,) = guard.snapshot(show_keys=True).hot_keys
    assert "u1" == hot.key
    assert 800 < hot.calls <= 1_000


@pytest.mark.parametrize("rule", [breaker(key="resource"), limit("9999/s", key="resource")], ids=["breaker", "limit"])
def test_of_a_rule_by_resource_every_call_is_counted_for_its_key(clock, rule):
    guard = guard_of(clock, rule | {"resource": "*", "name": "each"})
    for resource in ("a", "b", "b"):
        for _ in range(100):
            guard.try_enter(resource).exit()
    assert [("b", 200, 0), ("a", 100, 0)] == [
        (hot.key, hot.calls, hot.refused) for hot in guard.snapshot(show_keys=True).hot_keys
    ]


def test_a_key_that_was_counted_when_the_rule_had_fewer_parts_is_shown_as_it_was():
    assert "u1" == as_text("u1", 2)
    assert "u1, 10.0.0.7" == as_text("2:u18:10.0.0.7", 2)
    assert "u1" == as_text("u1", 1)
