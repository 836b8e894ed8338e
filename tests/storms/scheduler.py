"""A loop of which a seed decides everything: what runs next, when time moves on, and whom a cancellation hits.

Law: time is virtual, in whole microseconds, and moved by the loop alone; every choice is drawn from one generator. So a
seed is a history: run again, it is the same to the last step. Nothing sleeps.

It stands on `_run_once`, `_ready` and `_scheduled` of `BaseEventLoop`, which are private and the same in 3.11 to 3.14.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from heapq import heappop
from random import Random
from typing import Any

START_US = 1_700_000_000_000_000
DAWDLES = 0.1  # of the steps: time moves on although there is something to do
LATE_US = (0, 0, 1, 300, 20_000)  # by which timers may come late
MOST_STEPS = 20_000


class Stuck(AssertionError):
    """Everybody waits for ever, or runs for ever."""


class SeededLoop(asyncio.BaseEventLoop):
    """Run tasks in an order that a seed decides.

    Attributes:
        random: Where all chance comes from, also that of the tasks.
        passed_us: The time since the loop was made.
        cancelling: The share of steps before which some task is cancelled.
        cancelled: How often that was done.
        tasks: Those that are not done, in the order in which they were made.
        complaints: What the loop would have logged.
        looks: Called after every step.
        idle_looks: Called whenever there is nothing to do but to let time pass.
    """

    def __init__(self, seed: object, cancelling: float = 0.0) -> None:
        super().__init__()
        self.random = Random(str(seed))
        self.passed_us = 0
        self.steps = 0
        self.cancelling = cancelling
        self.cancelled = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.complaints: list[str] = []
        self.looks: list[Callable[[], None]] = []
        self.idle_looks: list[Callable[[], None]] = []
        self._born = 0
        self.set_exception_handler(lambda _, context: self.complaints.append(f"{context}"))

    def time(self) -> float:
        return self.passed_us / 1_000_000

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        self._born += 1
        task = super().create_task(coro, **{**options, "name": options.get("name") or f"task {self._born}"})
        self.tasks.append(task)
        return task

    def run_to_the_end(self, callers: Iterable[Coroutine[Any, Any, Any]] = ()) -> None:
        """Run *callers*, and every task that comes of them, until there is none left."""
        for caller in callers:
            self.create_task(caller)
        self._drop_done()
        while self.tasks or self._ready:
            self.run_forever()
            self._drop_done()

    def abandon(self) -> None:
        """Close the loop over the tasks that are left, without a word about them."""
        for task in self.tasks:
            task._log_destroy_pending = False
        self.tasks = []
        self.close()

    def _run_once(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Stuck(f"no end in sight: {self.tasks}")
        chance = self.random.random
        if chance() < DAWDLES:
            self.passed_us += int(chance() * 5_000)
        self._start_timers()
        if self.cancelling and chance() < self.cancelling:
            self._cancel_one()
        ready: Any = self._ready
        if ready:
            ready.rotate(-int(chance() * len(ready)))
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()
            del handle  # it may hold the last reference to what shall be collected
            for look in self.looks:
                look()
        self._drop_done()
        if not self.tasks and not ready:
            self.stop()
        elif not ready:
            self._jump()

    def _start_timers(self) -> None:
        timers: Any = self._scheduled
        while timers and (timers[0].cancelled() or round(timers[0].when() * 1_000_000) <= self.passed_us):
            timer = heappop(timers)
            timer._scheduled = False
            if not timer.cancelled():
                self._ready.append(timer)

    def _jump(self) -> None:
        self._start_timers()
        if self._ready:
            return
        for look in self.idle_looks:
            look()
        if not self._scheduled:
            raise Stuck(f"everybody waits for ever: {self.tasks}")
        late_us = self.random.choice(LATE_US)
        self.passed_us = max(self.passed_us, round(self._scheduled[0].when() * 1_000_000) + late_us)

    def _cancel_one(self) -> None:
        alive = [task for task in self.tasks if not task.done()]
        if alive:
            self.cancelled += 1
            self.random.choice(alive).cancel()

    def _drop_done(self) -> None:
        self.tasks = [task for task in self.tasks if not task.done()]

    def _write_to_self(self) -> None:
        """Nobody selects: whatever another thread has made ready is found in the next step."""

    def _timer_handle_cancelled(self, handle: object) -> None:
        """Cancelled timers are dropped when their time comes."""


class LoopClock:
    """The guard's clock: the loop's time, which a test may step back."""

    def __init__(self, loop: SeededLoop) -> None:
        self.loop = loop
        self.behind_us = 0

    def now_us(self) -> int:
        return START_US + self.loop.passed_us - self.behind_us

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"a call would block the loop for {seconds} s")

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
