"""ThreadDial: one attempt to connect, on a thread of its own, so that nobody has to wait for all of it.

Law: an attempt ends by itself or by being cut off, and tells its line how. Looking up a name cannot be cut off; until it
has ended there is no other attempt, so threads never pile up.
"""

from __future__ import annotations

import contextlib
import socket
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

from guardrail.stores.contact import CLOSED, GARBLED, NO_CONNECTION
from guardrail.stores.flight import Probe
from guardrail.stores.resp import GarbledError
from guardrail.stores.thread_link import ThreadLink
from guardrail.stores.wires import fault_of_error, thread_wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.stores.contact import Fault
    from guardrail.stores.server import Server
    from guardrail.stores.wires import Wire


class ThreadDial:
    """Connect.

    Attributes:
        probes: The server was away: it is to answer a probe before the connection is used.
        ended: It has ended, one way or the other.
    """

    __slots__ = ("_arrive", "_began", "_server", "_thread", "_wire", "ended", "probes")

    def __init__(self, server: Server, arrive: Callable[[ThreadDial, ThreadLink | None, Fault | None], None]) -> None:
        self.probes = False
        self.ended = Event()
        self._server = server
        self._arrive = arrive
        self._began = monotonic()
        self._wire: Wire | None = None
        self._thread = Thread(target=self._run, name="guardrail-store", daemon=True)

    def start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:  # there are too many, or the interpreter is ending
            self._arrive(self, None, fault_of_error(error, self._server.rights))
            self.ended.set()

    def is_overdue(self) -> bool:
        """Tell whether it has taken longer than it may."""
        return monotonic() > self._began + self._server.patience_s()

    def is_lost(self) -> bool:
        """Tell whether it will never end: its thread was not started, or is the parent's."""
        return self.is_overdue() and not self._thread.is_alive() and not self.ended.is_set()

    def cut(self) -> None:
        """End it, as far as that is possible."""
        lifeline = self._wire and self._wire.lifeline
        if lifeline:
            with contextlib.suppress(OSError):
                lifeline.shutdown(socket.SHUT_RDWR)

    def abandon(self) -> None:
        """Close what was the parent's, in a child, without the parent noticing."""
        wire = self._wire
        if wire is not None:
            wire.hang_up()
            if wire.lifeline is not None:
                wire.lifeline.close()

    def join(self, seconds: float) -> None:
        """Wait until its thread has ended, at most that long."""
        self._thread.join(seconds)

    def _run(self) -> None:
        link: ThreadLink | None = None
        fault: Fault | None = None
        try:
            link = self._connect()
            if self.probes:
                link = self._probe(link)
        except Exception as error:  # noqa: BLE001  # whatever redis-py, TLS and the system raise
            fault = NO_CONNECTION if self.is_overdue() else fault_of_error(error, self._server.rights)
        finally:
            self._arrive(self, link, fault)
            self.ended.set()

    def _connect(self) -> ThreadLink:
        wire = self._wire = thread_wire(self._server.url, self._server.patience_s())
        try:
            wire.dial()
        except BaseException:
            wire.hang_up()
            raise
        finally:
            if wire.lifeline is not None:
                wire.lifeline.close()
        self._server.took_s = monotonic() - self._began
        return ThreadLink(wire, self._server)

    def _probe(self, link: ThreadLink) -> ThreadLink | None:
        """See whether the server answers; None: it does not, and the store's breaker knows."""
        probe = Probe(self._server, self._server.probe_deadline())
        fault: Fault
        try:
            link.talk.board(probe)
            link.land(probe, probe.deadline)
        except TimeoutError:
            fault = NO_CONNECTION
        except OSError:
            fault = CLOSED
        except GarbledError:
            fault = GARBLED
        else:
            return link
        link.talk.lose(fault)
        link.close()
        return None
