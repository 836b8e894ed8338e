"""A TCP proxy that does to a connection what networks do: late, dripping, lost, reset, silent, black, refused.

Law: nothing is random. A fault is in force when its method returns, hits the replies it was told to hit and no others,
and every hit is counted in `seen`, so that a test can prove that its fault happened. What is called a request or a
reply is what one read brought: for a client that asks one thing at a time, exactly that.
"""

import asyncio
import contextlib
import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from tests.ports import HOST, free_port
from tests.servers import PATIENCE

CHUNK = 65536
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds; closing sends RST


class Fault(NamedTuple):
    """What happens to replies: to all, or to the *nth* to a request in which *after* occurs."""

    kind: str = "none"
    seconds: float = 0.0
    after: bytes = b""
    nth: int = 0


class Pair(NamedTuple):
    """A client's connection and ours to the server on its behalf."""

    client: socket.socket
    server: socket.socket

    def close(self, *, reset: bool = False) -> None:
        for end in self:
            with contextlib.suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                end.close()


class Proxy:
    """Stand before a server, as `with Proxy(server.port) as proxy:`, on `proxy.port` of the loopback.

    `seen` counts: connections, requests (forwarded), replies (forwarded), and what was done to them: delayed, dripped
    (bytes), swallowed, reset, closed, unanswered, held.
    """

    def __init__(self, target: int):
        self.target = target
        self.port = free_port()
        self.seen: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._fault, self._hits = Fault(), 0
        self._serving: set[asyncio.Task[None]] = set()
        self._wanted: dict[Pair, bool] = {}  # whether the last request is one whose reply the fault looks for
        self._fillers: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_):
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    # What a test asks for

    def delay(self, seconds: float, *, after: bytes = b"", nth: int = 0) -> None:
        """Let replies wait before they are forwarded."""
        self._do(self._set(Fault("delay", seconds, after, nth)))

    def drip(self, seconds: float, *, after: bytes = b"", nth: int = 0) -> None:
        """Forward replies one byte at a time, this far apart."""
        self._do(self._set(Fault("drip", seconds, after, nth)))

    def drop_reply(self, *, after: bytes = b"", nth: int = 0) -> None:
        """Let the server do what was asked, and lose its answer."""
        self._do(self._set(Fault("drop", 0.0, after, nth)))

    def rst(self, *, after: bytes = b"", nth: int = 0) -> None:
        """Let the server do what was asked, and reset the connection instead of answering."""
        self._do(self._set(Fault("rst", 0.0, after, nth)))

    def close(self, *, after: bytes = b"", nth: int = 0) -> None:
        """Let the server do what was asked, and close the connection instead of answering."""
        self._do(self._set(Fault("close", 0.0, after, nth)))

    def silent(self) -> None:
        """Accept and read, and neither forward nor answer."""
        self._do(self._set(Fault("silent")))

    def blackhole(self) -> None:
        """Neither read nor answer, nor take new connections: those hang."""
        self._do(self._darken())

    def refuse(self) -> None:
        """Close the port and reset what is connected."""
        self._do(self._shut())

    def cut(self) -> None:
        """Reset what is connected now."""
        self._do(self._cut())

    def heal(self) -> None:
        """Forward everything again; what a black hole held goes on its way."""
        self._do(self._heal())

    def await_seen(self, condition: Callable[[Counter[str]], bool]) -> None:
        """Return once what was seen fulfils *condition*."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.seen), PATIENCE), self.seen

    # What its thread does

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(PATIENCE)

    def _count(self, what: str, times: int = 1) -> None:
        with self._changed:
            self.seen[what] += times
            self._changed.notify_all()

    async def _set(self, fault: Fault) -> None:
        self._fault, self._hits = fault, 0

    async def _listen(self) -> None:
        self._light = asyncio.Event()
        self._light.set()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setblocking(False)
        self._listener.bind((HOST, self.port))
        self._listener.listen(1024)
        self._accepting = asyncio.ensure_future(self._accept())

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self._count("connections")
            serving = asyncio.ensure_future(self._serve(Pair(client, socket.socket())))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)

    async def _serve(self, pair: Pair) -> None:
        """Forward both ways until one of them ends: by EOFError in order, by anything else with a reset."""
        reset = True
        try:
            pair.server.setblocking(False)
            await self._loop.sock_connect(pair.server, (HOST, self.target))
            for end in pair:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._requests(pair))
                ways.create_task(self._replies(pair))
        except* EOFError:
            reset = False
        except* OSError:
            pass
        finally:
            self._wanted.pop(pair, None)
            pair.close(reset=reset)

    async def _requests(self, pair: Pair) -> None:
        while request := await self._loop.sock_recv(pair.client, CHUNK):
            await self._in_light()
            if self._fault.kind == "silent":
                self._count("unanswered")
                continue
            self._wanted[pair] = self._fault.after in request
            self._count("requests")
            await self._loop.sock_sendall(pair.server, request)
        raise EOFError

    async def _replies(self, pair: Pair) -> None:
        while reply := await self._loop.sock_recv(pair.server, CHUNK):
            await self._in_light()
            fault = self._fault_of(pair)
            match fault.kind:
                case "drop":
                    self._count("swallowed")
                    continue
                case "close":
                    self._count("closed")
                    raise EOFError
                case "rst":
                    self._count("reset")
                    raise ConnectionResetError
                case "delay":
                    self._count("delayed")
                    await asyncio.sleep(fault.seconds)
                case "drip":
                    for place in range(len(reply) - 1):
                        await self._loop.sock_sendall(pair.client, reply[place : place + 1])
                        self._count("dripped")
                        await asyncio.sleep(fault.seconds)
                    reply = reply[-1:]
            await self._loop.sock_sendall(pair.client, reply)
            self._count("replies")
        raise EOFError

    def _fault_of(self, pair: Pair) -> Fault:
        if not self._wanted.get(pair, False):
            return Fault()
        self._hits += 1
        return self._fault if self._fault.nth in (0, self._hits) else Fault()

    async def _in_light(self) -> None:
        if not self._light.is_set():
            self._count("held")
            await self._light.wait()

    async def _cut(self) -> None:
        for serving in list(self._serving):
            self._count("reset")
            serving.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    async def _stop_accepting(self) -> None:
        self._accepting.cancel()
        await asyncio.wait([self._accepting])

    async def _shut(self) -> None:
        await self._stop_accepting()
        self._listener.close()
        await self._cut()

    async def _darken(self) -> None:
        self._light.clear()
        await self._stop_accepting()
        self._listener.listen(0)
        for _ in range(16):  # fill the queue of connections that nobody accepts, until one more hangs
            self._fillers.append(filler := socket.socket())
            filler.setblocking(False)
            filler.connect_ex((HOST, self.port))
            if not select.select([], [filler], [], 0.02)[1]:
                return
        raise RuntimeError("connections are still taken")

    async def _heal(self) -> None:
        await self._set(Fault())
        self._light.set()
        for filler in self._fillers:
            filler.close()
        if self._accepting.done():
            self._fillers.clear()
            self._listener.close()
            await self._listen()

    async def _end(self) -> None:
        await self._heal()
        await self._shut()
