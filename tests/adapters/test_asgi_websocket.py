"""WebSockets are limited when they connect, and are told so as well as the server allows."""

import asyncio
import json

import pytest

from guardrail.adapters.asgi import GuardMiddleware
from tests.adapters.wire import PER_CLIENT, call, guard_of, inside, serve, websocket

ONCE = {**PER_CLIENT, "rate": "1/min"}
BREAKER = {
    "name": "backend",
    "resource": "* /**",
    "kind": "breaker",
    "window_calls": 10,
    "min_calls": 10,
    "key": "method",
}
PLACES = {"name": "places", "resource": "**", "kind": "bulkhead", "max_concurrent": 1}
CONNECT, DISCONNECT = {"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1005}


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"a", b"b")]})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": message["text"]})


def votes(guard):
    snapshot = guard.breakers["backend/GET"].snapshot()
    return snapshot.calls - snapshot.failures, snapshot.failures


def test_an_accepted_one_is_told_what_is_left_and_its_messages_pass():
    wire = call(
        GuardMiddleware(echo, guard_of(PER_CLIENT)),
        websocket(),
        CONNECT,
        {"type": "websocket.receive", "text": "x"},
        DISCONNECT,
    )
    accept, echoed = wire.sent
    assert [(b"a", b"b"), (b"ratelimit", b'"per-client";r=1;t=30')] == accept["headers"][:2]
    assert {"type", "headers"} == set(accept)
    assert echoed == {"type": "websocket.send", "text": "x"}


def test_a_refused_one_is_closed_before_it_is_accepted():
    app = GuardMiddleware(echo, guard_of(ONCE))
    call(app, websocket(), CONNECT, DISCONNECT)
    wire = call(app, websocket(), CONNECT)
    assert ["received websocket.connect", "sent websocket.close"] == wire.events
    assert wire.sent[0]["code"] == 1013


def test_a_refused_one_is_told_429_where_the_server_can_say_it():
    app = GuardMiddleware(echo, guard_of(ONCE))
    call(app, websocket(), CONNECT, DISCONNECT)
    wire = call(app, websocket(extensions={"websocket.http.response": {}}), CONNECT)
    expected = ["received websocket.connect", "sent websocket.http.response.start", "sent websocket.http.response.body"]
    assert expected == wire.events
    assert [429, "60", '"per-client";r=0;t=60'] == [wire.status, wire.headers["retry-after"], wire.headers["ratelimit"]]
    assert json.loads(wire.body)["status"] == 429


def test_one_that_has_gone_before_it_is_refused_is_told_nothing():
    app = GuardMiddleware(echo, guard_of(ONCE))
    call(app, websocket(), CONNECT, DISCONNECT)
    assert call(app, websocket(), DISCONNECT).sent == []


@pytest.mark.parametrize("extensions", [None, {"websocket.http.response": {}}])
def test_a_refusal_that_escapes_before_it_is_accepted_turns_it_away(extensions):
    guard = guard_of(BREAKER)
    limited = guard.limit("1/min", key="client.ip", name="inner")(lambda: None)

    async def app(scope, receive, send):
        await receive()
        limited()
        await send({"type": "websocket.accept"})

    app = GuardMiddleware(app, guard)
    wires = [call(app, websocket(extensions=extensions), CONNECT) for _ in range(2)]
    assert "websocket.accept" == wires[0].sent[0]["type"]
    assert ("websocket.http.response.start" if extensions else "websocket.close") == wires[1].sent[0]["type"]
    assert votes(guard) == (1, 0)


def test_the_place_is_held_as_long_as_the_connection():
    guard = guard_of(PLACES)
    app = GuardMiddleware(echo, guard)

    async def run():
        first = asyncio.ensure_future(serve(app, websocket(), CONNECT))
        while not inside(guard, "places"):
            await asyncio.sleep(0)
        second = await serve(app, websocket(), CONNECT)
        assert second.events[-1] == "sent websocket.close"
        first.cancel()
        await asyncio.wait([first])
        third = await serve(app, websocket(), CONNECT, DISCONNECT)
        assert third.sent[0]["type"] == "websocket.accept"

    asyncio.run(run())
    assert inside(guard, "places") == 0


async def raising(scope, receive, send):
    await echo(scope, receive, send)
    raise KeyError


async def failing(scope, receive, send):
    raise KeyError


async def denying(scope, receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("expected", "app", "options"),
    [
        ((1, 0), echo, {}),  # it ended, whoever ended it
        ((0, 0), raising, {}),  # the client went, and the app stumbled over that
        ((0, 1), failing, {}),
        ((0, 1), denying, {}),
        ((0, 0), echo, {"broken_after": 0}),
    ],
)
def test_the_breaker_hears_how_it_went(expected, app, options):
    guard = guard_of(BREAKER)
    app = GuardMiddleware(app, guard)
    try:
        call(app, websocket(), CONNECT, DISCONNECT, **options)
    except (KeyError, OSError):
        assert expected != (1, 0)
    assert expected == votes(guard)
