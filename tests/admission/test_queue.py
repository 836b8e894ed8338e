"""Who waits for a place gets it in order of arrival, threads and tasks alike, and nobody is forgotten."""

import asyncio
from functools import partial
from threading import Thread

import pytest

from guardrail.clock import SystemClock
from guardrail.testing import FakeClock
from tests.admission.scene import (
    PATIENCE,
    START_US,
    ByHand,
    Line,
    bulkhead,
    decided,
    ended,
    guard_of,
    held,
    inside,
    limit,
    queued,
    running_loop,
    started,
)

SPACED = limit("1/s", burst=1, max_wait="1h")


# -- order -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrivals", ["tttttt", "aaaaaa", "tataat", "attaat"])
def test_threads_and_tasks_are_let_in_in_order_of_arrival(clock, arrivals):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    line, holder, order = Line(guard), held(guard), []

    def thread(number):
        with guard.enter("r"):
            order.append(number)

    async def task(number):
        async with guard.enter("r"):
            order.append(number)

    with running_loop() as loop:
        waiting = []
        for number, kind in enumerate(arrivals):
            if kind == "t":
                waiting.append(started(partial(thread, number)).join)
            else:
                waiting.append(asyncio.run_coroutine_threadsafe(task(number), loop).result)
            assert line.grows()
        assert len(arrivals) == queued(guard)
        holder.exit()
        for wait in waiting:
            wait(PATIENCE)
    assert (list(range(len(arrivals))), 0) == (order, inside(guard))


