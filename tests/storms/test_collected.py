"""Permits and generators that nobody ends: the collector finds them, at any moment, also while the lock is held."""

import asyncio
import gc
import sys
from collections import Counter
from random import Random

import pytest

from guardrail import BulkheadFull, Guard
from tests.storms.crew import CALLS, PATIENCE, Inside, calling, meanwhile, nothing_is_left, storm, tasking
from tests.storms.scheduler import START_US

PLACES = {"kind": "bulkhead", "resource": "r", "name": "places", "max_concurrent": 1}


class Collecting:
    """A clock at which the collector runs: with the lock held, as every turn reads it there."""

    def __init__(self):
        self.collects = True

    def now_us(self):
        if self.collects:
            gc.collect()
        return START_US

    def sleep(self, seconds):
        """Nobody sleeps."""

    async def asleep(self, seconds):
        """Nobody sleeps."""


def in_a_cycle(*things):
    """Drop things so that only the cycle collector finds them."""
    ring = [*things]
    ring.append(ring)


def inside(guard):
    return [state.in_use for state in guard.ledger.bulkheads["places"].states.values()]


def generator(guard, said):
    @guard.guarded("r")
    def items():
        try:
            yield from range(3)
        finally:
            said.append(inside(guard))

    return items()


# -- outside of a turn --------------------------------------------------------------------------------------------------


def test_a_permit_that_is_dropped_gives_its_place_back_and_says_so():
    guard = Guard([PLACES])
    with pytest.warns(ResourceWarning, match=r"<Permit for 'r': granted> was dropped; call its exit\(\)"):
        guard.try_enter("r")
    assert nothing_is_left(guard)


def test_a_permit_in_a_cycle_gives_its_place_back_when_that_is_collected():
    guard = Guard([PLACES])
    in_a_cycle(guard.try_enter("r"))
    assert [1] == inside(guard)
    with pytest.warns(ResourceWarning, match="was dropped"):
        gc.collect()
    assert nothing_is_left(guard)


def test_a_permit_that_was_ended_says_nothing():
    guard = Guard([PLACES])
    permit = guard.try_enter("r")
    permit.exit()
    in_a_cycle(permit)
    gc.collect()
    assert nothing_is_left(guard)


def test_a_permit_that_is_saved_by_a_finalizer_can_still_be_ended():
    guard, saved = Guard([PLACES]), []

    class Saving:
        def __init__(self, permit):
            self.permit = permit

        def __del__(self):
            saved.append(self.permit)

    in_a_cycle(Saving(guard.try_enter("r")))
    gc.collect()
    assert [1] == inside(guard)
    saved[0].exit()
    saved.clear()
    assert nothing_is_left(guard)


def test_a_generator_in_a_cycle_holds_its_place_until_its_own_cleanup_is_done():
    """The collector finalizes all of a cycle in any order; nobody is told to call an exit."""
    guard, said = Guard([PLACES]), []
    stream = generator(guard, said)
    assert 0 == next(stream)
    in_a_cycle(stream)
    del stream
    gc.collect()
    assert [[1]] == said
    assert nothing_is_left(guard)


def test_an_async_generator_in_a_cycle_holds_its_place_until_its_own_cleanup_is_done():
    guard, said = Guard([PLACES]), []

    @guard.guarded("r")
    async def items():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            said.append(inside(guard))

    async def abandon():
        stream = items()
        await anext(stream)
        in_a_cycle(stream)
        del stream
        gc.collect()
        said.append(inside(guard))
        for _ in range(5):  # turns of the loop
            await asyncio.sleep(0)

    asyncio.run(abandon())
    assert [[1], [1]] == said
    assert nothing_is_left(guard)


def test_async_generators_that_are_kept_are_closed_once_when_the_loop_shuts_down():
    """The loop knows the guarded ones only: it would close those below side by side with them, in any order."""
    guard, said, kept = Guard([{**PLACES, "max_concurrent": 5}]), [], []

    @guard.guarded("r")
    async def items(number):
        try:
            yield 1
        finally:
            for _ in range(number):
                await asyncio.sleep(0)
            said.append(inside(guard))

    async def keep():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        for number in range(5):
            kept.append(items(number))
            await anext(kept[-1])

    asyncio.run(keep())
    assert [[5], [4], [3], [2], [1]] == said
    assert nothing_is_left(guard)


