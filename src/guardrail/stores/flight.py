"""Flights: calls that travel together, in one command.

Law: a flight answers every one who waits, once. What was granted to somebody who has left meanwhile is given back as
soon as it is known. Only what was not executed, because the server did not have the script, is sent again.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast

from guardrail.core.limit import Charge
from guardrail.stores import scripts
from guardrail.stores.protocol import Refund, Reply, Unavailable
from guardrail.stores.resp import Answer, ErrorReply, GarbledError
from guardrail.stores.server import MANY
from guardrail.stores.talk import NEVER, Question, Talk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from guardrail.stores.frames import Order
    from guardrail.stores.protocol import Check
    from guardrail.stores.server import Server

    AnyFlight: TypeAlias = "Flight[Any]"

MOST = 256  # checks in a flight: 0.8 ms of the server
DONE: Answer = 0  # of an order to which nothing comes back: None would be no outcome yet

Cargo: TypeAlias = "Order | Errand"
Outcome: TypeAlias = "Reply | Unavailable | Answer"
W = TypeVar("W")


class Errand:
    """Hold a command that is no script, such as SCAN. It travels alone."""

    __slots__ = ("words",)
    size = MOST
    checks = None
    places = ()
    peek = False

    def __init__(self, words: bytes) -> None:
        self.words = words


class Flight(Question, Generic[W]):
    """Carry orders to the server, and their outcomes to those who wait.

    Attributes:
        waiters: One for each order; None where nobody waits.
        deadline: When nobody waits any more, in seconds of the monotonic clock.
        landed: All who waited have been told.
        sent_s: When it was sent, in seconds of the monotonic clock.
    """

    __slots__ = ("_again", "_refusal", "_tell", "landed", "orders", "sent_s", "server", "waiters", "words")

    def __init__(
        self,
        server: Server,
        orders: Sequence[Cargo],
        waiters: Sequence[W | None],
        deadline: float,
        tell: Callable[[W, Outcome], bool],
    ) -> None:
        super().__init__(deadline)
        self.server = server
        self.orders = orders
        self.waiters = waiters
        self.landed = False
        self.sent_s = 0.0
        self.words = self._words()
        self._tell = tell  # False: that one has left
        self._again = False
        self._refusal = ""

    def matters(self) -> bool:
        return not self.landed and any(waiter is not None for waiter in self.waiters)

    def hear(self, answer: Answer, talk: Talk) -> None:
        if not isinstance(answer, ErrorReply):
            self._land(answer, talk)
        elif answer.text.startswith("NOSCRIPT") and not self._again:
            self._again = True
            talk.load(scripts.admit(), Loading(self))
            talk.ask(self.words, self)
        else:
            fault = self.server.fault_of_reply(self._refusal or answer.text)
            talk.over = talk.over or fault.elsewhere
            self.server.health.failed(fault)
            self.lose(self.server.health.unavailable())

    def lose(self, unavailable: Unavailable) -> None:
        self.landed = True
        for order, waiter in zip(self.orders, self.waiters, strict=True):
            if waiter is None:
                self.server.returned(order.places)  # it may have been done
            else:
                self._tell(waiter, unavailable)

    def was_refused(self, text: str) -> None:
        """Take note that the server does not take the script, and why."""
        self._refusal = text

    def _words(self) -> bytes:
        return self.server.frames.frame(cast("Sequence[Order]", self.orders), self.server.now_us())

    def _read(self, answer: Answer) -> Sequence[Reply | Answer]:
        if not isinstance(answer, bytes):
            raise GarbledError(f"not what a script answers: {answer!r}")
        try:
            return self.server.frames.replies(answer, cast("Sequence[Order]", self.orders))
        except (ValueError, IndexError) as wrong:
            raise GarbledError(f"not what the script answers: {answer[:80]!r}") from wrong

    def _land(self, answer: Answer, talk: Talk) -> None:
        answered_s, waits = monotonic(), False
        replies = self._read(answer)
        self._well()
        refunds: list[Refund] = []
        for order, waiter, reply in zip(self.orders, self.waiters, replies, strict=True):
            if waiter is None:
                self.server.returned(order.places)
                continue
            waits = True
            if self._tell(waiter, DONE if reply is None else reply):
                continue
            if isinstance(reply, Reply) and order.checks is not None and not order.peek:
                refunds += granted(order.checks, reply)
        self.landed = True
        if waits:  # else it may have been there for long: nobody was in a hurry to hear it
            times = self.server.answer_times
            times.append(answered_s - self.sent_s)
            if len(times) >= MANY:
                self.server.count_times()
        if refunds:
            returning: Flight[W] = Flight(
                self.server, [self.server.frames.refund_order(refunds)], [None], NEVER, self._tell
            )
            talk.ask(returning.words, returning)

    def _well(self) -> None:
        self.server.health.well()


class Loading(Question):
    """Wait for the answer to SCRIPT LOAD on behalf of a flight."""

    __slots__ = ("_flight",)

    def __init__(self, flight: AnyFlight) -> None:
        super().__init__()
        self._flight = flight

    def hear(self, answer: Answer, talk: Talk) -> None:
        if isinstance(answer, ErrorReply):
            self._flight.was_refused(answer.text)


class ErrandFlight(Flight[W]):
    """Carry one errand."""

    __slots__ = ()

    def hear(self, answer: Answer, talk: Talk) -> None:
        self._land(answer, talk)

    def _words(self) -> bytes:
        errand = self.orders[0]
        assert isinstance(errand, Errand)
        return errand.words

    def _read(self, answer: Answer) -> Sequence[Reply | Answer]:
        return (answer,)


class Probe(Flight[None]):
    """Ask a server that was away for nothing at all, to see whether it answers."""

    __slots__ = ()

    def __init__(self, server: Server, deadline: float) -> None:
        super().__init__(server, (), (), deadline, lambda _, __: True)

    def matters(self) -> bool:
        return not self.landed

    def _well(self) -> None:
        self.server.health.answered()


def flight_of(
    server: Server,
    orders: Sequence[Cargo],
    waiters: Sequence[W | None],
    deadline: float,
    tell: Callable[[W, Outcome], bool],
) -> Flight[W]:
    """Return the flight that carries these orders."""
    kind = ErrandFlight if isinstance(orders[0], Errand) else Flight
    return kind(server, orders, waiters, deadline, tell)


def granted(checks: Sequence[Check], reply: Reply) -> list[Refund]:
    """Return what gives back all that *reply* has charged."""
    refunds: list[Refund] = []
    if not reply.allowed:
        return refunds
    for check, state, era in zip(checks, reply.states, reply.eras, strict=True):
        ruling = check.limit.ask(state, reply.now_us, check.cost, check.max_wait_us)
        if check.cost and ruling.allowed:
            charged = check.limit.charge(state, reply.now_us, check.cost)
            charge = Charge(check.cost, reply.now_us, charged, ruling.wait_us > 0)
            refunds.append(Refund(check.key, check.limit, check.cost, charge, era))
    return refunds
