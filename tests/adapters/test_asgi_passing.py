"""What passes: chunk by chunk, untouched, in order; uploads are not consumed."""

import asyncio

import pytest

from guardrail.adapters.asgi import GuardMiddleware
from tests.adapters.wire import PER_CLIENT, Wire, call, guard_of, hello, http, inside, websocket

PLACES = {"name": "places", "resource": "**", "kind": "bulkhead", "max_concurrent": 1}
START = {"type": "http.response.start", "status": 200, "headers": []}


def chunk(text, *, more=True):
    return {"type": "http.response.body", "body": text, "more_body": more}


def test_a_stream_passes_chunk_by_chunk():
    wire = Wire()

    async def app(scope, receive, send):
        wire.events.append("app starts")
        await send(START)
        for text in (b"1", b"2"):
            wire.events.append(f"app has {text.decode()}")
            await send(chunk(text))
        await send(chunk(b"", more=False))
        wire.events.append("app is done")

    asyncio.run(GuardMiddleware(app, guard_of(PER_CLIENT))(http(), wire.receive, wire.send))
    expected = [
        "app starts",
        "sent http.response.start",
        *("app has 1", "sent http.response.body"),
        *("app has 2", "sent http.response.body"),
        "sent http.response.body",
        "app is done",
    ]
    assert expected == wire.events


def test_the_body_of_a_request_is_left_to_the_app():
    messages = [{"type": "http.request", "body": text, "more_body": text != b"c"} for text in (b"a", b"b", b"c")]
    got = []

    async def app(scope, receive, send):
        while True:
            message = await receive()
            got.append(message)
            if not message["more_body"]:
                break
        await send(START)
        await send(chunk(b"", more=False))

    call(GuardMiddleware(app, guard_of(PER_CLIENT)), http(method="POST"), *messages)
    assert len(got) == 3
    assert all(one is other for one, other in zip(messages, got, strict=True))


def test_a_refused_upload_is_not_read():
    guard = guard_of(PLACES)
    with guard.enter("x"):
        wire = call(GuardMiddleware(hello, guard), http(method="POST"))
    assert ["sent http.response.start", "sent http.response.body"] == wire.events


MESSAGES = [
    {"type": "http.response.start", "status": 103, "headers": [(b"link", b"</x>")]},
    {"type": "http.response.early_hint", "links": [b"</x>"]},
    {"type": "http.response.push", "path": "/x", "headers": []},
    {"type": "http.response.debug", "info": {}},
    {"type": "http.response.zerocopysend", "file": 1},
    {"type": "http.response.body", "body": memoryview(b"x"), "more_body": True, "extra": 1},
    {"type": "http.response.pathsend", "path": "/file"},
    {"type": "http.response.trailers", "headers": [(b"a", b"b")], "more_trailers": False},
    {"type": "something.new"},
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["type"])
def test_messages_pass_as_they_are(message):
    async def app(scope, receive, send):
        await send(message)

    wire = call(GuardMiddleware(app, guard_of(PER_CLIENT)), http())
    assert wire.sent[0] is message


def test_the_start_is_copied_and_not_changed():
    start = {**START, "headers": [(b"a", b"b")], "extra": 1}

    async def app(scope, receive, send):
        await send(start)

    wire = call(GuardMiddleware(app, guard_of(PER_CLIENT)), http())
    assert start == {**START, "headers": [(b"a", b"b")], "extra": 1}
    assert [1, (b"a", b"b")] == [wire.sent[0]["extra"], wire.sent[0]["headers"][0]]


@pytest.mark.parametrize("kind", ["lifespan", "something.new"])
def test_other_scopes_pass_untouched(kind):
    seen = []

    async def app(scope, receive, send):
        seen.extend((scope, receive, send))

    scope, wire = {"type": kind}, Wire()
    receive, send = wire.receive, wire.send
    asyncio.run(GuardMiddleware(app, guard_of())(scope, receive, send))
    assert all(one is other for one, other in zip((scope, receive, send), seen, strict=True))


@pytest.mark.parametrize(
    ("messages", "during"),
    [
        ([START, chunk(b"1"), chunk(b"2", more=False)], [1, 1, 0]),
        ([START, {"type": "http.response.body"}], [1, 0]),
        ([START, {"type": "http.response.pathsend", "path": "/file"}], [1, 0]),
        (
            [
                {**START, "trailers": True},
                chunk(b"1", more=False),
                {"type": "http.response.trailers", "headers": [], "more_trailers": True},
                {"type": "http.response.trailers", "headers": []},
            ],
            [1, 1, 1, 0],
        ),
        ([{"type": "http.response.start", "status": 103, "headers": []}, START, chunk(b"", more=False)], [1, 1, 0]),
    ],
)
def test_a_place_is_held_until_the_response_is_complete(messages, during):
    guard, seen = guard_of(PLACES), []

    async def app(scope, receive, send):
        for message in messages:
            await send(message)
            seen.append(inside(guard, "places"))

    call(GuardMiddleware(app, guard), http())
    assert during == seen
    assert inside(guard, "places") == 0


def test_a_place_is_held_as_long_as_a_websocket():
    guard, seen = guard_of(PLACES), []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        seen.append(inside(guard, "places"))
        await send({"type": "websocket.close"})

    call(GuardMiddleware(app, guard), websocket(), {"type": "websocket.connect"})
    assert [[1], 0] == [seen, inside(guard, "places")]
