"""ThreadLink: one connection, moved along by whichever thread needs it.

Law: nothing waits longer than it is told to, whatever the other side sends or does not; the socket never blocks.
"""

from __future__ import annotations

import time
from ssl import SSLWantReadError, SSLWantWriteError
from typing import TYPE_CHECKING

from guardrail.stores.readiness import readiness
from guardrail.stores.resp import GarbledError
from guardrail.stores.talk import Talk

if TYPE_CHECKING:
    from guardrail.stores.server import Server
    from guardrail.stores.wires import Wire

_CHUNK = 65536
_LATER = (BlockingIOError, SSLWantReadError, SSLWantWriteError)


class ThreadLink:
    """Write what its talk has to say, and let it hear what comes. One thread at a time.

    Attributes:
        moving: Bytes are on their way between the socket and the talk. If that is broken off, nobody knows how many.
    """

    __slots__ = ("_is_readable", "_is_ready", "_socket", "_wire", "moving", "talk")

    def __init__(self, wire: Wire, server: Server) -> None:
        self.talk = Talk(server)
        self.moving = False
        self._wire = wire
        self._socket = wire.connected()
        self._socket.setblocking(False)
        self._is_readable = readiness(self._socket)
        self._is_ready = readiness(self._socket, writing=True)

    def is_fit(self) -> bool:
        """Tell whether the connection still stands; what has come meanwhile is heard. Never waits."""
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
        self.moving = True
        try:
            sent = self._socket.send(self.talk.unsent)
        except _LATER:
            sent = 0
        self.talk.unsent = self.talk.unsent[sent:]
        self.moving = False

    def turn(self, deadline: float) -> None:
        """Wait until something can be read or written, and do that.

        Raises:
            OSError: The connection is lost.
            TimeoutError: The deadline has come first.
            GarbledError: What came is no answer.
        """
        left_s = deadline - time.monotonic()
        is_ready = self._is_ready if self.talk.unsent else self._is_readable
        if left_s <= 0 or not is_ready(left_s * 1000):
            raise TimeoutError
        self.write()
        if not self._hear():
            raise ConnectionResetError

    def close(self) -> None:
        """Close the connection, or in a child what it has of it."""
        self._wire.hang_up()

    def _hear(self) -> bool:
        """Let the talk hear what has come; False: the server has closed the connection."""
        self.moving = True
        try:
            received = self._socket.recv(_CHUNK)
        except _LATER:
            self.moving = False
            return True
        if received:
            pending = getattr(self._socket, "pending", None)
            while pending is not None and pending():  # TLS has decrypted more than was read
                received += self._socket.recv(_CHUNK)
            self.talk.hear(received)
            self.write()
        self.moving = False
        return bool(received)
