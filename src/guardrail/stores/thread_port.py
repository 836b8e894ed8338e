"""ThreadPort: the one connection that all threads share, and how it is got.

Law: connecting happens in the background; who needs it waits for it no longer than until a deadline, and what comes
later is there for the next one.
"""

from __future__ import annotations

from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING

from guardrail.stores.contact import LEFT, NO_CONNECTION
from guardrail.stores.thread_dial import ThreadDial

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.stores.contact import Fault
    from guardrail.stores.server import Server
    from guardrail.stores.thread_link import ThreadLink


class ThreadPort:
    """Keep a connection to the server.

    Args:
        arrived: Called when there is a new connection, or when there will be none.
    """

    __slots__ = ("_arrived", "_dial", "_lock", "_server", "link")

    def __init__(self, server: Server, arrived: Callable[[], None]) -> None:
        self.link: ThreadLink | None = None
        self._server = server
        self._arrived = arrived
        self._dial: ThreadDial | None = None
        self._lock = RLock()

    def fit(self) -> ThreadLink | None:
        """Return the connection if it stands. Never waits."""
        link = self.link
        if link is None or link.is_fit():
            return link
        self.lose(link, link.ending)
        return None

    def connected(self, deadline: float) -> ThreadLink | None:
        """Return a connection that stands; None: there is none in time, and the store's breaker knows."""
        link = self.fit()
        if link is not None:
            return link
        dial, _ = self.start_dial(probes=False)
        if not dial.ended.wait(max(0.0, deadline - monotonic())):
            self._server.health.failed(NO_CONNECTION)
            return None
        return self.link

    def start_dial(self, *, probes: bool) -> tuple[ThreadDial, bool]:
        """Return the attempt to connect that is under way, and whether it has just begun."""
        with self._lock:
            dial = self._dial
            begins = dial is None or dial.is_lost()
            if dial is None or begins:
                dial = self._dial = ThreadDial(self._server, self._arrive)
            dial.probes = dial.probes or probes
        if begins:
            dial.start()
        elif dial.is_overdue():
            dial.cut()
        return dial, begins

    def lose(self, link: ThreadLink, fault: Fault) -> None:
        """Give up a connection. Who waits on it is told."""
        with self._lock:
            if self.link is link:
                self.link = None
        link.close()
        link.talk.lose(fault)

    def give_up(self, ending: Fault) -> None:
        """Close the connection while another thread may be using it: that one finds it closed, and why."""
        with self._lock:
            link, self.link = self.link, None
        if link is not None:
            link.close(ending)

    def close(self, *, wait: bool) -> None:
        """Give up the connection, or the attempt to get one; with *wait*, return when that has ended."""
        self.give_up(LEFT)
        with self._lock:
            dial, self._dial = self._dial, None
        if dial is not None:
            dial.cut()
            if wait:
                dial.join(self._server.dial_s)

    def abandon(self) -> None:
        """Close what was the parent's, in a child, without the parent noticing."""
        if self.link is not None:
            self.link.close()
        if self._dial is not None:
            self._dial.abandon()

    def _arrive(self, dial: ThreadDial, link: ThreadLink | None, fault: Fault | None) -> None:
        """Take over what an attempt to connect has come to. On its thread."""
        surplus = link
        with self._lock:
            wanted = self._dial is dial
            if wanted:
                self._dial = None
                if link is not None:
                    surplus, self.link = self.link, link
        if surplus is not None:
            surplus.close(LEFT)
        if wanted:
            if fault is not None:
                self._server.health.failed(fault)
            self._arrived()
