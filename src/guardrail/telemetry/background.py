"""Background: a listener that is told on a thread of its own, so that no call waits for it.

Law: telling it takes a few microseconds, whatever it does; it hears events in their order. What comes while as many wait
for it as may is left out, and counted. Nothing that it raises keeps it from the next event.
"""

from __future__ import annotations

import atexit
import contextvars
import os
import weakref
from contextlib import suppress
from functools import cache, partial
from queue import SimpleQueue
from threading import Event as Flag
from threading import Lock, Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING

from guardrail.telemetry.notify import name_of, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from guardrail.telemetry.events import Event, Listener

    Waiting = SimpleQueue[Callable[[], object] | None]

PATIENCE_S = 1.0  # with listeners, of a program that ends and of a guard that is closed


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
        self._begin()

    def __call__(self, event: Event) -> None:
        """Hand one event over."""
        waiting = self._running()
        if waiting.qsize() < self._most:
            context = contextvars.copy_context()  # which knows that this one hears: of its own calls it is not told
            waiting.put(partial(_tell, context, self.listener, event))
            return
        self.left_out += 1
        if self.left_out == 1:
            from logging import getLogger  # only a listener that does not keep up needs it

            getLogger("guardrail.listeners").warning(
                "%d events wait for listener %s; further ones are left out", self._most, name_of(self.listener)
            )

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until the listener has heard what was told until now; False: it has not, after so many seconds."""
        if self._thread is None or self._pid != os.getpid():  # nothing was told here
            return True
        if self._thread is current_thread():  # it would wait for itself
            return False
        told = Flag()
        self._waiting.put(told.set)
        return told.wait(seconds)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._starting = Lock()
        self._waiting: Waiting = SimpleQueue()
        self._thread: Thread | None = None

    def _running(self) -> Waiting:
        if self._pid != os.getpid():  # the thread stayed with the parent, and what it had not told yet
            self._begin()
        if self._thread is None and self._starting.acquire(blocking=False):
            try:
                if self._thread is None:
                    self._start()
            finally:
                self._starting.release()
        return self._waiting

    def _start(self) -> None:
        thread = Thread(target=_work_off, args=(self._waiting,), name="guardrail-listener", daemon=True)
        thread.start()
        self._thread = thread
        weakref.finalize(self, self._waiting.put, None).atexit = False
        _flush_at_exit()
        _started.add(self)


_started: weakref.WeakSet[Background] = weakref.WeakSet()  # a program that ends waits for all of them together


@cache
def _flush_at_exit() -> None:
    atexit.register(lambda: flush_all(list(_started)))


def in_background(listener: Listener) -> Listener:
    """Return what hands events over to a listener without waiting for it; one that never waits as it is."""
    return listener if getattr(listener, "never_waits", False) is True else Background(listener)


def all_but(listeners: Sequence[Listener], listener: Listener) -> tuple[Listener, ...]:
    """Return the listeners but for one: that one, or what hands events over to it."""
    for place, one in enumerate(listeners):
        if listener in (one, getattr(one, "listener", None)):
            return (*listeners[:place], *listeners[place + 1 :])
    return tuple(listeners)


def flush_all(listeners: Iterable[Listener], seconds: float = PATIENCE_S) -> None:
    """Wait until listeners on threads of their own have heard what was told until now, all together so many seconds."""
    until = monotonic() + seconds
    for one in listeners:
        if isinstance(one, Background):
            one.flush(max(0.0, until - monotonic()))


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