def test_nobody_overtakes_the_queue_when_a_place_is_free(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    holder, first = held(guard), ByHand(guard)
    holder.exit()  # the place is the first one's, though it has not woken yet
    assert "bulkhead_full" == decided(guard, max_wait=0).reason
    assert first.go_on().is_in


def test_who_slept_for_a_limit_stands_ahead_of_new_arrivals(clock):
    guard = guard_of(clock, SPACED, bulkhead(max_wait="1h", resource=["r", "new"], name="places"))
    decided(guard)
    sleeper = ByHand(guard)
    holder, new = held(guard, "new"), ByHand(guard, "new")
    clock.advance(1)
    sleeper.go_on()
    last = ByHand(guard, "new")
    holder.exit()
    assert (True, False, False) == (sleeper.waiter.granted, new.waiter.granted, last.waiter.granted)
    sleeper.go_on().permit().exit()
    assert (True, False) == (new.waiter.granted, last.waiter.granted)


def test_those_who_slept_keep_the_order_in_which_they_come_back(clock):
    guard = guard_of(clock, SPACED, bulkhead(max_wait="1h"))
    decided(guard)
    sleepers = [ByHand(guard) for _ in range(3)]
    holder = held(guard, cost=0)
    clock.advance(3)
    for sleeper in reversed(sleepers):
        sleeper.go_on()
    holder.exit()
    order = []
    for _ in sleepers:
        [granted] = [sleeper for sleeper in sleepers if sleeper.needs and sleeper.waiter.granted]
        order.append(sleepers.index(granted))
        granted.go_on().permit().exit()
    assert [2, 1, 0] == order


def test_who_returns_is_not_refused_for_a_full_queue(clock):
    guard = guard_of(clock, SPACED, bulkhead(max_wait="1h", max_queue=1))
    decided(guard)
    sleeper, holder, first = ByHand(guard), held(guard, cost=0), ByHand(guard, cost=0)
    clock.advance(1)
    sleeper.go_on()
    assert (2, "bulkhead_full") == (queued(guard), decided(guard).reason)
    holder.exit()
    assert (True, False) == (sleeper.waiter.granted, first.waiter.granted)


# -- whoever cannot use its place passes it on -------------------------------------------------------------------------


@pytest.mark.parametrize("gives_up", ["times out", "is cancelled"])
def test_a_place_handed_to_a_waiter_that_gives_up_goes_to_the_next(clock, gives_up):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    holder, first, second = held(guard), ByHand(guard, max_wait="10s"), ByHand(guard)
    if gives_up == "times out":
        clock.advance(10)
        first.go_on()
        assert "bulkhead_timeout" == first.reason
        holder.exit()
    else:
        holder.exit()
        assert first.waiter.granted
        first.cancel()
    assert second.waiter.granted
    assert second.go_on().is_in
    second.permit().exit()
    assert 0 == inside(guard)


def test_a_place_handed_over_as_time_is_up_is_kept(clock):
    guard = guard_of(clock, bulkhead(max_wait="10s"))
    holder, waiting = held(guard), ByHand(guard)
    holder.exit()
    clock.advance(10)
    assert waiting.go_on().is_in


def queued_in_a_loop_that_ends(guard):
    """A task in the queue whose event loop is closed; it stays suspended for as long as it is referred to."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(guard.atry_enter("r"))
    loop.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False
    loop.close()
    return task


def test_a_place_handed_to_a_task_whose_loop_is_closed_goes_to_the_next(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    holder = held(guard)
    tasks = [queued_in_a_loop_that_ends(guard) for _ in range(3)]
    waiting = ByHand(guard)
    holder.exit()
    assert waiting.go_on().is_in
    assert (1, 0) == (inside(guard), queued(guard))
    for task in tasks:
        task.get_coro().close()  # they have nothing any more
    assert (1, 0) == (inside(guard), len(guard.ledger.waiting))


def test_a_place_that_only_tasks_of_a_closed_loop_wait_for_is_free(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    holder = held(guard)
    task = queued_in_a_loop_that_ends(guard)
    holder.exit()
    assert (0, 0) == (inside(guard), queued(guard))
    assert decided(guard).allowed
    task.get_coro().close()


def test_a_waiter_is_roused_any_number_of_times(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))

    async def main():
        holder = guard.try_enter("r")
        call = asyncio.create_task(guard.atry_enter("r"))
        await asyncio.sleep(0)
        [waiter] = guard.ledger.waiting
        holder.exit()
        waiter.rouse()
        waiter.rouse()
        permit = await call
        await permit.aexit()

    asyncio.run(main())
    assert 0 == inside(guard)


def test_a_place_that_comes_before_the_driver_has_settled_down_is_seen(clock):
    """It is handed over after the turn in which the call queued, before anybody can be woken."""
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    holder = held(guard)

    class Prompt(Line):
        def add(self, waiter):
            super().add(waiter)
            holder.exit()  # inside the turn: it happens as soon as the turn is over

    Prompt(guard)
    permit = held(guard)
    assert permit
    permit.exit()

    holder = held(guard)
    permit = asyncio.run(guard.atry_enter("r"))
    assert permit
    permit.exit()


# -- places that come and go with the rules ----------------------------------------------------------------------------


def test_a_bulkhead_that_grows_lets_those_in_who_wait(clock):
    guard = guard_of(clock, bulkhead(1, max_wait="1h"))
    line, permits, threads = Line(guard), [held(guard)], []
    for _ in range(3):
        threads.append(started(lambda: permits.append(guard.try_enter("r"))))
        assert line.grows()
    guard.apply([bulkhead(3, max_wait="1h")])
    assert ended(*threads[:2])
    assert (3, 1) == (inside(guard), queued(guard))
    guard.apply([bulkhead(4, max_wait="1h")])
    assert ended(*threads)
    assert 4 == sum(map(bool, permits))
    for permit in permits:
        permit.exit()


def test_a_bulkhead_that_shrinks_drains(clock):
    guard = guard_of(clock, bulkhead(3, max_wait="1h"))
    holders = [held(guard) for _ in range(3)]
    guard.apply([bulkhead(1, max_wait="1h")])
    waiting = ByHand(guard)
    for holder in holders[:2]:
        holder.exit()
        assert not waiting.waiter.granted
    holders[2].exit()
    assert waiting.go_on().is_in
    assert 1 == inside(guard)


def test_waiters_of_a_rule_that_is_gone_are_served_by_those_inside(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    holder, waiting = held(guard), ByHand(guard)
    guard.apply([])
    holder.exit()
    assert waiting.go_on().is_in


# -- time --------------------------------------------------------------------------------------------------------------


def test_moving_the_clock_ends_the_wait_of_a_thread(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    line = Line(guard)
    held(guard)
    reasons = []
    thread = started(lambda: reasons.append(decided(guard).reason))
    assert line.grows()
    clock.advance(3599)
    assert 1 == queued(guard)
    clock.advance(1)
    assert ended(thread)
    assert (["bulkhead_timeout"], 0) == (reasons, queued(guard))


def test_moving_the_clock_ends_the_wait_of_a_task(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    held(guard)

    async def main():
        call = asyncio.create_task(guard.atry_enter("r"))
        await asyncio.sleep(0)
        clock.advance(3600)
        return (await call).decision.reason

    assert "bulkhead_timeout" == asyncio.run(main())


@pytest.mark.parametrize("enter", ["thread", "task"])
def test_a_wait_ends_without_anybody_who_moves_the_clock(enter):
    """The driver's own patience is real, and short here; the guard's clock is then moved on by the sleep for the rest."""
    guard = guard_of(FakeClock(START_US), bulkhead(max_wait="1ms"))
    held(guard)
    permit = guard.try_enter("r") if enter == "thread" else asyncio.run(guard.atry_enter("r"))
    assert ("bulkhead_timeout", 0.001) == (permit.decision.reason, permit.decision.wait)


def test_on_a_real_clock_a_wait_ends_in_time_and_a_sleep_too():
    guard = guard_of(SystemClock(), limit("100/s", burst=1, max_wait="1s"), bulkhead(max_wait="1ms"))
    decided(guard)
    assert decided(guard).wait > 0
    held(guard, cost=0)
    assert "bulkhead_timeout" == decided(guard, cost=0).reason

    async def main():
        return await guard.atry_enter("r", cost=0), await guard.atry_enter("r", cost=0)

    assert not any(asyncio.run(main()))


def test_a_place_is_never_given_twice_in_a_storm_of_threads_and_tasks(clock):
    guard = guard_of(clock, bulkhead(2, max_wait="1h"))
    inside_now, most = [0], [0]

    def count(step):
        inside_now[0] += step
        most[0] = max(most[0], inside_now[0])

    async def task():
        for _ in range(20):
            async with guard.enter("r"):
                with guard.ledger:
                    count(1)
                await asyncio.sleep(0)
                with guard.ledger:
                    count(-1)

    def thread():
        for _ in range(50):
            with guard.enter("r"):
                with guard.ledger:
                    count(1)
                with guard.ledger:
                    count(-1)

    async def tasks():
        await asyncio.gather(*(task() for _ in range(10)))

    threads: list[Thread] = [started(thread) for _ in range(3)] + [started(lambda: asyncio.run(tasks()))]
    assert ended(*threads)
    assert (0, 0, 0) == (inside(guard), queued(guard), len(guard.ledger.waiting))
    assert 1 <= most[0] <= 2
