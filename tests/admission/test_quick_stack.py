"""The quick way past a stack decides as the flow does, on the same history, and its permits end calls as the flow's do."""

import asyncio
import copy
import gc
import pickle
import sys
import warnings
from contextlib import contextmanager
from threading import Barrier, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail import Guard, Refused
from guardrail.admission import plan as plans
from guardrail.admission.permit import Permit
from guardrail.admission.quick_stack import StackPermit
from guardrail.testing import FakeClock, RecordingListener
from tests.admission.scene import (
    PATIENCE,
    START_US,
    ByHand,
    Interrupted,
    S,
    breaker,
    bulkhead,
    ended,
    guard_of,
    held,
    in_child,
    inside,
    left,
    limit,
    locked_elsewhere,
    started,
)

BUCKET = limit("4/s", burst=5)
KEYED = limit("3/s", key="user")
COSTLY = limit("9/2s", key=["user", "tenant"], cost=2)
HEALTH = breaker(min_calls=3, window="2s", open_for="500ms", half_open_calls=2)
FRAGILE = breaker(consecutive_failures=2, open_for="400ms", probe_timeout="700ms", key="user")
PICKY = breaker(min_calls=2, open_for="300ms", failures=["builtins.OSError", "http.5xx"], ignore=["http.404"])
SLOW = breaker(slow_call="200ms", min_calls=2, window="3s", open_for="500ms")
PLACES = bulkhead(2)
EACH = bulkhead(2, key="user")
STACKS = [
    [PLACES],
    [EACH],
    [HEALTH],
    [FRAGILE],
    [PICKY],
    [SLOW],
    [BUCKET, HEALTH],
    [KEYED, FRAGILE],
    [KEYED, EACH],
    [COSTLY, PLACES],
    [SLOW, EACH],
    [BUCKET, PICKY, PLACES],
    [KEYED, SLOW, EACH],
]
ENDS = [
    {},
    {},
    {"error": OSError()},
    {"error": ValueError()},
    {"error": asyncio.CancelledError()},
    {"failed": True},
    {"code": "http.503", "failed": True},
    {"code": "http.404"},
    {"code": "http.200"},
]
ACTS = ["enter"] * 5 + ["exit"] * 4 + ["peek", "begin", "settle", "look", "drop", "reset", "force", "apply"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(ACTS),
        st.integers(0, 8),
        st.sampled_from(["u1", "u1", "u2", "u" * 200]),
        st.sampled_from([0, 0, 1, 50_000, 150_000, 200_001, 500_000, S, -300_000, -2 * S]),
    ),
    max_size=40,
)


