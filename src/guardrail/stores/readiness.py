"""Readiness: whether a socket can be read or written, asked without reading or writing."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class HasFileno(Protocol):
    """Be a socket, or stand for one."""

    def fileno(self) -> int: ...


def readiness(connected: HasFileno, *, writing: bool = False) -> Callable[[float], object]:
    """Return what waits, for some milliseconds, until a socket can be read; with *writing*, or written."""
    if not hasattr(select, "poll"):  # Windows
        return lambda ms: any(select.select([connected], [connected] if writing else [], [], ms / 1000))
    poll = select.poll()
    poll.register(connected, select.POLLIN | (select.POLLOUT if writing else 0))
    return poll.poll
