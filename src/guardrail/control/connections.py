"""Connections of a control endpoint: how many there are at once, and how long one may last.

Law: never more than MOST threads, and no client makes one last longer than about LONGEST_S. Whoever opens connections and
says nothing locks nobody out: the oldest of those makes room.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from errno import EMFILE, ENFILE
from logging import getLogger
from socketserver import BaseRequestHandler, ThreadingTCPServer
from sys import exception
from threading import Event
from typing import Any

LONGEST_S = 10.0
MOST = 32
MOST_UNKNOWN = 16  # that have not shown the token
TICK_S = 0.25

logger = getLogger("guardrail.control")


class Connection:
    """Hold what is known of one connection.

    Attributes:
        until: When it has to be over, on the monotonic clock.
        is_known: It has shown the token.
        is_ended: It has been told to end.
    """

    __slots__ = ("is_ended", "is_known", "until")

    def __init__(self) -> None:
        self.until = time.monotonic() + LONGEST_S
        self.is_known = self.is_ended = False


class Connections(ThreadingTCPServer):
    """Accept connections, each in a daemon thread of its own."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two listen at one port
    allow_reuse_port = False
    request_queue_size = 2 * MOST

    def __init__(self, host: str, port: int, exchange: type[BaseRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.open: dict[Any, Connection] = {}  # in order of arrival; by socket
        self._never = Event()
        super().__init__((host, port), exchange)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in {EMFILE, ENFILE}:  # it stays in line, so the next look would come at once
                self._never.wait(TICK_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        now_open = list(self.open.items())  # other threads take theirs out meanwhile
        unknown = [one for one, connection in now_open if not (connection.is_known or connection.is_ended)]
        if len(unknown) >= MOST_UNKNOWN:
            self._end(unknown[0])
        if len(self.open) >= MOST:
            self.close_request(request)
            return
        self.open[request] = Connection()
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        self.open.pop(request, None)
        super().close_request(request)

    def service_actions(self) -> None:
        """End what has lasted too long. Called at every tick."""
        now = time.monotonic()
        for request, connection in list(self.open.items()):
            if now >= connection.until and not connection.is_ended:
                self._end(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a connection to the control endpoint failed: %s", type(exception()).__name__)

    def end_all(self) -> None:
        """End every connection."""
        for request in list(self.open):
            self._end(request)

    def abandon(self) -> None:
        """Let go of all sockets in a forked child, without a word to the other side: they are the parent's."""
        for request in list(self.open):
            request.close()
        self.open.clear()
        self.socket.close()

    def _end(self, request: Any) -> None:
        connection = self.open.get(request)
        if connection is not None:
            connection.is_ended = True
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)  # wakes its thread, which closes it
