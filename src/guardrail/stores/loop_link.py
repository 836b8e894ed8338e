"""LoopLink: one connection of an event loop.

Law: what comes is heard as soon as the loop reads it; what is written is never waited for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from guardrail.stores.contact import CLOSED, GARBLED, LEFT
from guardrail.stores.readiness import readiness
from guardrail.stores.resp import GarbledError
from guardrail.stores.talk import Talk

if TYPE_CHECKING:
    from guardrail.stores.loop_line import LoopLine
    from guardrail.stores.server import Server
    from guardrail.stores.wires import TaskWire


class LoopLink(asyncio.Protocol):
    """Take over the transport that redis-py has connected.

    Attributes:
        gone: Done when the connection is closed.
    """

    def __init__(self, wire: TaskWire, line: LoopLine, server: Server) -> None:
        assert wire.transport is not None
        self.talk = Talk(server)
        self.gone: asyncio.Future[None] = line.loop.create_future()
        self._line = line
        self._wire = wire
        self._transport = wire.transport
        self._is_readable = readiness(self._transport.get_extra_info("socket"))
        self._transport.set_protocol(self)

    def is_fit(self) -> bool:
        """Tell whether the connection still stands. Where no answer is due, what can be read is its end."""
        talk = self.talk
        return not (talk.is_stale or self._transport.is_closing() or (talk.is_idle and self._is_readable(0)))

    def write(self) -> None:
        """Write what is to be said."""
        talk = self.talk
        within, talk.busy = talk.busy, True
        words, talk.unsent = talk.unsent, b""
        if words:
            self._transport.write(words)
        talk.busy = within

    def close(self) -> None:
        """Close the connection at once; `gone` comes a little later."""
        self._transport.abort()

    def abandon(self) -> None:
        """Close the socket alone: the loop is gone and cannot, or it is the parent's and must not notice."""
        self._wire.abandon()

    def data_received(self, data: bytes) -> None:
        if self.talk.busy:  # a signal handler has raised, and the loop goes on all the same
            self.close()
            self._line.lost(self, LEFT)
            return
        try:
            self.talk.hear(data)
        except GarbledError:
            self.close()
            self._line.lost(self, GARBLED)
        else:
            self.write()
            if self.talk.over:
                self.close()
            self._line.announce()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire.let_go()
        self._line.lost(self, CLOSED)
        if not self.gone.done():
            self.gone.set_result(None)
