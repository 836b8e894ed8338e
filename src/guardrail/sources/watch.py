"""The watching thread: it looks again and again, until it is told to stop or whoever looks is gone.

Law: polling is the truth. Where `watchfiles` is installed it may call for a look early; whatever becomes of it, the next
one comes when the interval is over.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Generator
from contextlib import closing
from importlib import import_module
from logging import getLogger
from pathlib import Path
from threading import Event, Thread, current_thread
from weakref import WeakMethod

QUIET_MS = 50  # `watchfiles` speaks when nothing has happened for so long after a change
CONFIRM_MS = 100  # and so long after that, in which it would have seen a writer go on, the second look follows
LONGEST_GOODBYE_S = 1.0

logger = getLogger("guardrail.sources")


class Watch:
    """Call *look* every *interval_s* seconds from a daemon thread, which does not keep its owner alive.

    Args:
        look: A bound method that returns whether a second look is wanted. The thread ends when its object is gone.
        folder: Where a change may be noticed early; None: nowhere.
    """

    __slots__ = ("_folder", "_interval_s", "_look", "_threads")

    def __init__(self, look: Callable[[], bool], interval_s: float, folder: Path | None = None) -> None:
        self._look = WeakMethod(look)
        self._interval_s = interval_s
        self._folder = folder
        self._threads: dict[int, WatchingThread] = {}  # by process: a forked child has the object only

    def start(self) -> None:
        """Start the thread unless this process has it already."""
        pid = os.getpid()
        if pid not in self._threads:
            thread = WatchingThread(self._look, self._interval_s, self._folder)
            if self._threads.setdefault(pid, thread) is thread:  # one step: of two callers, one starts it
                thread.start()

    def after_fork(self) -> None:
        """Go on in a forked child if the parent was watching."""
        if self._threads:
            self.start()

    def stop(self) -> None:
        """End the thread and wait for it, at most a second. It may be started again."""
        thread = self._threads.pop(os.getpid(), None)
        self._threads.clear()  # those of parents
        if thread is not None:
            thread.end()


class WatchingThread(Thread):
    """Look at every tick."""

    def __init__(self, look: WeakMethod[Callable[[], bool]], interval_s: float, folder: Path | None) -> None:
        super().__init__(name="guardrail-rules", daemon=True)
        self.look = look
        self.interval_s = interval_s
        self.folder = folder
        self.pid = os.getpid()
        self.ended = Event()
        self.unsure = False  # what the last look saw, a second one has to confirm

    def run(self) -> None:
        # A daemon thread that the end of the interpreter finds inside of `watchfiles` (up to 1.1) aborts the process.
        atexit.register(self.end)
        try:
            with closing(self.ticks()) as ticks:
                for _ in ticks:
                    if not self.looked():
                        break
        finally:
            atexit.unregister(self.end)

    def looked(self) -> bool:
        """Look once. False: nobody is there to look. Holds its owner no longer than that."""
        look = self.look()
        if look is None:
            return False
        try:
            self.unsure = look()
        except Exception:
            logger.exception("a look at the rules failed; watching goes on")
        return True

    def end(self) -> None:
        """End the thread, and wait for it unless it is the caller."""
        if self.pid == os.getpid():  # in a forked child there is no thread, and its Event may be locked for ever
            self.ended.set()
            if self.is_alive() and current_thread() is not self:
                self.join(LONGEST_GOODBYE_S)

    def ticks(self) -> Generator[None]:
        """Tick until the end: every interval, and earlier where something happens in the folder."""
        if self.folder is not None:
            yield from self.hints(self.folder)
        while not self.ended.wait(self.interval_s):
            yield

    def hints(self, folder: Path) -> Generator[None]:
        """Tick as `watchfiles` says, but at least every interval; stop ticking when it is missing or fails."""
        interval_ms = max(1, round(self.interval_s * 1000))  # 0 would mean to wait for ever
        try:
            # Not `watchfiles.watch`: it logs each change, which is one more if the log is written to the same folder.
            rust = import_module("watchfiles._rust_notify")
            with rust.RustNotify([str(folder)], False, False, 0, False, True) as notices:
                wait_ms = interval_ms
                while notices.watch(interval_ms, QUIET_MS, wait_ms, self.ended) != "stop":
                    yield
                    wait_ms = min(interval_ms, CONFIRM_MS) if self.unsure else interval_ms
        except ImportError:
            pass
        except Exception:
            logger.debug("no early notice of changes in %s; polling goes on", folder, exc_info=True)
