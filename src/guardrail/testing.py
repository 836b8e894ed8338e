"""Test code that uses guardrail: a clock that is moved by hand, a listener that remembers, switches for breakers.

Law: with a FakeClock nothing depends on how fast the machine is. With pytest, `pytest_plugins = ["guardrail.testing"]` in
a conftest brings the fixtures `clock` and `guard`.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from guardrail.default import default_guard, substituted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardrail.guard import Guard
    from guardrail.telemetry.events import Event

E = TypeVar("E")


class FakeClock:
    """Stand still until it is moved. A sleep moves it, and returns at once.

    Waiting for a place of a bulkhead takes real time, as only another thread or task can bring one; moving the clock past
    the wait's end ends it.
    """

    def __init__(self, start_us: int = 0) -> None:
        self._now_us = start_us
        self._moved: list[Callable[[], None]] = []

    def now_us(self) -> int:
        """Return the time in microseconds."""
        return self._now_us

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds."""
        self.set_us(self._now_us + round(seconds * 1_000_000))

    def set_us(self, now_us: int) -> None:
        """Move to this time, also backwards."""
        self._now_us = now_us
        for moved in self._moved:
            moved()

    def sleep(self, seconds: float) -> None:
        """Move on by so many seconds, at once."""
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """Move on by so many seconds, and let other tasks run."""
        import asyncio

        self.advance(seconds)
        await asyncio.sleep(0)

    def subscribe(self, moved: Callable[[], None]) -> None:
        """Call *moved* whenever the time has changed."""
        self._moved.append(moved)


class RecordingListener:
    """Remember every event, before the call goes on."""

    never_waits = True

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]


@contextmanager
def disabled(guard: Guard | None = None) -> Iterator[None]:
    """Let every call through inside the block; None: of the default guard."""
    guard = default_guard() if guard is None else guard
    mode, guard.mode = guard.mode, "off"
    try:
        yield
    finally:
        guard.mode = mode


@contextmanager
def force_open(name: str, guard: Guard | None = None) -> Iterator[None]:
    """Hold a breaker open inside the block, and reset it afterwards; None: one of the default guard.

    Raises:
        KeyError: There is no breaker of this name.
    """
    breaker = (default_guard() if guard is None else guard).breakers[name]
    breaker.force_open()
    try:
        yield
    finally:
        with suppress(KeyError):  # its rule was taken away meanwhile, and the breaker with it
            breaker.reset()


def _clock() -> FakeClock:
    """Give a clock that stands still until the test moves it."""
    return FakeClock(1_700_000_000_000_000)


def _guard(clock: FakeClock) -> Iterator[Guard]:
    """Give a fresh default guard on the test's clock; module-level decorators follow it."""
    with substituted(clock=clock) as guard:
        yield guard


try:
    import pytest
except ImportError:  # without pytest there are no fixtures, and everything else works
    pass
else:
    clock = pytest.fixture(name="clock")(_clock)
    guard = pytest.fixture(name="guard")(_guard)
