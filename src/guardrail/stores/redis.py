"""RedisStore: limits shared over a Redis or Valkey server.

    call -> Order -> seat in a thread line, or future of a loop line -> Flight (one EVALSHA) -> Reply | Unavailable

Law: a call is charged at most once and is answered within its timeout; while the server is away, at once. Only what
forgets raises.
"""

from __future__ import annotations

import os
import time
import warnings
from asyncio import _get_running_loop as running_loop  # None where no loop runs: nothing is raised for each call
from contextlib import suppress
from typing import TYPE_CHECKING

from guardrail.stores.flight import granted
from guardrail.stores.forgetting import forgetting
from guardrail.stores.protocol import Reply, Unavailable
from guardrail.stores.server import Server
from guardrail.stores.url import PREFIX, TIMEOUT, Default, parse_store_url

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from guardrail.clock import Clock
    from guardrail.stores.flight import Outcome
    from guardrail.stores.frames import Order
    from guardrail.stores.lines import Lines
    from guardrail.stores.loop_line import LoopLine
    from guardrail.stores.protocol import Check, Refund
    from guardrail.stores.thread_line import ThreadLine
    from guardrail.telemetry.events import Event
    from guardrail.telemetry.snapshot import StoreSnapshot

MISSING = 'a store on Redis needs redis-py: pip install "guardrail-py[redis]"'
ON_A_LOOP = (
    "a shared limit is asked for on the thread of a running event loop, which stands still until the store has answered;"
    " use the asynchronous form: async with guard.enter(...), await guard.atry_enter(...), async functions"
)


class RedisStore:
    """Keep shared limits on one Redis or Valkey server. Safe from any thread, task, event loop and forked child.

    Nothing is connected before the first call. Options in the URL are `timeout`, `prefix`, `db`, `username`, `password`,
    `client_name`, `socket_keepalive`, and with `rediss://` such as `ssl_ca_certs`, named as in redis-py; an argument wins
    over the URL. A store that was closed connects again when it is asked.

    What one process forgets or gives back, the others learn when they ask: until a refusal that they remember has ended,
    at the time it named, they repeat it without asking.

    A user of its own needs no more than `ACL SETUSER <user> ~<prefix>:*` with `guardrail.stores.contact.RIGHTS`, for a
    `db` other than 0 also `+select`, for a `client_name` also `+client|setname`.

    Args:
        url: `redis://[user:password@]host[:port][/db]`, `rediss://...` over TLS, or `unix:///path[?db=0]`.
        timeout: How long a call may take at most, with all it has to wait for.
        prefix: What all keys begin with.
        clock: Gives limits their time; by default the server does.

    Raises:
        ValueError: The URL or an option cannot be used.
        ImportError: redis-py is not installed.
    """

    def __init__(
        self, url: str, *, timeout: object = Default(TIMEOUT), prefix: str = Default(PREFIX), clock: Clock | None = None
    ) -> None:
        self.clock = clock
        self._server = Server(parse_store_url(url, timeout, prefix), clock)
        self._frames = self._server.frames
        self._health = self._server.health
        self._warned = False
        self._lines = _lines(self._server)

    def __repr__(self) -> str:
        return f"RedisStore({self._server.url.shown!r})"

    def admit(self, checks: Sequence[Check], *, peek: bool = False) -> Reply | Unavailable:
        if not checks:
            return self._nothing()
        lines = self._own()
        if not self._warned and running_loop() is not None:
            self._warned = True
            warnings.warn(ON_A_LOOP, RuntimeWarning, stacklevel=2)
        if self._health.away:
            return self._probe(lines.threads)
        outcome = lines.threads.ask(self._frames.admit_order(checks, peek=peek))
        assert isinstance(outcome, Reply | Unavailable)
        return outcome

    async def aadmit(self, checks: Sequence[Check], *, peek: bool = False) -> Reply | Unavailable:
        if not checks:
            return self._nothing()
        line = self._own().of_loop()
        if self._health.away:
            return self._probe(line)
        future = line.ask(self._frames.admit_order(checks, peek=peek))
        try:
            outcome = await future
        except BaseException:
            if not peek:
                self._leave(future, checks)
            raise
        assert isinstance(outcome, Reply | Unavailable)
        return outcome

    def give_back(self, refunds: Sequence[Refund]) -> None:
        if refunds:
            self._send(lambda: self._frames.refund_order(refunds))

    def owe(self, checks: Sequence[Check]) -> None:
        if checks:
            self._send(lambda: self._frames.owe_order(checks))

    def forget(self, rule: str, keys: Sequence[str] | None) -> None:
        line = self._own().threads
        steps = forgetting(self._server, rule, keys)
        with suppress(StopIteration):
            cargo = next(steps)
            while True:
                cargo = steps.send(self._probe(line) if self._health.away else line.ask(cargo))

    async def aforget(self, rule: str, keys: Sequence[str] | None) -> None:
        line = self._own().of_loop()
        steps = forgetting(self._server, rule, keys)
        with suppress(StopIteration):
            cargo = next(steps)
            while True:
                cargo = steps.send(self._probe(line) if self._health.away else await line.ask(cargo))

    def live_processes(self) -> int:
        return self._server.heartbeat.live

    def snapshot(self) -> StoreSnapshot:
        self._own()  # a child begins at 0
        return self._server.snapshot()

    def follow(self, tell: Callable[[Event], object]) -> None:
        self._health.follow(tell)

    def follow_returns(self, tell: Callable[[str], object]) -> None:
        self._server.followers.append(tell)

    def after_fork(self) -> None:
        parents, self._lines = self._lines, _lines(self._server)
        self._server.after_fork()
        parents.abandon()

    def close(self) -> None:
        """Give up the connections of threads, and those of event loops that are gone."""
        self._own().close()

    async def aclose(self) -> None:
        """Give up all connections, those of this event loop in order."""
        await self._own().aclose()

    def _own(self) -> Lines:
        """Return the lines of this process."""
        if self._lines.pid != os.getpid():
            self.after_fork()
        return self._lines

    def _probe(self, line: ThreadLine | LoopLine) -> Unavailable:
        """Answer at once; if it is time to look at the server again, begin that in the background."""
        if self._health.is_due() and not line.probe():
            self._health.postpone()
        if self._health.news:
            self._health.announce()
        return self._health.unavailable()

    def _nothing(self) -> Reply:
        now_us = self._server.now_us()
        return Reply(True, time.time_ns() // 1000 if now_us is None else now_us, (), ())

    def _send(self, order: Callable[[], Order]) -> None:
        if self._health.away:
            return
        try:
            self._own().send(order())
        except Exception as error:  # noqa: BLE001  # it may be a finalizer that gives back: nobody is there to be told
            self._health.log("debug", "%s: not sent: %r", self._server.url.shown, error)

    def _leave(self, future: asyncio.Future[Outcome], checks: Sequence[Check]) -> None:
        """Give up waiting. The flight gives back what it brings; what it has just brought is given back here."""
        with suppress(RuntimeError):  # the loop is closed
            future.cancel()
        if future.done() and not future.cancelled():
            outcome = future.result()
            if isinstance(outcome, Reply):
                self.give_back(granted(checks, outcome))


def _lines(server: Server) -> Lines:
    try:
        from guardrail.stores.lines import Lines
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "redis":
            raise
        raise ImportError(MISSING, name="redis") from missing
    return Lines(server)
