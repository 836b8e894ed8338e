"""A clock tells whole microseconds and sleeps for seconds."""

import asyncio
import time

import pytest

from guardrail.clock import Advanceable, SystemClock
from guardrail.testing import FakeClock


def test_the_systems_clock_shows_wall_time_as_it_was_at_its_start():
    before = time.time_ns() // 1000
    now_us = SystemClock().now_us()
    assert before - 1_000 <= now_us <= time.time_ns() // 1000 + 1_000


def test_the_systems_clock_follows_monotonic_time_whatever_happens_to_wall_time(monkeypatch):
    ticks = [5_000_000_000]
    monkeypatch.setattr(time, "monotonic_ns", lambda: ticks[0])
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    clock = SystemClock()
    monkeypatch.setattr(time, "time_ns", lambda: 0)  # somebody sets the clock of the machine
    assert 1_700_000_000_000_000 == clock.now_us()
    ticks[0] += 1_999
    assert 1_700_000_000_000_001 == clock.now_us()
    ticks[0] += 1
    assert 1_700_000_000_000_002 == clock.now_us()


def test_the_systems_clock_never_runs_backwards():
    clock = SystemClock()
    times = [clock.now_us() for _ in range(1_000)]
    assert sorted(times) == times


def test_the_systems_clock_sleeps(monkeypatch):
    slept = []

    async def asleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(asyncio, "sleep", asleep)
    SystemClock().sleep(1.5)
    asyncio.run(SystemClock().asleep(2.5))
    assert [1.5, 2.5] == slept


def test_only_a_clock_that_a_hand_moves_tells_of_it():
    assert (True, False) == (isinstance(FakeClock(), Advanceable), isinstance(SystemClock(), Advanceable))


@pytest.mark.parametrize(
    ("move", "now_us"),
    [
        (lambda clock: None, 7),
        (lambda clock: clock.advance(1), 1_000_007),
        (lambda clock: clock.advance(0.000_001), 8),
        (lambda clock: clock.advance(-0.000_009), -2),
        (lambda clock: clock.advance(1.1), 1_100_007),
        (lambda clock: clock.sleep(2), 2_000_007),
        (lambda clock: asyncio.run(clock.asleep(2)), 2_000_007),
        (lambda clock: clock.set_us(3), 3),
    ],
)
def test_a_fake_clock_stands_still_until_it_is_moved(move, now_us):
    clock = FakeClock(7)
    told = []
    clock.subscribe(lambda: told.append(clock.now_us()))
    move(clock)
    assert (now_us, [now_us] if now_us != 7 else []) == (clock.now_us(), told)


def test_a_fake_sleep_lets_other_tasks_run():
    clock, order = FakeClock(), []

    async def task(name):
        order.append(f"{name} before")
        await clock.asleep(1)
        order.append(f"{name} after")

    async def main():
        await asyncio.gather(task("a"), task("b"))

    asyncio.run(main())
    assert ["a before", "b before", "a after", "b after"] == order
