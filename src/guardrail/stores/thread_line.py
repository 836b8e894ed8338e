"""ThreadLine: the connection that all threads share, and the queue before it.

Law: of the threads that wait, one leads: it takes all that are waiting along, speaks with the server, tells everybody,
and hands on to the first that still waits. No call waits beyond its own deadline, for a connection, for its turn, or for
an answer; who leaves, leaves the others undisturbed.

    queue  [D C]    seats of threads that sleep; the first leads next
    flight [B A]    A leads: writes, reads, delivers; B sleeps until A rings
    aside  [r r]    what nobody waits for; it travels with the next flight, or at once where there is none
"""

from __future__ import annotations

from _thread import LockType, allocate_lock
from collections import deque
from contextlib import suppress
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING

from guardrail.stores.contact import GARBLED, LEFT, OVERDUE, TIMEOUT
from guardrail.stores.flight import MOST, Errand, flight_of, granted
from guardrail.stores.protocol import Reply
from guardrail.stores.resp import GarbledError
from guardrail.stores.thread_port import ThreadPort

if TYPE_CHECKING:
    from guardrail.stores.flight import Cargo, Flight, Outcome
    from guardrail.stores.server import Server
    from guardrail.stores.thread_link import ThreadLink

GRACE_S = 0.1  # a leader that is later than that has been torn from its work by a signal
MOST_ASIDE = 4096
NOTHING = Errand(b"")


class Seat:
    """Hold the place of one thread: in the queue, then in a flight.

    Attributes:
        bell: Held until somebody wakes the thread; None where it does not sleep.
        outcome: What the thread is told.
        left: The thread has given up.
    """

    __slots__ = ("bell", "deadline", "left", "order", "outcome")

    def __init__(self, order: Cargo, deadline: float) -> None:
        self.order = order
        self.deadline = deadline
        self.bell: LockType | None = None
        self.outcome: Outcome = None
        self.left = False

    def ring(self) -> None:
        """Wake the thread, once."""
        bell, self.bell = self.bell, None
        if bell is not None:
            bell.release()


