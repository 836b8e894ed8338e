"""Time: the one source of it for everything that decides.

Law: a SystemClock never runs backwards and shows wall time as it was at its start plus what has passed since.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """Tell the time in whole microseconds and sleep for seconds."""

    def now_us(self) -> int: ...

    def sleep(self, seconds: float) -> None: ...

    async def asleep(self, seconds: float) -> None: ...


@runtime_checkable
class Advanceable(Protocol):
    """Tell when a hand has moved the time, so that waits whose time is up can end."""

    def subscribe(self, moved: Callable[[], None]) -> None: ...


class SystemClock:
    """Follow the system's monotonic clock, anchored to wall time when it is made."""

    __slots__ = ("anchor_ns",)

    def __init__(self) -> None:
        self.anchor_ns = time.time_ns() - time.monotonic_ns()

    def now_us(self) -> int:
        return (time.monotonic_ns() + self.anchor_ns) // 1000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        import asyncio  # as heavy as the rest of the package; only waiting tasks need it

        await asyncio.sleep(seconds)
