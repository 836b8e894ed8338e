"""Threads, and loops in threads, that are switched at every chance: no more than the rules say, and nothing left behind.

Nobody sleeps: threads meet at a barrier and are given a fixed number of calls. What they wait for comes from the others.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from itertools import count
from random import Random
from threading import Barrier, Event, Thread

import pytest

from guardrail import Guard, Refused
from guardrail.testing import RecordingListener
from guardrail.telemetry.events import BreakerMoved
from tests.storms.scheduler import START_US

THREADS = 6
TIMES = max(1, int(os.environ.get("STORM_SEEDS", "10000")) // 10_000)  # how much longer than usual
PATIENCE = 60  # real seconds until a storm that hangs fails
STANDING = ["token_bucket", "sliding_window", "fixed_window", "sliding_log"]


@pytest.fixture(autouse=True)
def switched_at_every_chance():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Ticking:
    """A clock that moves on by a microsecond with each look."""

    def __init__(self, step=1):
        self._ticks = count(START_US, step)  # one step of it is atomic

    def now_us(self):
        return next(self._ticks)

    def sleep(self, seconds):
        time.sleep(0)

    async def asleep(self, seconds):
        await asyncio.sleep(0)


def storm(*acts):
    """Run each act in a thread, all from the same moment, and raise what one of them raised."""
    barrier, raised = Barrier(len(acts)), []

    def run(act):
        try:
            barrier.wait(PATIENCE)
            act()
        except BaseException as error:  # noqa: BLE001  it is raised again where pytest sees it
            raised.append(error)

    threads = [Thread(target=run, args=(act,), daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    if raised:
        raise raised[0]
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"


def calls(call, number, tally):
    """An act: so many calls, and how they went."""

    def act():
        for _ in range(number * TIMES):
            try:
                call()
                tally.append("done")
            except Refused as refused:
                tally.append(refused.reason)
            except (ValueError, TimeoutError, asyncio.CancelledError) as error:
                tally.append(type(error).__name__)

    return act


def tasks(call, number, tally, *, at_once=5, cancelled=0.0, seed=0):
    """The same in a loop, where some are cancelled."""

    async def one():
        try:
            await call()
            tally.append("done")
        except Refused as refused:
            tally.append(refused.reason)
        except (ValueError, TimeoutError) as error:
            tally.append(type(error).__name__)
        except asyncio.CancelledError:
            tally.append("CancelledError")

    async def all_of_them():
        chance = Random(seed)
        for _ in range(number * TIMES // at_once):
            group = [asyncio.create_task(one()) for _ in range(at_once)]
            for task in group:
                if chance.random() < cancelled:
                    await asyncio.sleep(0)
                    task.cancel()
            await asyncio.wait(group)
            # one that was cancelled before its first step has not told anybody
            tally.extend("CancelledError" for task in group if task.cancelled())

    return lambda: asyncio.run(all_of_them())


class Inside:
    """Count who is inside, and let others run there. A list's end is atomic, so that nothing here keeps threads apart."""

    def __init__(self):
        self.now, self.most = [], []

    def __enter__(self):
        self.now.append(None)
        self.most.append(len(self.now))
        time.sleep(0)

    def __exit__(self, *_):
        self.now.pop()


def nothing_is_left(guard):
    ledger = guard.ledger
    assert not ledger.lock.locked()
    assert not ledger.deferred
    assert not ledger.waiting
    for states in ledger.bulkheads.values():
        assert [(0, 0)] * len(states.states) == [(state.in_use, state.waiting) for state in states.states.values()]
    for states in ledger.breakers.values():
        assert not any(health.trial and health.trial.out for health in states.states.values())


