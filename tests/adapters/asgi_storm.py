"""A storm of clients that go in the middle of a response, in every way there is, over raw ASGI.

Run as a program it rages in a process of its own, and prints how much memory has grown, in blocks and in megabytes.
"""

import asyncio
import gc
import resource
import sys
from operator import itemgetter

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.testing import FakeClock
from tests.adapters.wire import guard_of, http, inside, serve, websocket

AT_ONCE = 50
BOTH = ["GET /stream", "GET /ws"]
RULES = [
    {"name": "backend", "resource": BOTH, "kind": "breaker", "failure_rate": 0.9, "min_calls": 20},
    {"name": "places", "resource": BOTH, "kind": "bulkhead", "max_concurrent": AT_ONCE},
    {"name": "per-user", "resource": BOTH, "kind": "limit", "rate": "1/s", "key": "user"},
]
GONE = {"http": {"type": "http.disconnect"}, "websocket": {"type": "websocket.disconnect", "code": 1006}}


class Away(Exception):
    """What frameworks raise where they find the client gone."""


# how a connection ends: what the app has raised then
ENDS = {
    "the app reads that the client is gone, and stops": type(None),
    "the app reads that the client is gone, and stumbles over it": Away,
    "the client cannot be reached any more": OSError,
    "the server cancels the app": asyncio.CancelledError,
    "the app fails": ValueError,
    "the response is complete": type(None),
}
STOPS, STUMBLES, UNREACHABLE, CANCELLED, FAILS, COMPLETE = ENDS


class Connection:
    """One client, of a user that nobody has seen before. Its connection ends once the gate is open."""

    def __init__(self, number, gate):
        self.end = list(ENDS)[number // 2 % len(ENDS)]
        made = http if number % 2 else websocket
        self.scope = made("/stream" if number % 2 else "/ws", user=str(number), end=self.end, gate=gate)
        self.gate = gate
        self.is_new = True

    async def receive(self):
        if self.is_new and self.scope["type"] == "websocket":
            return {"type": "websocket.connect"}
        await self.gate.wait()
        return GONE[self.scope["type"]]

    async def send(self, message):
        self.is_new = False
        if self.end is UNREACHABLE and self.gate.is_set():
            raise OSError


async def app(scope, receive, send):
    """Has sent the first of two chunks when the gate opens."""
    is_http, end = scope["type"] == "http", scope["end"]
    chunk = {"type": "http.response.body", "body": b"x"} if is_http else {"type": "websocket.send", "text": "x"}
    if not is_http:
        await receive()
    await send({"type": "http.response.start", "status": 200} if is_http else {"type": "websocket.accept"})
    await send({**chunk, "more_body": True} if is_http else chunk)
    if end in (STOPS, STUMBLES, CANCELLED):
        assert await receive() is GONE[scope["type"]]
    else:
        await scope["gate"].wait()
    if end in (STUMBLES, FAILS):
        raise ENDS[end]
    if end in (UNREACHABLE, COMPLETE):
        await send(chunk)


class Storm:
    """Connections in batches: all of one are inside before the first of them ends."""

    def __init__(self, middleware=GuardMiddleware):
        self.clock = FakeClock(1_700_000_000_000_000)
        self.guard = guard_of(*RULES, clock=self.clock, max_keys=1_000)
        self.app = middleware(app, self.guard, user=itemgetter("user"))
        self.number = 0

    def rage(self, until):
        asyncio.run(self._rage(until))

    async def _rage(self, until):
        while self.number < until:
            await self._batch()
            assert 0 == inside(self.guard, "places", "GET /stream")
            self.clock.advance(1)

    async def _batch(self):
        gate = asyncio.Event()
        connections = [Connection(number, gate) for number in range(self.number, self.number + AT_ONCE)]
        self.number += AT_ONCE
        tasks = [asyncio.ensure_future(self.app(one.scope, one.receive, one.send)) for one in connections]
        await asyncio.sleep(0)
        assert AT_ONCE == inside(self.guard, "places", "GET /stream")
        assert 503 == (await serve(self.app, http("/stream", user="one too many"))).status
        gate.set()
        for task, one in zip(tasks, connections, strict=True):
            if one.end is CANCELLED:
                task.cancel()
        await asyncio.wait(tasks)
        for task, one in zip(tasks, connections, strict=True):
            assert ENDS[one.end] is (asyncio.CancelledError if task.cancelled() else type(task.exception()))


def growth(storm, warm, until):
    """Return how many blocks of memory, and how many megabytes, the connections after the first ones have cost."""
    storm.rage(warm)
    before = memory()
    storm.rage(until)
    return [now - then for now, then in zip(memory(), before, strict=True)]


def memory():
    gc.collect()
    return sys.getallocatedblocks(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    print(*growth(Storm(), int(sys.argv[1]), int(sys.argv[2])))
