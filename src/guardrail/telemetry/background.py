"""Background: a listener that is told on a thread of its own, so that no call waits for it.

Law: telling it takes a few microseconds, whatever it does; it hears events in their order. What comes while as many wait
for it as may is left out, and counted. Nothing that it raises keeps it from the next event.
"""

from __future__ import annotations

import atexit
import contextvars
import os
import sys
import weakref
from contextlib import suppress
from functools import cache, partial
from queue import SimpleQueue
from threading import Event as Flag
from threading import Lock, Thread, current_thread
from time import monotonic
from types import BuiltinMethodType, MethodType
from typing import TYPE_CHECKING

from guardrail.telemetry.notify import name_of, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from guardrail.telemetry.events import Event, Listener

    Waiting = SimpleQueue[Callable[[], object] | None]

PATIENCE_S = 1.0  # with listeners, of a program that ends and of a guard that is closed
LOOKING_S = 0.01  # a task looks so often whether they have heard


class Background:
    """Tell a listener from a thread of its own, as guards do with all that do not say `never_waits`.

    It sees the context variables of the call, such as its span. The thread starts with the first event, and ends when
    nobody has the Background any more and all is told. A program that ends waits for it a second, and no longer.

    Args:
        listener: What it raises is logged.
        most: Events that may wait for it.

    Attributes:
        left_out: How many events it never heard of.

    Raises:
        TypeError: The listener cannot be called.
        ValueError: *most* is below 1.
    """

    never_waits = True

    def __init__(self, listener: Listener, *, most: int = 1_000) -> None:
        if not callable(listener):
            raise TypeError(f"a listener must be a callable over an event, got {listener!r}")
        if most < 1:
            raise ValueError(f"most must be at least 1, got {most}")
        self.listener = listener
        self._most = most
        self.left_out = 0
        self._lines: dict[int, Line] = {}  # by process: threads, and what they had not told, stay with the parent

    def __call__(self, event: Event) -> None:
        """Hand one event over."""
        pid = os.getpid()
        line = self._lines.get(pid) or self._lines.setdefault(pid, Line())
        if line.thread is None:
            self._start(line)
        if line.waiting.qsize() < self._most:
            context = contextvars.copy_context()  # which knows that this one hears: of its own calls it is not told
            line.waiting.put(partial(_tell, context, self.listener, event))
            return
        self.left_out += 1
        if self.left_out == 1:
            from logging import getLogger  # only a listener that does not keep up needs it

            getLogger("guardrail.listeners").warning(
                "%d events wait for listener %s; further ones are left out", self._most, name_of(self.listener)
            )

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until the listener has heard what was told until now; False: it has not, after so many seconds."""
        heard = self.heard()
        return heard.wait(seconds) if current_thread() is not self._thread() else heard.is_set()

    def heard(self) -> Flag:
        """Return what is set once the listener has heard what was told until now."""
        heard = Flag()
        line = self._lines.get(os.getpid())
        if line is None or line.thread is None:
            heard.set()
        else:
            line.waiting.put(heard.set)
        return heard

    def _thread(self) -> Thread | None:
        line = self._lines.get(os.getpid())
        return None if line is None else line.thread

    def _start(self, line: Line) -> None:
        if line.starting.acquire(blocking=False):
            try:
                if line.thread is None:
                    thread = Thread(target=_work_off, args=(line.waiting,), name="guardrail-listener", daemon=True)
                    thread.start()
                    line.thread = thread
                    weakref.finalize(self, line.waiting.put, None).atexit = False
                    _started.add(self)
                    _flush_at_exit(os.getpid())
            finally:
                line.starting.release()


class Line:
    """Hold what waits for one listener in one process, and the thread that works it off."""

    __slots__ = ("starting", "thread", "waiting")

    def __init__(self) -> None:
        self.starting = Lock()
        self.thread: Thread | None = None
        self.waiting: Waiting = SimpleQueue()


_started: weakref.WeakSet[Background] = weakref.WeakSet()  # a program that ends waits for all of them together


@cache
def _flush_at_exit(_pid: int) -> None:
    """Wait for listeners before this process ends; children of `multiprocessing` have a way of their own to do so."""
    atexit.register(_flush_started)
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        multiprocessing.Finalize(None, _flush_started, exitpriority=0)


def _flush_started() -> None:
    flush_all(list(_started))


def in_background(listener: Listener) -> Listener:
    """Return what hands events over to a listener without waiting for it; one that never waits as it is."""
    return listener if getattr(listener, "never_waits", False) is True else Background(listener)


def all_but(listeners: Sequence[Listener], listener: Listener) -> tuple[Listener, ...]:
    """Return the listeners but for one: that one, or what hands events over to it."""
    for place, one in enumerate(listeners):
        if _is(one, listener) or _is(getattr(one, "listener", None), listener):
            return (*listeners[:place], *listeners[place + 1 :])
    return tuple(listeners)


def flush_all(listeners: Iterable[Listener], seconds: float = PATIENCE_S) -> None:
    """Wait until listeners on threads of their own have heard what was told until now, all together so many seconds."""
    until = monotonic() + seconds
    for one in listeners:
        if isinstance(one, Background):
            one.flush(max(0.0, until - monotonic()))


async def aflush_all(listeners: Iterable[Listener], seconds: float = PATIENCE_S) -> None:
    """Wait as `flush_all` does, from a task."""
    until = monotonic() + seconds
    flags = [one.heard() for one in listeners if isinstance(one, Background)]
    while not all(flag.is_set() for flag in flags) and monotonic() < until:
        import asyncio  # as heavy as the rest of the package; who is here has imported it

        await asyncio.sleep(LOOKING_S)


def _is(one: object, listener: object) -> bool:
    """Tell whether two are the same listener; methods are another object each time."""
    if isinstance(listener, MethodType | BuiltinMethodType) and type(one) is type(listener):
        return one == listener
    return one is listener


def _work_off(waiting: Waiting) -> None:
    while (told := waiting.get()) is not None:
        told()
        del told  # while this waits for the next one, it keeps nothing alive


def _tell(context: contextvars.Context, listener: Listener, event: Event) -> None:
    try:
        context.run(listener, event)
    except BaseException as error:  # noqa: BLE001  on this thread there is no program to end
        with suppress(BaseException):
            context.run(report, listener, event, error)
