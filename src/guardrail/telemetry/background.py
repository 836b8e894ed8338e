"""Background: a listener that is told on a thread of its own, so that no call waits for it.

Law: telling it takes a few microseconds, whatever it does; it hears events in their order. What comes while as many wait
for it as may is left out, and counted. Nothing that it raises keeps it from the next event.
"""

from __future__ import annotations

import contextvars
import os
from contextlib import suppress
from queue import SimpleQueue
from threading import Event as Flag
from threading import Lock, Thread
from typing import TYPE_CHECKING

from guardrail.telemetry.notify import name_of, report

if TYPE_CHECKING:
    from guardrail.telemetry.events import Event, Listener

    Waiting = SimpleQueue[tuple[contextvars.Context, Event] | Flag]


class Background:
    """Tell a listener from a thread of its own: `Guard(listeners=[Background(post_to_chat)])`.

    For listeners that talk to the network, or may hang. They see the context variables of the call, such as its span. The
    thread starts with the first event, and keeps no program from ending: `flush` before that.

    Args:
        listener: What it raises is logged.
        most: Events that may wait for it.

    Attributes:
        left_out: How many events it never heard of.

    Raises:
        TypeError: The listener cannot be called.
        ValueError: *most* is below 1.
    """

    def __init__(self, listener: Listener, *, most: int = 1_000) -> None:
        if not callable(listener):
            raise TypeError(f"a listener must be a callable over an event, got {listener!r}")
        if most < 1:
            raise ValueError(f"most must be at least 1, got {most}")
        self._listener = listener
        self._most = most
        self.left_out = 0
        self._begin()

    def __call__(self, event: Event) -> None:
        """Hand one event over."""
        waiting = self._running()
        if waiting.qsize() < self._most:
            waiting.put((contextvars.copy_context(), event))
            return
        self.left_out += 1
        if self.left_out == 1:
            from logging import getLogger  # only a listener that does not keep up needs it

            getLogger("guardrail.listeners").warning(
                "%d events wait for listener %s; further ones are left out", self._most, name_of(self._listener)
            )

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until the listener has heard what was told until now; False: it has not, after so many seconds."""
        told = Flag()
        self._running().put(told)
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
                    thread = Thread(target=self._tell, args=(self._waiting,), name="guardrail-listener", daemon=True)
                    thread.start()
                    self._thread = thread
            finally:
                self._starting.release()
        return self._waiting

    def _tell(self, waiting: Waiting) -> None:
        while True:
            match waiting.get():
                case Flag() as told:
                    told.set()
                case (context, event):
                    try:
                        context.run(self._listener, event)
                    except BaseException as error:  # noqa: BLE001  on this thread there is no program to end
                        with suppress(BaseException):
                            context.run(report, self._listener, event, error)