# -- limits let in what the law says, to the token ----------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", STANDING)
def test_a_limit_lets_in_its_capacity_and_not_one_more(algorithm):
    """A clock that stands still: the capacity is all there is."""
    guard = Guard([{"kind": "limit", "resource": "r", "rate": "400/d", "algorithm": algorithm}], clock=Ticking(step=0))
    tally = []
    decorated = guard.guarded("r")(lambda: None)
    by_hand = lambda: guard.enter("r").__enter__().exit()  # noqa: E731
    storm(*(calls(call, 150, tally) for call in (decorated, by_hand) * (THREADS // 2)))
    assert Counter(done=400, rate=500) == Counter(tally)


def test_a_keyed_limit_lets_in_its_capacity_for_each_key():
    guard = Guard(clock=Ticking(step=0))

    @guard.limit("50/d", key="user")
    def call(user):
        tally.append(user)

    tally, users = [], "abcd"
    storm(*(calls(lambda user=user: call(user), 60, []) for user in users for _ in range(2)))
    assert Counter(dict.fromkeys(users, 50)) == Counter(tally)


@pytest.mark.parametrize("burst", [1, 10])
def test_a_limit_that_fills_up_meanwhile_never_lets_in_more_than_its_law(burst):
    clock = Ticking()
    guard, tally = Guard(clock=clock), []
    call = guard.limit("100_000/s", burst=burst)(lambda: None)
    begin_us = clock.now_us()
    storm(*(calls(call, 200, tally) for _ in range(THREADS)))
    passed_us = clock.now_us() - begin_us
    admitted = Counter(tally)["done"]
    assert admitted <= burst + passed_us // 10
    assert admitted >= passed_us // 10 // 2  # the storm was one: most of what came back was taken


def test_tokens_that_are_given_back_are_back_and_no_others():
    """Charged by each, kept by those that failed."""
    guard = Guard([{"kind": "limit", "resource": "r", "rate": "900/d", "charge": "failure"}], clock=Ticking(step=0))
    tally = []

    def call(chance=Random(1)):
        with guard.enter("r"):
            if chance.random() < 0.2:
                raise ValueError

    storm(*(calls(call, 150, tally) for _ in range(THREADS)))
    assert 900 - Counter(tally)["ValueError"] == guard.peek("r", cost=0).remaining


# -- bulkheads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3])
def test_threads_and_tasks_share_a_bulkhead_and_all_get_their_turn(size):
    rule = {"kind": "bulkhead", "resource": "r", "max_concurrent": size, "max_wait": PATIENCE}
    guard, inside, tally = Guard([rule]), Inside(), []

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

    storm(*(calls(call, 100, tally) for call in (work, block, work, block)), *(tasks(awork, 100, tally) for _ in range(2)))
    assert Counter(done=600) == Counter(tally)
    assert max(inside.most) <= size
    nothing_is_left(guard)


def test_who_gives_up_or_is_cancelled_while_the_place_is_handed_over_passes_it_on():
    """Waits that end at any moment, in threads and tasks, and a queue that is full."""
    rule = {"kind": "bulkhead", "resource": "r", "max_concurrent": 1, "max_wait": PATIENCE, "max_queue": 8}
    guard, inside, tally = Guard([rule]), Inside(), []

    def impatient(chance=Random(2)):
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
        *(calls(impatient, 150, tally) for _ in range(3)),
        tasks(patient, 150, tally, cancelled=0.5, seed=3),
        tasks(timed, 150, tally, cancelled=0.2, seed=4),
    )
    seen = Counter(tally)
    assert 750 == seen.total()
    assert {"done", "bulkhead_timeout", "bulkhead_full", "CancelledError"} <= set(seen)
    assert 1 == max(inside.most)
    nothing_is_left(guard)


def test_sizes_that_change_meanwhile_leave_nobody_waiting_beside_a_free_place():
    guard, inside, tally, over = Guard(), Inside(), [], Event()
    rule = {"kind": "bulkhead", "resource": "r", "max_wait": PATIENCE, "name": "places"}
    sizes = [1, 4, 2]

    def resize():
        for size in count():
            guard.apply([{**rule, "max_concurrent": sizes[size % 3]}])
            with guard.ledger:
                states = guard.ledger.bulkheads.get("places")
                for state in states.states.values() if states else ():
                    assert not state.waiting or state.in_use >= states.bulkhead.max_concurrent
            if over.is_set():
                return

    guard.apply([{**rule, "max_concurrent": 1}])

    @guard.guarded("r")
    def work():
        with inside:
            pass

    @guard.guarded("r")
    async def awork():
        with inside:
            await asyncio.sleep(0)

    resizer = Thread(target=resize, daemon=True)
    resizer.start()
    storm(*(calls(work, 150, tally) for _ in range(4)), tasks(awork, 150, tally, at_once=10, cancelled=0.3))
    over.set()
    resizer.join(PATIENCE)
    assert {"done", "CancelledError"} == set(tally)
    assert max(inside.most) <= max(sizes)
    nothing_is_left(guard)


# -- breakers, and all three --------------------------------------------------------------------------------------------


def test_every_call_is_recorded_once_and_every_move_starts_a_generation():
    """Whatever hands, reloads, probes and cancellations do to the breaker meanwhile."""
    news, inside, tally, over = RecordingListener(), Inside(), [], Event()
    guard = Guard(listeners=[news], clock=Ticking())
    ran, resets = [], []

    def stack(function):
        function = guard.limit("1000000/s", burst=1000, name="r")(function)
        function = guard.bulkhead(3, max_wait=0.001, name="r")(function)
        return guard.breaker(consecutive_failures=3, open_for="1ms", half_open_calls=2, name="r")(function)

    def body(chance=Random(5)):
        ran.append(None)
        with inside:
            if chance.random() < 0.4:
                raise ValueError

    @stack
    def work():
        body()

    @stack
    async def awork():
        body()

    def by_hand(chance=Random(6)):
        breaker = guard.breakers["r/breaker"]
        for turn in count():
            act = chance.choice((breaker.force_open, breaker.force_closed, breaker.reset, breaker.reset))
            act()
            resets.append(act == breaker.reset)
            breaker.reset()
            resets.append(True)
            if turn % 5 == 0:
                guard.apply([])
            if over.is_set():
                return

    hand = Thread(target=by_hand, daemon=True)
    hand.start()
    storm(*(calls(work, 150, tally) for _ in range(4)), tasks(awork, 150, tally, cancelled=0.3))
    over.set()
    hand.join(PATIENCE)
    assert not hand.is_alive()
    now = guard.breakers["r/breaker"].snapshot()
    moves = news.of(BreakerMoved)
    silent = sum(resets) - sum(move.reason == "reset by hand" for move in moves)
    assert len(ran) == now.total_successes + now.total_failures + now.total_ignored
    assert Counter(tally)["ValueError"] == now.total_failures
    assert len(moves) + silent == now.generation
    assert max(inside.most) <= 3
    nothing_is_left(guard)
