"""Threads that call side by side, and loops in threads: what the storms of threads are made of.

Law: everybody starts at one moment and makes a fixed number of calls. Nobody sleeps; what they wait for comes from the
others, and a crew that does not finish fails its test.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from threading import Barrier, Event, Thread
from traceback import format_stack
from typing import Any

from guardrail import Guard, Refused
from tests.locks import is_locked
from tests.storms.scheduler import START_US

CALLS = 40 * min(100, max(10, int(os.environ.get("STORM_SEEDS", "10000")) // 1000))  # of each thread
PATIENCE = 60  # real seconds until a storm that hangs fails

Act = Callable[[], object]


class Ticking:
    """A clock that moves on with each look, and never else."""

    def __init__(self, step_us: int = 1) -> None:
        self._ticks = count(START_US, step_us)  # one step of it is atomic

    def now_us(self) -> int:
        return next(self._ticks)

    def sleep(self, seconds: float) -> None:
        time.sleep(0)  # others may run

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Inside:
    """Count who is inside, and let others run there. A list's end is atomic, so that nothing here keeps threads apart."""

    def __init__(self) -> None:
        self._now: list[None] = []
        self.seen: list[int] = []

    def __enter__(self) -> None:
        self._now.append(None)
        self.seen.append(len(self._now))
        time.sleep(0)

    def __exit__(self, *_: object) -> None:
        self._now.pop()


def calling(call: Act, tally: list[str], calls: int = CALLS) -> Act:
    """An act: so many calls, and how they went."""

    def act() -> None:
        for _ in range(calls):
            try:
                call()
                tally.append("done")
            except (Refused, ValueError) as error:
                tally.append(_word(error))

    return act


def tasking(
    call: Callable[[], Awaitable[object]],
    tally: list[str],
    *,
    together: int = 5,
    cancelled: float = 0,
    calls: int = CALLS,
) -> Act:
    """An act: the same in a loop, so many *together*, of which a share is cancelled."""

    async def one() -> None:
        try:
            await call()
            tally.append("done")
        except (Refused, ValueError, TimeoutError, asyncio.CancelledError) as error:
            tally.append(_word(error))

    async def act() -> None:
        chance = Random(together)
        for _ in range(calls // together):
            tasks = [asyncio.ensure_future(one()) for _ in range(together)]
            await asyncio.sleep(0)  # one that is cancelled before it begins tells nobody
            for task in tasks:
                if chance.random() < cancelled:
                    task.cancel()
                    await asyncio.sleep(0)
            await asyncio.wait(tasks)

    return lambda: asyncio.run(act())


def _word(error: BaseException) -> str:
    return error.reason if isinstance(error, Refused) else type(error).__name__


def storm(*acts: Act) -> None:
    """Run each act in a thread, all from the same moment, and raise what any of them raised."""
    barrier = Barrier(len(acts))
    raised: list[BaseException] = []

    def run(act: Act) -> None:
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
    frames = sys._current_frames()
    stuck = ["".join(format_stack(frames[thread.ident])) for thread in threads if thread.ident in frames]
    assert not stuck, "\n".join(["somebody waits for ever", *stuck])


@contextmanager
def meanwhile(act: Callable[[int], object]) -> Iterator[None]:
    """Do something again and again, from another thread, for as long as the block lasts."""
    over = Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            for turn in count():
                act(turn)
                if over.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  it is raised again where pytest sees it
            raised.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)
    if raised:
        raise raised[0]
    assert not thread.is_alive()


def nothing_is_left(guard: Guard) -> bool:
    """Nobody is inside, waits or is out as a probe, and the lock is free."""
    ledger = guard.ledger
    held: Counter[Any] = Counter()
    for name, places in ledger.bulkheads.items():
        for state in places.states.values():
            held[name, "inside"] += state.in_use
            held[name, "waiting"] += state.waiting
    for name, breakers in ledger.breakers.items():
        for health in breakers.states.values():
            held[name, "probes"] += len(health.trial.out) if health.trial else 0
    held["waiters"] += len(ledger.waiting)
    held["put off"] += len(ledger.deferred)
    held["locked"] += is_locked(ledger.lock)
    left = {what: number for what, number in held.items() if number}
    assert not left, left
    return True