class Twin:
    """One guard, and everything it said."""

    def __init__(self, rules, *, quick):
        self.clock = FakeClock(START_US)
        self.news = RecordingListener()
        self.rules = rules
        self.quick = quick
        self.inside = []
        self.said = []
        with self.ways():
            self.guard = guard_of(self.clock, *rules, listeners=[self.news])

    @contextmanager
    def ways(self):
        with pytest.MonkeyPatch.context() as patch:
            if not self.quick:
                patch.setattr(plans, "way_past", lambda _resource, _gates: None)
            yield

    def step(self, what, number, user, step_us):
        self.clock.set_us(self.clock.now_us() + step_us)
        attributes = {"user": user, "tenant": "t"}
        one = number % len(self.inside) if self.inside else 0
        match what:
            case "enter":
                permit = self.guard.try_enter("r", attributes, cost=1 + number // 4)
                self.said.append((bool(permit), list(permit.standings())))
                if number % 3 == 0:
                    self.said.append((permit.decision, permit.awaits_end))
                if permit:
                    self.inside.append(permit)
            case "peek":
                self.said.append(self.guard.peek("r", attributes))
            case "exit" if self.inside:
                permit = self.inside.pop(one)
                permit.exit(**ENDS[number])
                permit.exit(failed=True)  # the first one counts
            case "begin" if self.inside:
                self.inside[one].begin()
            case "settle" if self.inside:
                self.inside[one].settle(number // 2)
            case "look" if self.inside:
                self.said.append((self.inside[one].decision, repr(self.inside[one])))
            case "drop" if self.inside:
                self.inside[one].is_held = True
                del self.inside[one]
            case "reset":
                for rule in self.guard.rules.rules:
                    self.guard.reset(rule.name)
            case "force":
                for name in self.guard.breakers:
                    (self.guard.breakers[name].force_open if number < 3 else self.guard.breakers[name].reset)()
            case "apply":
                fields = {"max_concurrent": 1 + number % 3, "rate": f"{2 + number}/s", "min_calls": 2 + number % 3}
                self.guard.apply(
                    [rule | {name: fields[name] for name in fields if name in rule} for rule in self.rules]
                )
        snapshot = self.guard.snapshot(show_keys=True)
        self.said += [
            [breaker.snapshot() for breaker in self.guard.breakers.values()],
            [(one.rule, one.resource, one.allowed, one.refused) for one in snapshot.counts],
            [(one.rule, one.in_use) for one in snapshot.bulkheads],
        ]

    def play(self, steps):
        with self.ways():
            for step in steps:
                self.step(*step)
        self.said += [permit.decision for permit in self.inside]
        for permit in self.inside:
            permit.exit()
        return self.said, self.news.events


@pytest.mark.parametrize("rules", STACKS, ids=str)
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_it_is_the_decision_of_the_flow(rules, steps):
    quick, slow = (Twin(rules, quick=way) for way in (True, False))
    assert slow.play(steps) == quick.play(steps)


# -- who goes which way ------------------------------------------------------------------------------------------------

#   rules                                             what the permit is
WHO = [
    ([PLACES], StackPermit),
    ([HEALTH], StackPermit),
    ([breaker(key="resource"), KEYED, bulkhead(2, max_wait="1s")], StackPermit),
    ([KEYED, FRAGILE, EACH], StackPermit),
    ([limit(), limit(name="b")], Permit),
    ([HEALTH, breaker(name="b")], Permit),
    ([KEYED, bulkhead(2, key="tenant")], Permit),
    ([limit(key="resource"), PLACES], Permit),
    ([limit(algorithm="fixed_window"), PLACES], Permit),
    ([limit(max_wait="1s"), PLACES], Permit),
    ([breaker(window_calls=9)], Permit),
    ([bulkhead(2, mode="shadow")], Permit),
    ([bulkhead(2, when={"user": "u1"})], Permit),
    ([bulkhead(2, key="user", enforce="50%")], Permit),
]


@pytest.mark.parametrize(("rules", "kind"), WHO, ids=str)
def test_stacks_of_one_of_each_are_decided_quickly(clock, rules, kind):
    guard = guard_of(clock, *rules)
    attributes = {"user": "u1", "tenant": "t"}
    guard.try_enter("r", attributes).exit()  # a new key is for the flow
    clock.advance(3600)
    guard.try_enter("r", attributes).exit()
    permit = guard.try_enter("r", attributes)
    permit.exit()
    assert kind is type(permit)


def test_a_decorated_function_with_a_fallback_takes_the_quick_way(clock):
    guard = guard_of(clock)

    @guard.guarded("r", fallback="instead", failed=lambda result: result == "bad")
    def call(result):
        return result

    guard.apply([breaker(consecutive_failures=2), limit("9/s", key="result")])
    assert ["good", "bad", "bad", "instead"] == [call(result) for result in ("good", "bad", "bad", "good")]


# -- how a call ends -----------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(clock):
    """A guard on which the next call takes the quick way."""

    def made(*rules, **options):
        guard = guard_of(clock, *rules, **options)
        guard.try_enter("r", {"user": "u1"}).exit()
        return guard

    return made


def test_a_permit_that_is_dropped_gives_its_place_back_and_says_so(quick):
    guard = quick(PLACES, HEALTH)
    permit = guard.try_enter("r")
    assert (1, True, True) == (inside(guard), permit.awaits_end, isinstance(permit, StackPermit))
    with pytest.warns(ResourceWarning, match="was dropped"):
        del permit
        gc.collect()
    assert 0 == inside(guard)
    assert (1, 1) == (
        guard.breakers["r/breaker"].snapshot().total_successes,
        guard.breakers["r/breaker"].snapshot().total_ignored,
    )


def test_one_that_is_held_says_nothing_and_one_that_is_over_gives_back_nothing(quick):
    guard = quick(PLACES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        guard.try_enter("r").is_held = True
        over = guard.try_enter("r")
        over.exit()
        del over
        gc.collect()
    assert 0 == inside(guard)


def test_one_whose_making_was_cut_short_is_silent():
    assert StackPermit.__new__(StackPermit).__del__() is None


def test_a_signal_that_strikes_whoever_waits_for_the_lock_passes_through(quick, monkeypatch):
    class Waited:
        def acquire(self):
            raise KeyboardInterrupt

        def release(self):
            raise RuntimeError("cannot release un-acquired lock")

    guard = quick(PLACES)
    with monkeypatch.context() as patch:
        patch.setattr(guard.ledger, "lock", Waited())
        with pytest.raises(KeyboardInterrupt):
            guard.try_enter("r")
    assert 0 == inside(guard)


def test_leaving_never_waits(quick):
    guard = quick(PLACES, HEALTH)
    permit = guard.try_enter("r")
    with locked_elsewhere(guard.ledger):
        permit.exit()
        assert "<Permit for 'r': over>" == repr(permit)
    guard.ledger.drain()
    assert (0, 2) == (inside(guard), guard.breakers["r/breaker"].snapshot().total_successes)


def test_the_place_goes_to_who_waits(quick):
    guard = quick(bulkhead(1, max_wait="1s"))
    permit = guard.try_enter("r")
    assert isinstance(permit, StackPermit)
    waiting = ByHand(guard)
    permit.exit()
    assert waiting.waiter.granted
    waiting.go_on().permit().exit()
    assert 0 == inside(guard)


def test_nobody_overtakes_who_waits(quick):
    guard = quick(bulkhead(1, max_wait="1s"))
    first = guard.try_enter("r")
    waiting = ByHand(guard)
    first.exit()
    assert not guard.try_enter("r", max_wait=0)
    waiting.go_on().permit().exit()


def test_a_child_gives_back_nothing_of_its_parents(quick):
    guard = quick(PLACES)
    permit = guard.try_enter("r")

    def child():
        mine = held(guard)
        permit.exit()
        return inside(guard), bool(mine)

    assert "(1, True)" == in_child(child)
    assert 1 == inside(guard)
    permit.exit()


def elsewhere(act):
    """Run it in another thread, to its end."""
    assert ended(started(act))


@pytest.mark.parametrize("ending", [{}, {"failed": True}], ids=["well", "badly"])
@pytest.mark.parametrize("where", [lambda act: act(), elsewhere], ids=["in a signal handler", "in another thread"])
def test_a_call_that_is_ended_while_it_ends_ends_once(where, ending):
    clock = Interrupted()
    guard = guard_of(clock, PLACES, HEALTH)
    guard.try_enter("r").exit()
    permit = guard.try_enter("r")
    assert isinstance(permit, StackPermit)
    clock.first = lambda: where(lambda: permit.exit(**ending))
    permit.exit()
    guard.ledger.drain()
    seen = guard.breakers["r/breaker"].snapshot()
    assert (0, 2) == (inside(guard), seen.total_successes + seen.total_failures)


def test_a_call_that_is_made_up_twice_at_once_ends_once(quick, monkeypatch):
    guard = quick(PLACES)
    permit, make = guard.try_enter("r"), StackPermit._make

    def made(asked):
        monkeypatch.setattr(StackPermit, "_make", make)
        assert asked.decision.allowed  # of another thread
        return make(asked)

    monkeypatch.setattr(StackPermit, "_make", made)
    with locked_elsewhere(guard.ledger):
        permit.exit()
    permit.exit()
    guard.ledger.drain()
    assert 0 == inside(guard)


def test_two_threads_that_end_a_call_at_once_end_it_once(quick):
    guard = quick(PLACES, HEALTH)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            permit, start = guard.try_enter("r"), Barrier(2)

            def end(permit=permit, start=start):
                start.wait(PATIENCE)
                permit.exit()

            assert ended(started(end), started(end))
            guard.ledger.drain()
            assert 0 == inside(guard)
    finally:
        sys.setswitchinterval(interval)
    assert 201 == guard.breakers["r/breaker"].snapshot().total_successes


def test_inside_of_a_turn_it_is_the_end_of_the_turn_that_frees_the_place(quick):
    """Who is in that turn may be about to wait for it, and would not hear that it is free."""
    guard = quick(PLACES)
    permit = guard.try_enter("r")
    with guard.ledger:
        permit.exit()
        assert 1 == inside(guard)
    assert 0 == inside(guard)


@pytest.mark.parametrize(("begins", "state"), [("before", "closed"), ("after", "closed"), ("never", "open")])
def test_of_an_answer_that_has_begun_the_rest_is_not_slow_whenever_the_threshold_came(begins, state):
    guard = Guard([breaker(min_calls=9)])
    guard.try_enter("r").exit()
    permit = guard.try_enter("r")
    way = permit._way
    permit._granted_us = granted_us = permit._granted_us - 9_000_000
    way.ticks = lambda: (granted_us + 1_000) * 1000 - way.anchor_ns
    if begins == "before":
        permit.begin()
    guard.apply([breaker(min_calls=1, slow_call="1s", slow_rate=0.5)])
    if begins == "after":
        permit.begin()
    way.ticks = lambda: (granted_us + 8_000_000) * 1000 - way.anchor_ns
    if begins == "before":
        permit.begin()  # the first one counts
    permit.exit()
    assert state == guard.breakers["r/breaker"].state


def test_a_permit_is_not_copied(quick):
    permit = quick(PLACES).try_enter("r")
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="a permit ends one call"):
            copied(permit)
    permit.exit()


def test_what_a_finalizer_put_off_meanwhile_is_done(quick):
    guard = quick(PLACES, limit("9/min"))
    done = []
    guard.ledger.deferred.append(lambda: done.append("in"))
    permit = guard.try_enter("r")
    guard.ledger.deferred.append(lambda: done.append("out"))
    permit.exit()
    assert ["in", "out"] == done


def test_thresholds_that_changed_meanwhile_judge_the_call(quick):
    """Two of three have failed, which was well under the threshold of before."""
    guard = quick(breaker(min_calls=3, failure_rate=0.9))
    guard.try_enter("r").exit(OSError())
    last = guard.try_enter("r")
    assert isinstance(last, StackPermit)
    guard.apply([breaker(min_calls=3, failure_rate=0.3)])
    last.exit()
    assert "open" == guard.breakers["r/breaker"].state


def test_a_breaker_that_made_room_meanwhile_is_told_in_its_new_place(quick):
    guard = quick(FRAGILE)
    permit = guard.try_enter("r", {"user": "u1"})
    assert isinstance(permit, StackPermit)
    with guard.ledger:
        guard.ledger.breakers["r/breaker"].states.clear()
    permit.exit()
    assert 1 == guard.breakers["r/breaker/u1"].snapshot().total_successes


def test_what_it_costs_in_the_end_is_settled(quick, clock):
    guard = quick(PLACES, limit("9/min"))
    clock.advance(60)
    with guard.enter("r", cost=5) as permit:
        assert isinstance(permit, StackPermit)
        assert 4 == left(guard)
        permit.settle(2)
    assert (7, 0) == (left(guard), inside(guard))


def test_keys_are_counted(quick):
    guard = quick(KEYED | {"rate": "9000/s", "burst": 9000}, EACH, HEALTH)
    for _ in range(300):
        guard.try_enter("r", {"user": "u1"}).exit()
    hot = guard.snapshot(show_keys=True).hot_keys
    assert {"r/limit", "r/bulkhead"} == {one.rule for one in hot if one.key == "u1" and one.calls > 100}


def test_in_tasks_it_is_the_same(quick):
    guard = quick(PLACES, HEALTH)

    async def calls():
        async with guard.enter("r") as permit:
            assert isinstance(permit, StackPermit)
            assert 1 == inside(guard)
        with pytest.raises(Refused):
            async with guard.enter("r"), guard.enter("r"), guard.enter("r"):
                pass

    asyncio.run(calls())
    assert 0 == inside(guard)


@pytest.mark.parametrize("rules", [[PLACES], [HEALTH, PLACES]], ids=str)
def test_many_threads_are_never_more_inside_than_may(rules, quick):
    guard = quick(*rules)
    most = []

    def calls():
        for _ in range(2_000):
            permit = guard.try_enter("r")
            if permit:
                most.append(inside(guard))
                permit.exit()

    threads = [Thread(target=calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert ended(*threads)
    assert (0, True) == (inside(guard), max(most) <= 2)
