"""Threads, and loops in threads, that are switched at every chance: no more than the rules say, and nothing left behind."""

import asyncio
import sys
from collections import Counter
from random import Random

import pytest

from guardrail import Guard
from guardrail.telemetry.events import BreakerMoved
from guardrail.testing import RecordingListener
from tests.storms.crew import CALLS, PATIENCE, Inside, Ticking, calling, meanwhile, nothing_is_left, storm, tasking

THREADS = 6
ALGORITHMS = ("token_bucket", "sliding_window", "fixed_window", "sliding_log")


@pytest.fixture(autouse=True)
def switched_at_every_chance():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def nothing():
    """Be guarded."""


# -- limits let in what the law says, to the token ----------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_limit_lets_in_its_capacity_and_not_one_more(algorithm):
    """The clock stands still, so the capacity is all there is."""
    rate = f"{2 * CALLS}/d"
    guard, tally = (
        Guard([{"kind": "limit", "resource": "r", "rate": rate, "algorithm": algorithm}], clock=Ticking(0)),
        [],
    )

    def block():
        with guard.enter("r"):
            pass

    storm(*(calling(call, tally) for call in (guard.guarded("r")(nothing), block) * (THREADS // 2)))
    assert Counter(done=2 * CALLS, rate=(THREADS - 2) * CALLS) == Counter(tally)


def test_a_keyed_limit_lets_in_its_capacity_for_each_key():
    guard, entered = Guard(clock=Ticking(0)), []

    @guard.limit(f"{CALLS}/d", key="user")
    def call(user):
        entered.append(user)

    storm(*(calling(lambda user=user: call(user), []) for user in "abcd" for _ in range(2)))
    assert Counter(dict.fromkeys("abcd", CALLS)) == Counter(entered)


@pytest.mark.parametrize("burst", [1, 10])
def test_a_limit_that_refills_meanwhile_never_lets_in_more_than_its_law(burst):
    clock, tally = Ticking(), []
    call = Guard(clock=clock).limit("100_000/s", burst=burst)(nothing)
    begin_us = clock.now_us()
    storm(*(calling(call, tally) for _ in range(THREADS)))
    span_us = clock.now_us() - begin_us
    admitted = Counter(tally)["done"]
    assert admitted <= burst + span_us // 10
    assert admitted > span_us // 20  # it was a storm: much of what came back was taken


def test_tokens_that_are_given_back_are_back_and_no_others():
    """Every call is charged, those that fail pay."""
    guard = Guard([{"kind": "limit", "resource": "r", "rate": "1_000_000/d", "charge": "failure"}], clock=Ticking(0))
    chance, tally = Random(1), []

    def call():
        with guard.enter("r"):
            if chance.random() < 0.2:
                raise ValueError

    storm(*(calling(call, tally) for _ in range(THREADS)))
    assert 1_000_000 - Counter(tally)["ValueError"] == guard.peek("r", cost=0).remaining


# -- bulkheads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3])
def test_threads_and_tasks_share_a_bulkhead_and_all_get_their_turn(size):
    guard = Guard([{"kind": "bulkhead", "resource": "r", "max_concurrent": size, "max_wait": PATIENCE}])
    inside, tally = Inside(), []

    @guard.guarded("r")
    def work():
        with inside:
            pass

    @guard.guarded("r")
    async def awork():
        with inside:
            await asyncio.sleep(0)

    def block():
        with guard.enter("r"), inside:
            pass

    @guard.guarded("r")
    def items():
        with inside:
            yield from range(3)

    def half_read():
        next(items())  # dropped at once

    storm(*(calling(call, tally) for call in (work, block, half_read, half_read)), *[tasking(awork, tally)] * 2)
    assert Counter(done=6 * CALLS) == Counter(tally)
    assert max(inside.seen) <= size
    assert nothing_is_left(guard)


def test_who_gives_up_or_is_cancelled_as_the_place_is_handed_over_passes_it_on():
    rule = {"kind": "bulkhead", "resource": "r", "max_concurrent": 1, "max_wait": PATIENCE, "max_queue": 8}
    guard, inside, tally, chance = Guard([rule]), Inside(), [], Random(2)

    def impatient():
        with guard.enter("r", max_wait=chance.choice((0, 0.000_01, 0.000_1))), inside:
            pass

    async def patient():
        async with guard.enter("r"):
            with inside:
                await asyncio.sleep(0)

    async def timed():
        async with asyncio.timeout(0.000_1):
            await patient()

    storm(
        *[calling(impatient, tally)] * 3, tasking(patient, tally, cancelled=0.5), tasking(timed, tally, cancelled=0.2)
    )
    seen = Counter(tally)
    assert 5 * CALLS == seen.total()
    assert {"done", "bulkhead_timeout", "bulkhead_full", "CancelledError", "TimeoutError"} == set(seen)
    assert 1 == max(inside.seen)
    assert nothing_is_left(guard)


def test_sizes_that_change_meanwhile_leave_nobody_waiting_beside_a_free_place():
    rule = {"kind": "bulkhead", "resource": "r", "name": "places", "max_wait": PATIENCE}
    sizes = (1, 4, 2)
    guard, inside, tally = Guard([{**rule, "max_concurrent": 1}]), Inside(), []

    @guard.guarded("r")
    def work():
        with inside:
            pass

    @guard.guarded("r")
    async def awork():
        with inside:
            await asyncio.sleep(0)

    def resize(turn):
        guard.apply([{**rule, "max_concurrent": sizes[turn % 3]}])
        with guard.ledger:
            states = guard.ledger.bulkheads["places"]
            for state in states.states.values():
                assert not state.waiting or state.in_use >= states.bulkhead.max_concurrent

    guard.peek("r")  # it is there from the first look
    with meanwhile(resize):
        storm(*[calling(work, tally)] * 4, tasking(awork, tally, together=10, cancelled=0.3))
    assert {"done", "CancelledError"} == set(tally)
    assert max(inside.seen) <= max(sizes)
    assert nothing_is_left(guard)


# -- breakers, and all three --------------------------------------------------------------------------------------------


def test_every_call_is_recorded_once_and_every_move_is_told_once_and_starts_a_generation():
    """Whatever hands, reloads, probes and cancellations do to the breaker meanwhile."""
    news = RecordingListener()
    guard, inside, tally, ran, resets, chance = (
        Guard(listeners=[news], clock=Ticking()),
        Inside(),
        [],
        [],
        [],
        Random(5),
    )
    resource = "r"

    def stacked(function):
        function = guard.limit("1_000_000/s", burst=10_000, name=resource)(function)
        function = guard.bulkhead(3, max_wait="1ms", name=resource)(function)
        return guard.breaker(consecutive_failures=3, open_for="1ms", half_open_calls=2, name=resource)(function)

    def body():
        ran.append(None)
        with inside:
            if chance.random() < 0.4:
                raise ValueError

    @stacked
    def work():
        body()

    @stacked
    async def awork():
        body()

    def by_hand(turn):
        breaker = guard.breakers["r/breaker"]
        [breaker.force_open, breaker.force_closed, breaker.reset][turn % 3]()
        breaker.reset()
        resets.extend([None] * (2 if turn % 3 == 2 else 1))
        if turn % 5 == 0:
            guard.apply([])

    with meanwhile(by_hand):
        storm(*[calling(work, tally)] * 4, tasking(awork, tally, cancelled=0.3))
    now, moves = guard.breakers["r/breaker"].snapshot(), news.of(BreakerMoved)
    of_closed = len(resets) - sum(move.reason == "reset by hand" for move in moves)  # a generation, but no move
    assert len(ran) == now.total_successes + now.total_failures + now.total_ignored
    assert Counter(tally)["ValueError"] == now.total_failures
    assert len(moves) + of_closed == now.generation
    assert max(inside.seen) <= 3
    assert nothing_is_left(guard)


def test_an_event_is_told_once_although_another_turn_follows_at_once():
    """What another thread says right after the lock is free is its own to tell."""
    news = RecordingListener()
    guard = Guard([{"kind": "breaker", "resource": "r", "name": "health"}], listeners=[news])
    health, lock = guard.breakers["health"], guard.ledger.lock

    class Crowded:
        """A lock for which somebody else waits."""

        def __init__(self):
            self.others = [health.force_open]

        def acquire(self, blocking=True):
            return lock.acquire(blocking)

        def release(self):
            lock.release()
            if self.others:
                self.others.pop()()

        def __enter__(self):
            return lock.acquire()

        def __exit__(self, *_):
            lock.release()

    guard.ledger.lock = Crowded()
    with guard.ledger:
        pass
    assert ["forced_open"] == [move.to_state for move in news.of(BreakerMoved)]
