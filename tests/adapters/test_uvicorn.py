"""Over a real server, with real clients."""

import asyncio
from threading import Event, Thread

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.fastapi import install
from tests.adapters.uvicorn_server import PATIENCE, serving
from tests.adapters.wire import PER_CLIENT, guard_of, inside

ONCE = {**PER_CLIENT, "rate": "1/min"}
PLACES = {"name": "places", "resource": "**", "kind": "bulkhead", "max_concurrent": 2}


class Gate:
    """Holds the app up until the test lets it go on."""

    def __init__(self):
        self._event = Event()

    async def passed(self):
        assert await asyncio.get_running_loop().run_in_executor(None, self._event.wait, PATIENCE)

    def open(self):
        self._event.set()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


def app_with(gate, ended=None):
    async def hello(request):
        return PlainTextResponse("hello")

    async def upload(request):
        return PlainTextResponse(str(len(await request.body())))

    async def stream(request):
        async def chunks():
            try:
                yield "first"
                await gate.passed()
                yield "second"
            finally:
                if ended is not None:
                    ended.set()

        return StreamingResponse(chunks())

    async def socket(connection):
        await connection.accept()
        await connection.send_text(await connection.receive_text())
        await connection.close()

    routes = [
        Route("/hello/{name}", hello),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        WebSocketRoute("/ws", socket),
    ]
    return Starlette(routes=routes)


def test_answers_and_their_headers(gate):
    with serving(GuardMiddleware(app_with(gate), guard_of(ONCE))) as address:
        with httpx.Client(base_url=f"http://{address}") as client:
            first, second, third = client.get("/hello/a"), client.get("/hello/b"), client.head("/hello/c")
    assert [200, 429, 429] == [first.status_code, second.status_code, third.status_code]
    assert [["60"], '"per-client";r=0;t=60'] == [second.headers.get_list("retry-after"), second.headers["ratelimit"]]
    assert second.json()["violated-policies"] == ["per-client"]
    assert third.content == b""


def test_a_forwarding_header_of_a_stranger_changes_nothing(gate):
    with serving(GuardMiddleware(app_with(gate), guard_of(ONCE), trusted_proxies=["10.0.0.0/8"])) as address:
        with httpx.Client(base_url=f"http://{address}") as client:
            answers = [client.get("/hello/a", headers={"X-Forwarded-For": f"1.1.1.{last}"}) for last in range(3)]
    assert [200, 429, 429] == [answer.status_code for answer in answers]


def test_the_first_chunk_arrives_before_the_second_is_made(gate):
    guard = guard_of(PLACES, PER_CLIENT)
    with serving(GuardMiddleware(app_with(gate), guard)) as address:
        with httpx.stream("GET", f"http://{address}/stream") as response:
            chunks = response.iter_text()
            assert next(chunks) == "first"
            assert inside(guard, "places") == 1
            gate.open()
            assert "".join(chunks) == "second"
    assert inside(guard, "places") == 0


def test_an_upload_arrives_whole(gate):
    with serving(GuardMiddleware(app_with(gate), guard_of(PLACES))) as address:
        body = (b"x" * 10_000 for _ in range(100))
        assert httpx.post(f"http://{address}/upload", content=body).text == "1000000"


def test_a_client_that_goes_leaves_its_place(gate):
    guard, ended = guard_of(PLACES), Event()
    with serving(GuardMiddleware(app_with(gate, ended), guard)) as address:
        with httpx.stream("GET", f"http://{address}/stream") as response:
            assert next(response.iter_text()) == "first"
        gate.open()
        assert ended.wait(PATIENCE)
    assert inside(guard, "places") == 0


def test_places_for_all_that_are_inside_at_once(gate):
    guard = guard_of(PLACES)
    with serving(GuardMiddleware(app_with(gate), guard)) as address:
        url, texts = f"http://{address}/stream", []
        started = [Event(), Event()]

        def read(start):
            with httpx.stream("GET", url) as response:
                chunks = response.iter_text()
                texts.append(next(chunks))
                start.set()
                texts.extend(chunks)

        threads = [Thread(target=read, args=(start,)) for start in started]
        for thread in threads:
            thread.start()
        assert all(start.wait(PATIENCE) for start in started)
        assert httpx.get(f"http://{address}/hello/a").status_code == 503
        gate.open()
        for thread in threads:
            thread.join(PATIENCE)
        assert httpx.get(f"http://{address}/hello/a").status_code == 200
    assert sorted(texts) == ["first", "first", "second", "second"]


def test_http_1_0(gate):
    import socket

    with serving(GuardMiddleware(app_with(gate), guard_of(ONCE))) as address:
        host, _, port = address.partition(":")
        answers = []
        for _ in range(2):
            with socket.create_connection((host, int(port)), PATIENCE) as connection:
                connection.sendall(b"GET /hello/a HTTP/1.0\r\n\r\n")
                answers.append(b"".join(iter(lambda: connection.recv(4096), b"")))
    assert [b" 200 ", b" 429 "] == [answer[8:13] for answer in answers]
    assert b"\r\nretry-after: 60\r\n" in answers[1]


def test_websockets_are_turned_away_with_429(gate):
    with serving(GuardMiddleware(app_with(gate), guard_of(ONCE))) as address:
        with connect(f"ws://{address}/ws") as connection:
            connection.send("hello")
            assert connection.recv() == "hello"
            assert connection.response.headers["ratelimit"] == '"per-client";r=0;t=60'
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{address}/ws")
    answer = refused.value.response
    assert [429, "60"] == [answer.status_code, answer.headers["Retry-After"]]


def test_decorated_endpoints_in_the_thread_pool_know_who_is_calling():
    app, guard = FastAPI(), guard_of()
    install(app, guard)

    @app.get("/sync")
    @guard.limit("1/min", key="client.ip", name="sync")
    def sync():
        return "hello"

    with serving(app) as address, httpx.Client(base_url=f"http://{address}") as client:
        answers = [client.get("/sync") for _ in range(2)]
    assert [200, 429] == [answer.status_code for answer in answers]
    assert answers[1].headers["ratelimit"] == '"sync/limit";r=0;t=60'
    assert guard.peek("sync", {"client.ip": "127.0.0.1"}).remaining in {0, None}
