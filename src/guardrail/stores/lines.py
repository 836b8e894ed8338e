"""Lines: all ways from this process to one server: one for threads, and one for each event loop.

Law: a line belongs to its process, and one of a loop is used from there only. What nobody gives up is given up when the
loop is found to be gone.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import _get_running_loop as running_loop  # None where no loop runs
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING

from guardrail.stores.loop_line import LoopLine
from guardrail.stores.thread_line import ThreadLine

if TYPE_CHECKING:
    from guardrail.stores.flight import Cargo
    from guardrail.stores.server import Server


class Lines:
    """Hold the lines of one process.

    Attributes:
        pid: The process.
        threads: The line of all threads.
    """

    def __init__(self, server: Server) -> None:
        self.pid = os.getpid()
        self.threads = ThreadLine(server)
        self._server = server
        self._loops: dict[asyncio.AbstractEventLoop, LoopLine] = {}
        self._lock = RLock()

    def of_loop(self) -> LoopLine:
        """Return the line of the running event loop."""
        loop = asyncio.get_running_loop()
        return self._loops.get(loop) or self._begin(loop)

    def send(self, order: Cargo) -> None:
        """Send what nobody waits for: with the calls of this event loop, or else with those of threads. Never waits."""
        loop = running_loop()
        line = None if loop is None else self._loops.get(loop)
        (line or self.threads).send(order)

    def close(self) -> None:
        """Close the line of threads, and those of loops that are gone."""
        self.threads.close()
        self._forget_the_dead()

    async def aclose(self) -> None:
        """Close all lines; that of this event loop is closed when this returns, those of others soon."""
        self.threads.close(wait=False)  # the loop does not wait for a thread
        self._forget_the_dead()
        with self._lock:
            loops, self._loops = self._loops, {}
        mine = loops.pop(asyncio.get_running_loop(), None)
        for loop, line in loops.items():
            with suppress(RuntimeError):  # it has been closed just now
                loop.call_soon_threadsafe(line.close)
        if mine is not None:
            await mine.aclose()

    def abandon(self) -> None:
        """Close what was the parent's, in a child, without the parent noticing."""
        self.threads.abandon()
        for line in self._loops.values():
            line.abandon()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> LoopLine:
        self._forget_the_dead()
        with self._lock:
            return self._loops.setdefault(loop, LoopLine(self._server, loop))

    def _forget_the_dead(self) -> None:
        with self._lock:
            for loop in [loop for loop in self._loops if loop.is_closed()]:
                self._loops.pop(loop).abandon()
