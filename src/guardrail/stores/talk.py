"""Talk: what is said over one connection, whoever moves the bytes.

Law: answers belong to questions in the order in which these were asked. When a connection is lost, what has not been
answered never will be; nothing is asked again elsewhere.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from guardrail.stores.contact import INFO, look
from guardrail.stores.resp import Answers, ErrorReply, GarbledError, command

if TYPE_CHECKING:
    from guardrail.stores.contact import Fault
    from guardrail.stores.flight import AnyFlight
    from guardrail.stores.protocol import Unavailable
    from guardrail.stores.resp import Answer
    from guardrail.stores.scripts import Script
    from guardrail.stores.server import Server


NEVER = float("inf")


class Question:
    """Wait for one answer; this one ignores it.

    Attributes:
        deadline: Until when, in seconds of the monotonic clock.
    """

    __slots__ = ("deadline",)

    def __init__(self, deadline: float = NEVER) -> None:
        self.deadline = deadline

    def matters(self) -> bool:
        """Tell whether somebody waits for it: if it is lost, the store has failed."""
        return False

    def hear(self, answer: Answer, talk: Talk) -> None:
        """Take in the answer, and ask on if need be."""

    def lose(self, unavailable: Unavailable) -> None:
        """Take note that there will be no answer."""


class Talk:
    """Ask a server and hear its answers. One thread at a time.

    Attributes:
        unsent: What is to be written next.
        over: The server has said that it is the wrong one: nothing more is to be asked over this connection.
        busy: Bytes, questions or answers are being moved. Where nobody moves them any more, a signal handler has raised
            in the middle of it, and nobody knows which answer belongs to which question.
    """

    __slots__ = ("_answers", "_open", "_outages", "busy", "over", "server", "unsent")

    def __init__(self, server: Server) -> None:
        self.server = server
        self.unsent = b""
        self.over = self.busy = False
        self._outages = server.health.outages
        self._answers = Answers()
        self._open: deque[Question] = deque()
        self.ask(INFO, Look())

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing is open."""
        return not self._open

    @property
    def is_stale(self) -> bool:
        """Tell, between two uses, whether one was broken off, or the server was away since it was first met."""
        return self.busy or self._outages != self.server.health.outages

    def ask(self, words: bytes, question: Question) -> None:
        """Ask; the answer goes to *question*."""
        within, self.busy = self.busy, True
        self._open.append(question)
        self.unsent = self.unsent + words if self.unsent else words
        self.busy = within

    def load(self, script: Script, question: Question) -> None:
        """Give the server a script it does not have."""
        self.ask(command(b"SCRIPT", b"LOAD", script.source), question)

    def board(self, flight: AnyFlight) -> None:
        """Ask what a flight carries, and send along what is due besides."""
        within, self.busy = self.busy, True
        heartbeat, flight.sent_s = self.server.heartbeat, monotonic()
        if heartbeat.due < flight.sent_s and flight.orders:
            heartbeat.beat(self)
        self.ask(flight.words, flight)
        self.busy = within

    def hear(self, received: bytes) -> None:
        """Take in bytes from the server.

        Raises:
            GarbledError: They are no answers to what was asked.
        """
        within, self.busy = self.busy, True
        for answer in self._answers.feed(received):
            if not self._open:
                raise GarbledError("an answer to nothing")
            self._open[0].hear(answer, self)
            self._open.popleft()  # only now: what breaks off above has not answered it
        self.busy = within

    def earliest(self) -> float:
        """Return the first deadline of what is open."""
        return min([question.deadline for question in self._open if question.matters()], default=NEVER)

    def lose(self, fault: Fault) -> None:
        """End it: what is open is not answered any more. That is one failure, however much was under way."""
        self.over = True
        if not fault.ours and any(question.matters() for question in self._open):
            self.server.health.failed(fault)
        unavailable = self.server.health.unavailable()
        while self._open:
            self._open[0].lose(unavailable)
            self._open.popleft()


class Look(Question):
    """Look through what a server says of its memory, when it is first met."""

    __slots__ = ()

    def hear(self, answer: Answer, talk: Talk) -> None:
        if isinstance(answer, bytes):
            look(answer, talk.server.health.warn)
        elif isinstance(answer, ErrorReply):  # a user without this right can be limited all the same
            talk.server.health.log("debug", "%s: INFO memory: %s", talk.server.url.shown, answer.text)
