"""Wires: redis-py's connections, made so that they can be cut off and taken over, and what its errors mean.

Law: redis-py finds the server, encrypts, authenticates and selects the database, once; nothing is read, written or tried
again by it after that.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable
from ssl import SSLError
from typing import TYPE_CHECKING, Any, TypeAlias

import redis.asyncio.connection as tasks
import redis.connection as threads
from redis import exceptions
from redis.asyncio.retry import Retry as TaskRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from guardrail.stores.contact import CODE, GARBLED, NO_CONNECTION, Fault, fault_of_reply

if TYPE_CHECKING:
    from guardrail.stores.url import StoreUrl

_Step: TypeAlias = Callable[[], object]  # redis-py says little of its types

_SILENT: dict[str, Any] = (  # the server need not know which library this is: two round trips and a right less
    {"driver_info": None}
    if "driver_info" in inspect.signature(threads.AbstractConnection.__init__).parameters
    else {"lib_name": None, "lib_version": None}
)


class Wire(threads.AbstractConnection):
    """Connect threads.

    Attributes:
        lifeline: The same socket once more, by which it can be cut off while the handshake goes on.
    """

    lifeline: socket.socket | None = None

    def dial(self) -> None:
        """Connect, with every step of it."""
        connect: _Step = self.connect
        connect()

    def hang_up(self) -> None:
        """Close the connection; in a child, without the parent noticing."""
        disconnect: _Step = self.disconnect
        disconnect()

    def connected(self) -> socket.socket:
        """Return the socket."""
        assert self._sock is not None
        connected: socket.socket = self._sock
        return connected

    def _connect(self) -> Any:
        parent: Any = super()
        connected = parent._connect()  # noqa: SLF001  # where redis-py's connections make their socket
        self.lifeline = connected.dup()
        return connected


class TcpWire(Wire, threads.Connection):
    """Connect threads over TCP."""


class TlsWire(threads.SSLConnection, TcpWire):
    """Connect threads over TLS: its first parent asks the second one for a socket."""


class UnixWire(Wire, threads.UnixDomainSocketConnection):
    """Connect threads over a unix socket."""


class TaskWire(tasks.AbstractConnection):
    """Connect an event loop.

    Attributes:
        transport: What carries the bytes, from as soon as there is one.
    """

    transport: asyncio.WriteTransport | None = None

    async def dial(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect, with every step of it."""
        connect: Callable[[], Awaitable[object]] = self.connect
        await connect()

    def let_go(self) -> None:
        """Forget the streams: their transport is closed, or is somebody else's to close."""
        self._reader = self._writer = None

    def give_up(self) -> None:
        """Close what there is, at once."""
        if self.transport is not None:
            self.transport.abort()
        self.let_go()

    def abandon(self) -> None:
        """Close the socket alone: the loop is gone and cannot, or it is the parent's and must not notice."""
        outer: Any = self.transport
        inner = getattr(getattr(outer, "_ssl_protocol", None), "_transport", outer)
        connected = getattr(inner, "_sock", None)
        if connected is not None:
            inner._closing, inner._sock = True, None  # noqa: SLF001  # or asyncio would warn that nobody closed it
            outer._closed = True  # noqa: SLF001  # likewise, over TLS
            connected.close()
        self.let_go()

    async def _connect(self) -> None:
        parent: Any = super()
        await parent._connect()  # noqa: SLF001  # where redis-py's connections make their streams
        self.transport = self._writer.transport if self._writer else None


class TcpTaskWire(TaskWire, tasks.Connection):
    """Connect an event loop over TCP."""


class TlsTaskWire(TaskWire, tasks.SSLConnection):
    """Connect an event loop over TLS."""

    async def dial(self, loop: asyncio.AbstractEventLoop) -> None:
        await loop.run_in_executor(
            None, self.ssl_context.get
        )  # it reads certificates: too long for a loop to stand still
        await super().dial(loop)


class UnixTaskWire(TaskWire, tasks.UnixDomainSocketConnection):
    """Connect an event loop over a unix socket."""


_WIRES: dict[str, Callable[..., Wire]] = {"redis": TcpWire, "rediss": TlsWire, "unix": UnixWire}
_TASK_WIRES: dict[str, Callable[..., TaskWire]] = {"redis": TcpTaskWire, "rediss": TlsTaskWire, "unix": UnixTaskWire}


def thread_wire(url: StoreUrl, limit_s: float) -> Wire:
    """Return a connection for threads that is not connected yet. Each of its steps takes at most *limit_s*."""
    return _WIRES[url.scheme](**url.settings, **_bounds(limit_s), retry=Retry(NoBackoff(), 0))


def task_wire(url: StoreUrl, limit_s: float) -> TaskWire:
    """Return a connection for an event loop that is not connected yet. Each of its steps takes at most *limit_s*."""
    return _TASK_WIRES[url.scheme](**url.settings, **_bounds(limit_s), retry=TaskRetry(NoBackoff(), 0))


def fault_of_error(error: Exception, rights: str) -> Fault:
    """Say why no connection could be made, by what redis-py or the system raised."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SSLError):
            return Fault(
                "tls", f"{error}; does the server speak TLS? check certificates, and ssl_ca_certs in the store's URL"
            )
        cause = cause.__cause__ or cause.__context__
    match error:
        case exceptions.BusyLoadingError():
            return fault_of_reply(f"LOADING {error}", rights)
        case exceptions.NoPermissionError():
            return fault_of_reply(f"NOPERM {error}", rights)
        case exceptions.AuthenticationError():
            text = str(error)
            code = "WRONGPASS" if "invalid" in text.lower() else "ERR" if text.startswith("AUTH ") else "NOAUTH"
            return fault_of_reply(f"{code} {text}", rights)
        case exceptions.ResponseError():
            text = str(error)
            return fault_of_reply(text if CODE.match(text) else f"ERR {text}", rights)
        case exceptions.TimeoutError() | TimeoutError():
            return NO_CONNECTION
        case exceptions.InvalidResponse():
            return GARBLED
        case _:
            return Fault("connection", str(error) or type(error).__name__)


def _bounds(limit_s: float) -> dict[str, Any]:
    return {"socket_timeout": limit_s, "socket_connect_timeout": limit_s, "protocol": 2, **_SILENT}
