"""WSGI over a real server, between two judges of the standard library: what goes in and out keeps PEP 3333."""

import socket
from contextlib import contextmanager
from threading import Thread
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator

import httpx
import pytest

from guardrail.adapters.wsgi import GuardMiddleware
from tests.adapters.test_wsgi import BREAKER, ONCE, PLACES, hello, votes
from tests.adapters.wire import guard_of, inside

PATIENCE = 30


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        """Print nothing."""


class Server(WSGIServer):
    def handle_error(self, request, client_address):
        self.errors.append(True)


@contextmanager
def serving(app):
    """Serve *app*, and give the server."""
    server = make_server("127.0.0.1", 0, app, Server, Handler)
    server.errors = []
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


@pytest.fixture(autouse=True)
def errors_of_apps(monkeypatch):
    """Have what an app raises, and a judge says, fail the test."""
    raised = []
    monkeypatch.setattr(ServerHandler, "log_exception", lambda handler, info: raised.append(info[1]))
    yield raised
    assert [] == raised


def judged(app, guard, **options):
    return validator(GuardMiddleware(validator(app), guard, **options))


def counting(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"1", b"2"])


def writing(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])(b"1")
    return [b"2"]


def refused(environ, start_response):
    with guard_of({**ONCE, "key": None}).enter("inner", cost=2):
        return []


def refused_late(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield from refused(environ, start_response)


@pytest.mark.parametrize(
    ("expected", "app"),
    [
        ((200, "hello"), hello),
        ((200, "12"), counting),
        ((200, "12"), writing),
        ((429, None), refused),
        ((429, None), refused_late),
    ],
    ids=lambda row: getattr(row, "__name__", ""),
)
def test_answers_of_every_kind(expected, app):
    guard = guard_of(PLACES, BREAKER)
    with serving(judged(app, guard)) as server, httpx.Client() as client:
        for method in ("GET", "POST"):
            answer = client.request(method, f"http://127.0.0.1:{server.server_port}/")
            assert expected == (answer.status_code, answer.text if answer.status_code == 200 else None)
    assert 0 == inside(guard, "places")


def test_refusals_and_their_headers():
    with serving(judged(hello, guard_of(ONCE), headers="both")) as server:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
            answers = [client.request(method, "/") for method in ("GET", "GET", "HEAD")]
    assert [200, 429, 429] == [answer.status_code for answer in answers]
    assert ["60", '"per-client";r=0;t=60', "0"] == [
        answers[1].headers[name] for name in ("retry-after", "ratelimit", "x-ratelimit-remaining")
    ]
    assert b"" == answers[2].content


def test_a_client_of_http_1_0():
    answers = []
    with serving(judged(hello, guard_of(ONCE))) as server:
        for _ in range(2):
            with socket.create_connection(server.server_address, PATIENCE) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answers.append(b"".join(iter(lambda: connection.recv(4096), b"")))
    assert [b" 200 ", b" 429 "] == [answer[8:13] for answer in answers]
    assert b"\r\nRetry-After: 60\r\n" in answers[1]


def test_a_client_that_goes_in_the_middle_casts_no_vote_and_leaves_its_place():
    guard = guard_of(PLACES, BREAKER)

    def endless(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        while True:
            yield b"x" * 10_000

    with serving(judged(endless, guard)) as server:
        with httpx.stream("GET", f"http://127.0.0.1:{server.server_port}/") as response:
            chunks = response.iter_bytes()
            assert b"x" == next(chunks)[:1]
            assert 1 == inside(guard, "places")
    assert [0, (0, 0)] == [inside(guard, "places"), votes(guard)]
