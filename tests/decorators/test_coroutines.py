"""A guarded coroutine function waits, fails and is cancelled as before, and gives back what it holds."""

import asyncio
import gc
import warnings
from threading import Event, Thread

import pytest

from guardrail import RateLimited
from tests.decorators.scene import failures, inside, left, refusal


def test_nothing_is_decided_before_it_is_awaited(guard):
    @guard.limit("1/h", name="r")
    async def call():
        return 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as of any coroutine: never awaited
        call()
        gc.collect()
    assert 1 == left(guard, "r")
    assert 1 == asyncio.run(call())
    assert isinstance(refusal(call), RateLimited)


def test_it_holds_its_place_while_it_waits(guard):
    @guard.bulkhead(2, name="r")
    async def call(gate):
        await gate.wait()
        return inside(guard)

    async def main():
        gate = asyncio.Event()
        calls = [asyncio.ensure_future(call(gate)) for _ in range(2)]
        await asyncio.sleep(0)
        assert 2 == inside(guard)
        gate.set()
        return await asyncio.gather(*calls)

    assert [2, 1] == asyncio.run(main())
    assert 0 == inside(guard)


def test_cancelling_it_gives_its_place_back_and_is_no_vote(guard):
    @guard.bulkhead(1)
    @guard.breaker(name="r")
    async def call():
        await asyncio.get_running_loop().create_future()

    async def main():
        running = asyncio.ensure_future(call())
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert 0 == inside(guard)
    assert 1 == guard.breakers["r/breaker"].snapshot().total_ignored


def test_waiting_for_a_place_does_not_hold_up_the_loop(guard):
    @guard.bulkhead(1, max_wait="1h")
    async def call(gate):
        await gate.wait()
        return "served"

    async def main():
        gate = asyncio.Event()
        calls = [asyncio.ensure_future(call(gate)) for _ in range(5)]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*calls)

    assert ["served"] * 5 == asyncio.run(main())


def test_waiting_for_a_limit_takes_the_time_of_the_clock(guard, clock):
    @guard.limit("1/min", max_wait="1h")
    async def call():
        return clock.now_us()

    async def main():
        return [await call() for _ in range(3)]

    first, second, third = asyncio.run(main())
    assert (60_000_000, 60_000_000) == (second - first, third - second)


def test_an_error_is_a_failure_and_comes_out_as_it_was(guard):
    @guard.breaker(name="r")
    async def call():
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(call())
    assert 1 == failures(guard, "r/breaker")


def test_a_thread_and_a_task_share_one_bulkhead(guard):
    entered, leave = Event(), Event()

    @guard.bulkhead(1, max_wait="1h", name="r")
    def hold():
        entered.set()
        assert leave.wait(20)

    @guard.bulkhead(1, max_wait="1h", name="r")
    async def call():
        return "served"

    async def main():
        waiting = asyncio.ensure_future(call())
        await asyncio.sleep(0)
        assert not waiting.done()
        leave.set()
        return await waiting

    holding = Thread(target=hold)
    holding.start()
    assert entered.wait(20)
    assert "served" == asyncio.run(main())
    holding.join(20)
    assert 0 == inside(guard)