def test_an_async_generator_whose_loop_is_gone_gives_its_place_back():
    guard = Guard([PLACES])

    @guard.guarded("r")
    async def items():
        yield 1

    loop = asyncio.new_event_loop()
    stream = items()
    loop.run_until_complete(anext(stream))
    loop.close()
    assert [1] == inside(guard)
    in_a_cycle(stream)
    del stream
    gc.collect()
    assert nothing_is_left(guard)


# -- inside of a turn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["block", "decorated", "peek", "exit"])
def test_a_permit_that_is_collected_inside_a_turn_gives_its_place_back_in_it(way):
    """The finalizer runs on the thread that has the lock, and does not wait for it."""
    guard = Guard([{**PLACES, "max_concurrent": 2}], clock=Collecting())
    other = guard.try_enter("r")

    def block():
        with guard.enter("r"):
            assert [2] == inside(guard)

    def decorated():
        assert [2] == guard.guarded("r")(lambda: inside(guard))()

    def peek():
        assert guard.peek("r").allowed

    in_a_cycle(guard.try_enter("r"))
    with pytest.warns(ResourceWarning, match="was dropped"):
        {"block": block, "decorated": decorated, "peek": peek, "exit": other.exit}[way]()
    other.exit()
    assert nothing_is_left(guard)


@pytest.mark.parametrize("decorated", [False, True])
def test_a_generator_that_is_collected_inside_a_turn_gives_its_place_back_in_it(decorated):
    guard, said = Guard([PLACES], clock=Collecting()), []
    call = guard.guarded("r")(lambda: inside(guard))
    assert call() == [1]  # the plan is made: what follows may be decided by a closure
    stream = generator(guard, said)
    assert 0 == next(stream)
    in_a_cycle(stream)
    del stream
    if decorated:
        assert [1] == call()
    else:
        with guard.enter("r"):
            assert [1] == inside(guard)
    assert [[1]] == said
    assert nothing_is_left(guard)


def test_the_next_in_line_gets_the_place_of_a_permit_that_is_collected_inside_a_turn():
    guard = Guard([{**PLACES, "max_wait": PATIENCE}], clock=Collecting())

    async def main():
        in_a_cycle(await guard.atry_enter("r"))
        guard.ledger.clock.collects = False
        waiting = asyncio.create_task(guard.atry_enter("r"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        guard.ledger.clock.collects = True
        assert not guard.peek("r").allowed  # a turn, and no more
        (await waiting).exit()

    with pytest.warns(ResourceWarning, match="was dropped"):
        asyncio.run(main())
    assert nothing_is_left(guard)


# -- at any moment ------------------------------------------------------------------------------------------------------


def test_a_collector_that_runs_at_every_chance_loses_nothing():
    """Threads and tasks abandon generators in cycles; the collector runs among them and in a thread of its own."""
    guard, inside_, tally, chance = Guard([{**PLACES, "max_wait": PATIENCE}]), Inside(), [], Random(7)

    @guard.guarded("r")
    def items():
        with inside_:
            yield from range(3)

    @guard.guarded("r")
    async def aitems():
        with inside_:
            for item in range(3):
                yield item
                await asyncio.sleep(0)

    def abandon():
        stream = items()
        next(stream)
        if chance.random() < 0.5:
            in_a_cycle(stream)

    async def aabandon():
        stream = aitems()
        await anext(stream)
        if chance.random() < 0.5:
            in_a_cycle(stream)

    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(1, 1, 1)
    sys.setswitchinterval(1e-6)
    gc.enable()
    try:
        calls = CALLS // 2
        with meanwhile(lambda _: gc.collect()):  # what is old by now, while everybody waits for it
            storm(*[calling(abandon, tally, calls)] * 3, *[tasking(aabandon, tally, cancelled=0.2, calls=calls)] * 2)
    finally:
        gc.disable()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)
    gc.collect()
    assert {"done", "CancelledError"} >= set(tally)
    assert Counter(tally)["done"] >= 3 * calls
    assert 1 == max(inside_.seen)
    assert nothing_is_left(guard)


def test_a_refusal_that_is_kept_keeps_no_place():
    """Its traceback holds the frames of everything between."""
    guard = Guard([PLACES])
    with guard.enter("r"), pytest.raises(BulkheadFull) as refused:
        guard.guarded("r")(lambda: None)()
    assert refused.value.__traceback__ is not None
    assert nothing_is_left(guard)
