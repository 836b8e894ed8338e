"""What stands in for a server: it drives one connection of an ASGI app and writes down what happens, in order."""

import asyncio

from guardrail import Guard
from guardrail.testing import FakeClock

PER_CLIENT = {"name": "per-client", "resource": "**", "kind": "limit", "rate": "2/min", "key": "client.ip"}


def guard_of(*rules, clock=None, **options):
    return Guard(list(rules), clock=FakeClock(1_700_000_000_000_000) if clock is None else clock, **options)


def http(path="/", method="GET", *, headers=(), client=("203.0.113.9", 50_000), query=b"", **more):
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": client,
        "server": ("127.0.0.1", 80),
        **more,
    }


def websocket(path="/", *, extensions=None, **more):
    scope = http(path, **more)
    del scope["method"]
    return {**scope, "type": "websocket", "subprotocols": [], "extensions": extensions or {}}


class Wire:
    """One connection. `events` holds what was sent and received, as words; `sent` the messages themselves."""

    def __init__(self, *messages, broken_after=None):
        self.messages = list(messages) or [{"type": "http.request", "body": b"", "more_body": False}]
        self.sent = []
        self.events = []
        self.broken_after = broken_after

    async def receive(self):
        if not self.messages:
            await asyncio.Event().wait()  # as a server does until the client goes
        message = self.messages.pop(0)
        self.events.append(f"received {message['type']}")
        return message

    async def send(self, message):
        await asyncio.sleep(0)
        if self.broken_after is not None and len(self.sent) >= self.broken_after:
            raise OSError("the client is gone")
        self.sent.append(message)
        self.events.append(f"sent {message['type']}")

    @property
    def status(self):
        starts = [message["status"] for message in self.sent if message["type"].endswith("response.start")]
        assert len(starts) == 1, self.sent
        return starts[0]

    @property
    def headers(self):
        start = next(message for message in self.sent if "headers" in message)
        return {name.decode(): value.decode() for name, value in start["headers"]}

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent if message["type"].endswith("response.body"))


async def serve(app, scope, *messages, **options):
    wire = Wire(*messages, **options)
    await app(scope, wire.receive, wire.send)
    return wire


def call(app, scope, *messages, **options):
    """Serve one connection to its end, and return what came over the wire."""
    return asyncio.run(serve(app, scope, *messages, **options))


async def hello(scope, receive, send):
    """The smallest app."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})


def inside(guard, name, resource="**", **attributes):
    """Return how many calls are inside of a bulkhead."""
    verdicts = guard.peek(resource, {key.replace("_", "."): value for key, value in attributes.items()}).verdicts
    found = next(one for one in verdicts if one.rule == name)
    return found.limit - found.remaining - found.allowed  # one that came now would be inside