class ThreadLine:
    """Ask a server on behalf of many threads."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._port = ThreadPort(server, self._arrived)
        self._lock = RLock()  # a finalizer may give something back in the middle of this
        self._leader: Seat | None = None
        self._queue: deque[Seat] = deque()
        self._flight: tuple[ThreadLink, Flight[Seat]] | None = None  # the leader's, also when another one leads
        self._aside: deque[Cargo] = deque(maxlen=MOST_ASIDE)

    def ask(self, order: Cargo) -> Outcome:
        """Return what the server says to *order*, or within its timeout that it could not be asked."""
        seat = Seat(order, self._server.deadline())
        try:
            bell = self._sit(seat)
            if bell is not None:
                bell.acquire(timeout=max(0.0, seat.deadline - monotonic()))
            if self._leader is seat:
                self._lead(seat)
        except BaseException:
            self._leave(seat)  # first: what it is granted from now on the flight gives back
            self._regret(seat)
            raise
        finally:
            self._leave(seat)
        if self._server.health.news:
            self._server.health.announce()
        return seat.outcome

    def send(self, order: Cargo) -> None:
        """Send what nobody waits for. Never waits."""
        with self._lock:
            self._aside.append(order)
        self._send_aside()

    def probe(self) -> bool:
        """Begin to see whether the server answers again; False: what was begun before is still under way."""
        return self._port.start_dial(probes=True)[1]

    def close(self, *, wait: bool = True) -> None:
        """Give up the connection, or the attempt to get one; with *wait*, return when that has ended."""
        self._aside.clear()
        self._port.close(wait=wait)

    def abandon(self) -> None:
        """Close what was the parent's, in a child, without the parent noticing."""
        self._port.abandon()

    # Who leads

    def _sit(self, seat: Seat) -> LockType | None:
        """Lead, or take a place in the queue and return the bell to wait for."""
        with self._lock:
            if not self._is_led():
                self._leader = seat
                return None
            bell = seat.bell = allocate_lock()
            bell.acquire()
            self._queue.append(seat)
            return bell

    def _is_led(self) -> bool:
        leader = self._leader
        if leader is None:
            return False
        if monotonic() < leader.deadline + GRACE_S:
            return True
        self._flight = None
        self._port.give_up(OVERDUE)  # nobody knows what that leader has done with it
        return False

    def _leave(self, seat: Seat) -> None:
        """Hand on what *seat* leads; without an outcome, it has given up."""
        with self._lock:
            if self._leader is seat:
                self._leader = following = self._queue.popleft() if self._queue else None
                if following is not None:
                    following.ring()
            if seat.outcome is None:
                seat.left, seat.outcome = True, self._server.health.unavailable()
                with suppress(ValueError):
                    self._queue.remove(seat)
        if self._aside and self._port.link is not None:
            self._send_aside()

    def _resign(self, seat: Seat, flight: Flight[Seat]) -> bool:
        """Let another one lead who waits for the same flight and has more time; False: there is none."""
        now = monotonic()
        with self._lock:
            for other in flight.waiters:
                if other is None or other is seat or other.outcome is not None or other.left or other.deadline <= now:
                    continue
                seat.left, self._leader = True, other
                other.ring()
                return True
        return False

    def _regret(self, seat: Seat) -> None:
        """Give back what was granted to a call that is broken off."""
        order, outcome = seat.order, seat.outcome
        if isinstance(outcome, Reply) and order.checks and not order.peek:
            refunds = granted(order.checks, outcome)
            if refunds:
                self.send(self._server.frames.refund_order(refunds))

    def _tell(self, seat: Seat, outcome: Outcome) -> bool:
        with self._lock:
            if seat.left or seat.outcome is not None:
                return False
            seat.outcome = outcome
            seat.ring()
            return True

    # What the leader does

    def _lead(self, seat: Seat) -> None:
        if self._flight is None and not self._set_out(seat):
            return
        assert self._flight is not None
        link, flight = self._flight
        try:
            self._exchange(link, flight, seat)
        except BaseException:  # a signal handler has raised; who else is on this flight is answered all the same
            if not link.talk.busy and not self._resign(seat, flight):
                seat.left = True
                self._exchange(link, flight, seat)
            raise
        finally:
            if self._leader is seat:
                self._flight = None
                if not flight.landed:
                    self._port.lose(link, LEFT)

    def _set_out(self, seat: Seat) -> bool:
        """Board a flight; False: there is no connection."""
        link = None if self._server.health.away else self._port.connected(seat.deadline)
        if link is None:
            return False
        seats = [seat]
        try:
            self._take(seats)
            self._flight = link, self._board(link, seats, seat.deadline)
        except BaseException:  # a signal handler has raised; who was to travel along is told
            self._flight = None
            self._port.lose(link, LEFT)
            for other in seats[1:]:
                self._tell(other, self._server.health.unavailable())
            raise
        return True

    def _exchange(self, link: ThreadLink, flight: Flight[Seat], seat: Seat) -> None:
        """Write, and read until the flight has landed or the leader has no more time."""
        try:
            link.land(flight, seat.deadline)
        except TimeoutError:
            if link.talk.busy or not self._resign(seat, flight):  # busy: the system's own timeout of a connection
                self._port.lose(link, TIMEOUT)
        except OSError:
            self._port.lose(link, link.ending)
        except GarbledError:
            self._port.lose(link, GARBLED)

    def _take(self, seats: list[Seat]) -> None:
        """Take those out of the queue who travel with the first of *seats*."""
        with self._lock:
            size = seats[0].order.size
            while self._queue and size + self._queue[0].order.size <= MOST:
                seats.append(self._queue[0])
                self._queue.popleft()
                size += seats[-1].order.size

    def _board(self, link: ThreadLink, seats: list[Seat], deadline: float) -> Flight[Seat]:
        """Let *seats* travel, behind what nobody waits for: that was sent before they asked."""
        room = MOST - sum([seat.order.size for seat in seats])
        aside = self._board_aside(link, room, deadline) if self._aside else []
        cargo = [*aside, *[seat.order for seat in seats]]
        flight = flight_of(self._server, cargo, [*[None] * len(aside), *seats], deadline, self._tell)
        link.talk.board(flight)
        return flight

    def _board_aside(self, link: ThreadLink, room: int, deadline: float) -> list[Cargo]:
        """Let what nobody waits for go ahead, and return the rest of it, for which there is *room*."""
        with self._lock:
            aside, self._aside = self._aside, deque(maxlen=MOST_ASIDE)
        cargo: list[Cargo] = []
        size = 0
        for order in aside:
            if cargo and size + order.size > MOST:
                link.talk.board(flight_of(self._server, cargo, [None] * len(cargo), deadline, self._tell))
                cargo, size = [], 0
            cargo.append(order)
            size += order.size
        if cargo and size > room:
            link.talk.board(flight_of(self._server, cargo, [None] * len(cargo), deadline, self._tell))
            cargo = []
        return cargo

    def _send_aside(self) -> None:
        """Send what nobody waits for, unless somebody leads: that one will."""
        if not self._aside:
            return
        if self._server.health.away:
            self._aside.clear()
            return
        seat = Seat(NOTHING, self._server.deadline())
        with self._lock:
            if self._is_led():
                return
            self._leader = seat
        try:
            link = self._port.fit()
            if link is None:
                self._port.start_dial(probes=False)
            else:
                self._board_aside(link, 0, seat.deadline)
                self._write(link)
        finally:
            self._leave(seat)

    def _arrived(self) -> None:
        """Send what had no connection; where there will be none, it is forgotten."""
        if self._port.link is None:
            self._aside.clear()
        self._send_aside()

    def _write(self, link: ThreadLink) -> None:
        try:
            link.write()
        except OSError:
            self._port.lose(link, link.ending)
