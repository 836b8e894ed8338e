"""A visit: one connection to a store's server, used as a store does, and bounded in time.

Law: no question outlives its deadline, whatever the other side sends or does not. The server is not told that there is one
process more.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLSocket
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING

from guardrail.cli.doctor.dial import VisitError, dialled
from guardrail.stores.contact import CLOSED, GARBLED, Fault
from guardrail.stores.flight import Errand, flight_of
from guardrail.stores.resp import ErrorReply, GarbledError, command
from guardrail.stores.server import Server
from guardrail.stores.thread_link import ThreadLink

if TYPE_CHECKING:
    from guardrail.stores.flight import Outcome
    from guardrail.stores.resp import Answer
    from guardrail.stores.scripts import Script
    from guardrail.stores.url import StoreUrl
    from guardrail.stores.wires import Wire

ANSWER_S = 2.0
VISIT_S = 10.0


class Visit:
    """Ask a server one thing after the other.

    Attributes:
        connecting_us: How long it took until the first thing could be asked.
        dial_us: How long a store would have waited for that.
        peer: The address of the server; None: it is a unix socket.
        secured: What encrypts the connection; None: nothing does.
    """

    def __init__(self, wire: Wire, server: Server, connecting_us: int) -> None:
        connected = wire.connected()
        self.connecting_us = connecting_us
        self.dial_us = int(server.dial_s * 1_000_000)
        self.peer: str | None = None if connected.family == getattr(socket, "AF_UNIX", None) else _peer_of(connected)
        self.secured: SSLSocket | None = connected if isinstance(connected, SSLSocket) else None
        self._server = server
        self._link = ThreadLink(wire, server)
        self._until = monotonic() + VISIT_S

    def ask(self, *words: bytes) -> Answer:
        """Ask one thing, and return the answer; no answer but a nil is 0.

        Raises:
            VisitError: There is none.
        """
        return self.send(command(*words), words[0].decode())

    def send(self, words: bytes, name: str) -> Answer:
        """Ask what is encoded already.

        Args:
            name: What it is, for the message.

        Raises:
            VisitError: There is no answer.
        """
        answers: list[Answer] = []
        deadline = min(monotonic() + ANSWER_S, self._until)
        flight = flight_of(self._server, [Errand(words)], [answers], deadline, _hear)
        try:
            self._link.talk.ask(flight.words, flight)
            self._link.land(flight, deadline)
        except TimeoutError:
            late = f"no answer to {name} within {ANSWER_S:g} s"
            if deadline == self._until:
                late = f"its answers take so long that the visit was broken off at {name}, after {VISIT_S:g} s"
            raise VisitError(Fault("timeout", late)) from None
        except GarbledError as error:
            raise VisitError(GARBLED) from error
        except OSError as error:
            raise VisitError(CLOSED) from error
        return answers[0]

    def run(self, script: Script, words: bytes) -> Answer:
        """Run one of our scripts, which is loaded if the server does not have it.

        Args:
            words: The EVALSHA.

        Raises:
            VisitError: There is no answer.
        """
        answer = self.send(words, "EVALSHA")
        if not isinstance(answer, ErrorReply) or not answer.text.startswith("NOSCRIPT"):
            return answer
        loaded = self.send(command(b"SCRIPT", b"LOAD", script.source), "SCRIPT LOAD")
        return loaded if isinstance(loaded, ErrorReply) else self.send(words, "EVALSHA")


@contextmanager
def visiting(url: StoreUrl) -> Iterator[Visit]:
    """Connect to a server until the block ends.

    Raises:
        VisitError: There is no connection, or it has ended.
    """
    server = Server(url, None)
    began = perf_counter_ns()
    wire = dialled(url)
    try:
        try:
            visit = Visit(wire, server, (perf_counter_ns() - began) // 1000)
        except OSError as error:  # it has hung up already, so it has no address
            raise VisitError(CLOSED) from error
        yield visit
    finally:
        wire.hang_up()


def _hear(answers: list[Answer], outcome: Outcome) -> bool:
    assert not isinstance(outcome, tuple) or isinstance(outcome, ErrorReply)  # it carries an errand
    answers.append(outcome)
    return True


def _peer_of(connected: socket.socket) -> str:
    peer = connected.getpeername()
    return str(peer[0])
