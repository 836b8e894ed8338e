"""One exchange: a request that is read in bounded room, and its answer. A request for proof may go before it.

Law: no more than LARGEST bytes are read of all that is asked on a connection, whoever sends it and however it is cut.
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedReader, RawIOBase
from logging import ERROR, getLogger
from typing import Any, cast

from guardrail.control.address import location
from guardrail.control.answers import Answer, problem
from guardrail.control.connections import Connections
from guardrail.control.door import Door
from guardrail.control.proof import nonce_of

LARGEST = 16_384
QUIET_S = 5.0  # after so long without a byte, it is over
LARGEST_REST = 1 << 20  # of a body that nobody reads, so that its sender gets to see the answer

logger = getLogger("guardrail.control")


class TooLarge(Exception):
    """Say that a request is larger than any that is meant."""


class CutShort(Exception):
    """Say that the other side went away in the middle of its request."""


class Bounded(RawIOBase):
    """Read a request from a socket, up to a size."""

    def __init__(self, connection: socket.socket, size: int) -> None:
        self._connection = connection
        self._left = size
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            raise TooLarge
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        if self._begun and not count:
            raise CutShort  # or what has come so far would pass for all of it
        self._left -= count
        self._begun = True
        return count


class Exchange(BaseHTTPRequestHandler):
    """Read one request and answer it. After a proof the connection stays, so that nobody else can take the token."""

    timeout = QUIET_S
    request_version = default_request_version = "HTTP/1.0"  # whoever says none gets headers all the same
    command = ""

    def setup(self) -> None:
        super().setup()
        self.rfile = BufferedReader(Bounded(self.connection, LARGEST))

    def handle(self) -> None:
        try:
            while self._goes_on():
                pass
        except TooLarge:
            self._say(problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too large"))
        except CutShort:
            pass
        except OSError:  # the other side is gone, or too slow
            pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say what `parse_request` found, without its words: they quote what was sent."""
        self._say(problem(HTTPStatus(code), "the request cannot be read"))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is that of the library
        """Log nothing: paths hold keys."""

    def _goes_on(self) -> bool:
        """Answer one request, and tell whether there may be another one."""
        self.raw_requestline = self.rfile.readline()
        if not self.parse_request():
            return False
        nonce = nonce_of(self.command, self.path)
        answer = self._answer(nonce)
        asked_to_close = self.headers.get("Connection", "").strip().lower() == "close"
        goes_on = nonce is not None and answer.status == HTTPStatus.OK and not asked_to_close
        self._say(answer, goes_on=goes_on)
        return goes_on

    def _answer(self, nonce: str | None) -> Answer:
        endpoint = cast("Endpoint", self.server)
        refusal = endpoint.door.refusal(self.headers, with_token=nonce is None)
        if refusal is not None:
            return refusal
        if nonce is not None:
            return endpoint.door.proof(nonce)
        endpoint.open[self.connection].is_known = True
        try:
            return endpoint.answer(self.command, self.path)
        except Exception as error:  # noqa: BLE001  whatever it is, the service goes on
            trace = "".join(traceback.format_tb(error.__traceback__))  # without its words: they may quote a key
            logger.log(ERROR, "the control endpoint failed: %s\n%s", type(error).__name__, trace)
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "it failed; the log of the service says where")

    def _say(self, answer: Answer, *, goes_on: bool = False) -> None:
        body = answer.body()
        self.send_response_only(answer.status)
        for name, value in (
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "keep-alive" if goes_on else "close"),
            *answer.headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if not goes_on:
            self._let_finish()

    def _let_finish(self) -> None:
        """Read on for a while: to close while somebody still sends would take the answer away from him."""
        left = LARGEST_REST
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1.0)
            while left > 0 and (rest := self.connection.recv(65_536)):
                left -= len(rest)


class Endpoint(Connections):
    """Listen at one port.

    Args:
        answer: Answers who is let in, by method and target.
    """

    def __init__(self, host: str, port: int, token: str, answer: Callable[[str, str], Answer]) -> None:
        super().__init__(host, port, Exchange)
        self.location = location(host, self.socket.getsockname()[1])
        self.door = Door(self.location, token)
        self.answer = answer
