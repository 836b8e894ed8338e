"""ThreadLink: one connection, moved along by whichever thread needs it.

Law: nothing waits longer than it is told to, whatever the other side sends or does not; the socket never blocks.
"""

from __future__ import annotations

from ssl import SSLWantReadError, SSLWantWriteError
from time import monotonic
from typing import TYPE_CHECKING

from guardrail.stores.contact import CLOSED, LEFT
from guardrail.stores.readiness import readiness
from guardrail.stores.resp import GarbledError
from guardrail.stores.talk import Talk

if TYPE_CHECKING:
    from guardrail.stores.contact import Fault
    from guardrail.stores.flight import AnyFlight
    from guardrail.stores.server import Server
    from guardrail.stores.wires import Wire

_CHUNK = 65536
_LATER = (BlockingIOError, SSLWantReadError, SSLWantWriteError)


class ThreadLink:
    """Write what its talk has to say, and let it hear what comes. One thread at a time.

    Attributes:
        ending: What it means if the connection ends.
    """

    __slots__ = ("_is_readable", "_is_ready", "_socket", "_wire", "ending", "talk")

    def __init__(self, wire: Wire, server: Server) -> None:
        self.talk = Talk(server)
        self.ending = CLOSED
        self._wire = wire
        self._socket = wire.connected()
        self._socket.setblocking(False)
        self._is_readable = readiness(self._socket)
        self._is_ready = readiness(self._socket, writing=True)

    def is_fit(self) -> bool:
        """Tell whether the connection still stands; what has come meanwhile is heard. Never waits."""
        if self.talk.is_stale:
            self.ending = LEFT
            return False
        try:
            while self._is_readable(0):
                if not self._hear():
                    return False
        except (OSError, GarbledError):
            return False
        return not self.talk.over

    def write(self) -> None:
        """Write as much as goes without waiting.

        Raises:
            OSError: The connection is lost.
        """
        if not self.talk.unsent:
            return
        talk = self.talk
        within, talk.busy = talk.busy, True
        try:
            sent = self._socket.send(talk.unsent)
        except _LATER:
            sent = 0
        talk.unsent = talk.unsent[sent:]
        talk.busy = within

    def land(self, flight: AnyFlight, deadline: float) -> None:
        """Write, and read until *flight* has landed.

        Raises:
            OSError: The connection is lost.
            TimeoutError: The deadline has come first.
            GarbledError: What came is no answer.
        """
        self.write()
        is_late = False
        while not flight.landed:
            if is_late:
                raise TimeoutError
            is_late = self._turn(deadline)

    def close(self, ending: Fault | None = None) -> None:
        """Close the connection, or in a child what it has of it.

        Args:
            ending: What that means to a thread that is still using it.
        """
        self.ending = ending or self.ending
        self._wire.hang_up()

    def _turn(self, deadline: float) -> bool:
        """Wait until something can be read or written, and do that; what is there already is read after the deadline too.

        Returns:
            Whether the deadline has passed.
        """
        left_s = max(0.0, deadline - monotonic())
        is_ready = self._is_ready if self.talk.unsent else self._is_readable
        if not is_ready(left_s * 1000):
            raise TimeoutError
        self.write()
        if not self._hear():
            raise ConnectionResetError
        return left_s == 0

    def _hear(self) -> bool:
        """Let the talk hear what has come; False: the server has closed the connection."""
        talk = self.talk
        within, talk.busy = talk.busy, True
        try:
            received = self._socket.recv(_CHUNK)
        except _LATER:
            talk.busy = within
            return True
        if received:
            pending = getattr(self._socket, "pending", None)
            while pending is not None and pending():  # TLS has decrypted more than was read
                received += self._socket.recv(_CHUNK)
            talk.hear(received)
            self.write()
        talk.busy = within
        return bool(received)
