"""A guard on a clock that stands still, calls whose driver is the test, and callers in threads and tasks.

Nothing here sleeps: who has to wait for another thread waits for what that thread says, and not for ever.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Semaphore, Thread
from typing import Any

from guardrail import Decision, Guard, Permit
from guardrail.admission.ambient import getter
from guardrail.admission.attempt import Attempt
from guardrail.admission.call import Call
from guardrail.admission.flow import Need, Wait, admission
from guardrail.admission.ledger import Ledger
from guardrail.admission.waiter import Waiter
from guardrail.clock import Clock
from guardrail.options import wait_us_of
from guardrail.testing import FakeClock

START_US = 1_700_000_000_000_000
S = 1_000_000
PATIENCE = 20  # real seconds until a test that hangs fails


def limit(rate: str = "1/min", **fields: Any) -> dict[str, Any]:
    return {"kind": "limit", "resource": "r", "rate": rate, **fields}


def breaker(**fields: Any) -> dict[str, Any]:
    return {"kind": "breaker", "resource": "r", **fields}


def bulkhead(max_concurrent: int = 1, **fields: Any) -> dict[str, Any]:
    return {"kind": "bulkhead", "resource": "r", "max_concurrent": max_concurrent, **fields}


def guard_of(clock: Clock, *rules: dict[str, Any], **options: Any) -> Guard:
    return Guard(list(rules), clock=clock, **options)


_held: list[Permit] = []


def held(guard: Guard, resource: str = "r", attributes: dict[str, object] | None = None, **options: Any) -> Permit:
    """A permit that is kept until the test is over, if it is not ended before."""
    _held.append(guard.try_enter(resource, attributes, **options))
    return _held[-1]


def aheld(guard: Guard, resource: str = "r", attributes: dict[str, object] | None = None, **options: Any) -> Permit:
    """The same, entered in a task."""
    _held.append(asyncio.run(guard.atry_enter(resource, attributes, **options)))
    return _held[-1]


def everybody_leaves() -> None:
    while _held:
        _held.pop().exit()


def decided(guard: Guard, resource: str = "r", attributes: dict[str, object] | None = None, **options: Any) -> Decision:
    """The decision on a call that is over at once."""
    permit = guard.try_enter(resource, attributes, **options)
    permit.exit()
    return permit.decision


def adecided(
    guard: Guard, resource: str = "r", attributes: dict[str, object] | None = None, **options: Any
) -> Decision:
    """The same, in a task."""

    async def call() -> Decision:
        permit = await guard.atry_enter(resource, attributes, **options)
        await permit.aexit()
        return permit.decision

    return asyncio.run(call())


DECIDED = [decided, adecided]


def inside(guard: Guard, rule: str = "r/bulkhead") -> int:
    """How many are inside a bulkhead, all keys together."""
    with guard.ledger:
        return sum(state.in_use for state in guard.ledger.bulkheads[rule].states.values())


def queued(guard: Guard, rule: str = "r/bulkhead") -> int:
    """How many wait for a bulkhead, all keys together."""
    with guard.ledger:
        return sum(state.waiting for state in guard.ledger.bulkheads[rule].states.values())


def left(guard: Guard, rule: str = "r/limit", key: str = "") -> int:
    """How much is left of a limit, whatever else may refuse a call."""
    with guard.ledger as now_us:
        states = guard.ledger.limits[rule]
        _, state = states.find(key, states.limit, now_us)
        return states.limit.view(states.limit.at(state, now_us), now_us)[0]


def shown(decision: Decision) -> list[tuple[str, bool, str | None, int | None]]:
    """The verdicts in short."""
    return [(one.rule, one.allowed, one.reason, one.remaining) for one in decision.verdicts]


class ByHand:
    """A call that goes on when told. `needs` is what it waits for; None: it is decided."""

    def __init__(self, guard: Guard, resource: str = "r", /, **options: Any) -> None:
        get = getter(resource, options.get("attributes"))
        call = Call(resource, get, options.get("cost", 1), wait_us_of(options.get("max_wait")))
        self.attempt = Attempt(guard._plan(resource).gates, call, guard.ledger)
        self.steps = admission(self.attempt)
        self.needs: Need | None = None
        self.go_on()

    def go_on(self) -> ByHand:
        with self.attempt.ledger:
            self.needs = next(self.steps, None)
        return self

    def cancel(self) -> None:
        self.steps.close()

    @property
    def waiter(self) -> Waiter:
        assert isinstance(self.needs, Wait)
        return self.needs.waiter

    @property
    def reason(self) -> str | None:
        return self.attempt.decision().reason

    @property
    def is_in(self) -> bool:
        return self.attempt.granted and self.needs is None

    def permit(self) -> Permit:
        assert self.is_in
        return Permit(self.attempt)


class Line(set[Waiter]):
    """The waiters of a ledger, where a test can wait for one more to stand in line."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._joined = Semaphore(0)
        guard.ledger.waiting = self

    def add(self, waiter: Waiter, /) -> None:
        super().add(waiter)
        self._joined.release()

    def grows(self) -> bool:
        """Wait until somebody has joined since the last time."""
        return self._joined.acquire(timeout=PATIENCE)


def started(act: Callable[[], object]) -> Thread:
    thread = Thread(target=act, daemon=True)
    thread.start()
    return thread


def ended(*threads: Thread) -> bool:
    for thread in threads:
        thread.join(PATIENCE)
    return not any(thread.is_alive() for thread in threads)


@contextmanager
def locked_elsewhere(ledger: Ledger) -> Iterator[None]:
    """A block during which another thread is in its turn."""
    inner, release = Event(), Event()

    def turn() -> None:
        with ledger:
            inner.set()
            release.wait(PATIENCE)

    thread = started(turn)
    assert inner.wait(PATIENCE)
    try:
        yield
    finally:
        release.set()
        assert ended(thread)


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = started(loop.run_forever)
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        assert ended(thread)
        loop.close()


def in_child(act: Callable[[], object]) -> str:
    """What *act* returns, or how it failed, in a child that is forked off for it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)  # rather than to hang
        try:
            answer = repr(act())
        except BaseException as error:  # noqa: BLE001  whatever it is, the parent shall see it
            answer = repr(error)
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


class Interrupted(FakeClock):
    """A clock at whose next look something else happens first, in this thread or in another one."""

    def __init__(self):
        super().__init__(START_US)
        self.first = None

    def now_us(self):
        first, self.first = self.first, None
        if first is not None:
            first()
        return super().now_us()


class Interrupting(Event):
    """An event at which the user presses Ctrl-C instead of waiting."""

    def wait(self, timeout: float | None = None) -> bool:
        raise KeyboardInterrupt
