"""LoopLine: the connection of one event loop, and what waits for it.

Law: the calls of one tick travel together, and flights are under way one behind the other; answers are heard as they come,
with no task and no thread. The loop never waits. No call waits beyond the deadline of the first one in its flight: then
the connection is given up, because what comes over it is late from there on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from guardrail.stores.contact import CLOSED, LEFT, NO_CONNECTION, TIMEOUT
from guardrail.stores.flight import MOST, Probe, flight_of
from guardrail.stores.loop_link import LoopLink
from guardrail.stores.talk import NEVER
from guardrail.stores.wires import fault_of_error, task_wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardrail.stores.contact import Fault
    from guardrail.stores.flight import AnyFlight, Cargo, Outcome
    from guardrail.stores.server import Server
    from guardrail.stores.wires import TaskWire

    Boarding: TypeAlias = "tuple[Cargo, asyncio.Future[Outcome] | None]"


class LoopLine:
    """Ask a server on behalf of the tasks of one event loop, and only from there."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._server = server
        self._boarding: list[Boarding] = []
        self._deadline = 0.0  # of what is boarding
        self._grounded: deque[AnyFlight] = deque()  # flights that wait for a connection
        self._link: LoopLink | None = None
        self._dial: asyncio.Task[None] | None = None
        self._probes = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def ask(self, order: Cargo) -> asyncio.Future[Outcome]:
        """Return what the server will say to *order*, or within its timeout that it could not be asked."""
        future: asyncio.Future[Outcome] = self.loop.create_future()
        if self._is_closed:
            future.set_result(self._server.health.unavailable())
        else:
            self._board(order, future)
        return future

    def send(self, order: Cargo) -> None:
        """Send what nobody waits for."""
        if not self._is_closed:
            self._board(order, None)

    def probe(self) -> bool:
        """Begin to see whether the server answers again; False: what was begun before is still under way."""
        if self._is_closed:
            return False
        self._probes = True
        return self._start_dial()

    def close(self) -> None:
        """Give up the connection, or the attempt to get one, for ever. Only what nobody waits for is sent before."""
        self._is_closed = True
        boarding, self._boarding = self._boarding, []
        link, self._link = self._link, None
        if link is not None:
            if link.is_fit():
                for flight in self._flights([pair for pair in boarding if pair[1] is None]):
                    link.talk.board(flight)
                link.write()
            link.close()
            link.talk.lose(LEFT)
        self._let_down(boarding)
        if self._dial is not None:
            self._dial.cancel()  # which tells nobody anything, if it has not begun
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def aclose(self) -> None:
        """Give up the connection in order, or the attempt to get one."""
        link, dial = self._link, self._dial
        self.close()
        if dial is not None:
            await asyncio.wait([dial])
        if link is not None:
            await link.gone

    def abandon(self) -> None:
        """Give up a connection whose event loop is gone, or the parent's."""
        link, self._link = self._link, None
        if link is not None:
            link.abandon()

    def lost(self, link: LoopLink, fault: Fault) -> None:
        """Take note that a connection is gone."""
        if self._link is link:
            self._link = None
        link.talk.lose(fault)
        self.announce()

    def announce(self) -> None:
        """Let listeners know soon: behind the tasks that have just been told."""
        if self._server.health.news:
            self.loop.call_soon(self._server.health.announce)

    def _board(self, order: Cargo, future: asyncio.Future[Outcome] | None) -> None:
        if not self._boarding:
            self._deadline = self._server.deadline()
            self.loop.call_soon(self._depart)
        self._boarding.append((order, future))

    def _depart(self) -> None:
        """Send what this tick has brought."""
        boarding = self._boarding
        try:
            self._boarding = []
            self._give_up_unfit()
            for flight in self._flights(boarding):
                self._fly(flight)
            if self._link is not None:
                self._link.write()
            elif self._grounded:
                self._start_dial()
        except BaseException:  # a signal handler has raised, and the loop may go on all the same
            self._give_up_unfit()
            self._let_down(boarding)
            raise

    def _give_up_unfit(self) -> None:
        link = self._link
        if link is not None and not link.is_fit():
            link.close()
            self.lost(link, LEFT if link.talk.is_stale else CLOSED)

    def _let_down(self, boarding: list[Boarding]) -> None:
        """Tell all that are not under way that they will not be."""
        unavailable = self._server.health.unavailable()
        for _, future in boarding:
            if future is not None:
                tell(future, unavailable)
        while self._grounded:
            self._grounded[0].lose(unavailable)
            self._grounded.popleft()

    def _flights(self, boarding: list[Boarding]) -> Iterator[AnyFlight]:
        """Yield what carries these, in order."""
        cargo: list[Cargo] = []
        waiters: list[asyncio.Future[Outcome] | None] = []
        size = 0
        for order, future in boarding:
            if future is not None and future.done():  # cancelled before it was sent
                continue
            if cargo and size + order.size > MOST:
                yield flight_of(self._server, cargo, waiters, self._deadline, tell)
                cargo, waiters, size = [], [], 0
            cargo.append(order)
            waiters.append(future)
            size += order.size
        if cargo:
            yield flight_of(self._server, cargo, waiters, self._deadline, tell)

    def _fly(self, flight: AnyFlight) -> None:
        if self._link is None:
            self._grounded.append(flight)
            self._watch(flight.deadline)
        else:
            self._fly_out(flight)

    # Time

    def _watch(self, deadline: float) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(max(0.0, deadline - monotonic()), self._expire)

    def _expire(self) -> None:
        """Give up what is late. One timer watches all: the first deadline is that of the oldest flight."""
        self._timer = None
        try:
            self._give_up_late(monotonic())
        finally:
            coming = [flight.deadline for flight in self._grounded]
            if self._link is not None:
                coming.append(self._link.talk.earliest())
            first = min(coming, default=NEVER)
            if first != NEVER:
                self._watch(first)
        self.announce()

    def _give_up_late(self, now: float) -> None:
        late = [flight for flight in self._grounded if flight.deadline <= now]
        if late:
            self._server.health.failed(NO_CONNECTION)
            unavailable = self._server.health.unavailable()
            for flight in late:
                flight.lose(unavailable)
                self._grounded.remove(flight)
        link = self._link
        if link is not None and link.talk.earliest() <= now:
            link.close()
            self.lost(link, TIMEOUT)

    # The connection

    def _start_dial(self) -> bool:
        """Begin to connect; False: that is under way."""
        if self._dial is not None and not self._dial.done():
            return False
        self._dial = self.loop.create_task(self._connect(), name="guardrail-store")
        return True

    async def _connect(self) -> None:
        """Get a connection, and send what waits for one."""
        wire: TaskWire | None = None
        fault: Fault | None = LEFT
        try:
            began, limit_s = monotonic(), self._server.patience_s()
            wire = task_wire(self._server.url, limit_s)
            async with asyncio.timeout(limit_s):
                await wire.dial(self.loop)
            fault, self._server.took_s = None, monotonic() - began
        except TimeoutError:
            fault = NO_CONNECTION
        except Exception as error:  # noqa: BLE001  # whatever redis-py, TLS and the system raise
            fault = fault_of_error(error, self._server.rights)
        finally:
            self._dial = None
            if self.loop.is_closed():
                self._grounded.clear()  # nobody is left to be told
                if wire is not None:
                    wire.abandon()
            elif wire is not None and fault is None and not self._is_closed:
                self._take_over(wire)
            else:
                self._fail(wire, fault or LEFT)

    def _take_over(self, wire: TaskWire) -> None:
        self._link, surplus = LoopLink(wire, self, self._server), self._link
        if surplus is not None:
            surplus.close()
            self.lost(surplus, LEFT)
        probes, self._probes = self._probes, False
        if probes:
            self._fly_out(Probe(self._server, self._server.probe_deadline()))
        while self._grounded:
            self._fly_out(self._grounded[0])
            self._grounded.popleft()
        self._link.write()

    def _fly_out(self, flight: AnyFlight) -> None:
        assert self._link is not None
        self._link.talk.board(flight)
        self._watch(flight.deadline)

    def _fail(self, wire: TaskWire | None, fault: Fault) -> None:
        """Tell all that wait for a connection that there is none."""
        if wire is not None:
            wire.give_up()
        self._probes = False
        if not fault.ours:
            self._server.health.failed(fault)
        self._let_down([])
        self.announce()


def tell(future: asyncio.Future[Outcome], outcome: Outcome) -> bool:
    """Give a task its outcome; False: it has left."""
    if future.done():
        return False
    future.set_result(outcome)
    return True
