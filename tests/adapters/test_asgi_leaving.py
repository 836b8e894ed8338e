"""How a call ends: by its status, by its error, or without a vote because the client went away."""

import asyncio
import gc
from contextlib import suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from guardrail import RateLimited
from guardrail.adapters.asgi import GuardMiddleware
from tests.adapters.wire import PER_CLIENT, Wire, call, guard_of, hello, http, inside, serve

BREAKER = {"name": "backend", "resource": "**", "kind": "breaker", "window_calls": 10, "min_calls": 10}
PLACES = {"name": "places", "resource": "**", "kind": "bulkhead", "max_concurrent": 3}
DISCONNECT = {"type": "http.disconnect"}


def votes(guard, breaker="backend/**"):
    """Return successes and failures that the breaker has counted."""
    snapshot = guard.breakers[breaker].snapshot()
    return snapshot.calls - snapshot.failures, snapshot.failures


def app_with(status=200, *, error=None, listens=False, chunks=1, returns_early=False):
    async def app(scope, receive, send):
        if returns_early:
            return
        if listens:
            await receive()
        if error is not None and not status:
            raise error
        await send({"type": "http.response.start", "status": status, "headers": []})
        for left in reversed(range(chunks)):
            await send({"type": "http.response.body", "body": b"x", "more_body": bool(left) or error is not None})
        if error is not None:
            raise error

    return app


@pytest.mark.parametrize(
    ("expected", "app", "wire"),
    [
        ((1, 0), {"status": 200}, {}),
        ((1, 0), {"status": 404}, {}),
        ((1, 0), {"status": 499}, {}),
        ((0, 1), {"status": 500}, {}),
        ((0, 1), {"status": 503}, {}),
        ((0, 1), {"status": 599}, {}),
        ((0, 1), {"status": 0, "error": ValueError("no")}, {}),
        ((0, 1), {"status": 200, "error": ValueError("in the middle")}, {}),
        ((0, 1), {"returns_early": True}, {}),
        ((0, 0), {"listens": True}, {"messages": [DISCONNECT]}),  # gone before there is an answer
        ((0, 0), {"status": 500, "listens": True}, {"messages": [DISCONNECT]}),
        ((0, 0), {"status": 0, "listens": True, "error": ClientDisconnect()}, {"messages": [DISCONNECT]}),
        ((0, 0), {"chunks": 3}, {"broken_after": 2}),  # gone in the middle
        ((0, 0), {"chunks": 3}, {"broken_after": 0}),
        ((0, 0), {"status": 0, "error": asyncio.CancelledError()}, {}),
        ((0, 0), {"status": 0, "error": GeneratorExit()}, {}),
    ],
)
def test_the_breaker_hears_how_it_went_and_the_place_is_free(expected, app, wire):
    guard, app = guard_of(BREAKER, PLACES), app_with(**app)
    guard.try_enter("**").exit(asyncio.CancelledError())  # so that there is a breaker to look at
    with suppress(ValueError, OSError, ClientDisconnect, asyncio.CancelledError, GeneratorExit):
        call(GuardMiddleware(app, guard), http(), *wire.pop("messages", ()), **wire)
    assert [expected, 0] == [votes(guard), inside(guard, "places")]


@pytest.mark.parametrize("last", ["body", "pathsend", "zerocopysend"])
def test_a_client_that_goes_once_it_has_its_answer_went_for_good(last):
    guard = guard_of(BREAKER)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": f"http.response.{last}"})
        await receive()

    call(GuardMiddleware(app, guard), http(), DISCONNECT)
    assert votes(guard) == (1, 0)


@pytest.mark.parametrize(
    ("expected", "lists"),
    [
        ((0, 1), {}),
        ((0, 1), {"failures": ["http.5xx"]}),
        ((0, 1), {"failures": ["LookupError"]}),
        ((1, 0), {"failures": ["http.503"]}),
        ((0, 0), {"ignore": ["KeyError"]}),
        ((0, 0), {"ignore": ["http.500"]}),
    ],
)
def test_an_error_behind_the_error_page_of_starlette_is_judged_by_its_name_and_the_status(expected, lists):
    async def endpoint(request):
        raise KeyError

    guard = guard_of({**BREAKER, "key": "method", **lists})
    app = GuardMiddleware(Starlette(routes=[Route("/", endpoint)]), guard)
    with pytest.raises(KeyError):
        call(app, http())
    assert expected == votes(guard, "backend/GET")


@pytest.mark.parametrize("failures", ["http.5xx", "http.500", "ValueError"])
def test_an_error_that_is_left_to_the_server_counts_with_the_page_that_it_makes(failures):
    guard = guard_of({**BREAKER, "failures": [failures]})
    with pytest.raises(ValueError, match="no"):
        call(GuardMiddleware(app_with(0, error=ValueError("no")), guard), http())
    assert votes(guard) == (0, 1)


def test_a_status_can_be_listed_as_a_failure():
    guard = guard_of({**BREAKER, "failures": ["http.429"]})
    for status in (429, 500):
        call(GuardMiddleware(app_with(status), guard), http())
    assert votes(guard) == (1, 1)


def test_guards_own_answers_are_no_votes():
    guard = guard_of(BREAKER, {**PER_CLIENT, "rate": "1/min"})
    app = GuardMiddleware(hello, guard)
    assert [200, 429, 429] == [call(app, http()).status for _ in range(3)]
    assert votes(guard) == (1, 0)


def test_an_app_that_is_cancelled_while_it_waits_leaves_no_trace():
    guard = guard_of(BREAKER, PLACES)

    async def app(scope, receive, send):
        await asyncio.Event().wait()

    async def run():
        task = asyncio.ensure_future(serve(GuardMiddleware(app, guard), http()))
        while not inside(guard, "places"):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert [(0, 0), 0] == [votes(guard), inside(guard, "places")]


def test_hundreds_of_clients_of_starlette_that_go_in_the_middle_leave_every_bulkhead_empty():
    """In every way a client can go, while others are inside. test_asgi_storm.py has the thousands, without Starlette."""
    before = len(exchanges())
    guard = guard_of(BREAKER, {**PLACES, "max_concurrent": 100}, {**PLACES, "name": "per-client", "key": "client.ip"})

    async def endless():
        while True:
            yield b"x"

    async def stream(request):
        return StreamingResponse(endless())

    app = GuardMiddleware(Starlette(routes=[Route("/", stream)]), guard)

    async def one(number):
        wire = Wire(DISCONNECT, broken_after=None if number % 3 == 0 else number % 5)
        if number % 3:
            wire.messages.clear()
        client = (f"198.51.100.{number % 200}", 1)
        asgi = {"version": "3.0", "spec_version": "2.1"}  # Starlette listens for the client's leave
        task = asyncio.ensure_future(app(http(client=client, asgi=asgi), wire.receive, wire.send))
        if number % 3 == 2:
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.done()
        if not task.cancelled():
            assert isinstance(task.exception(), OSError | None)

    async def run():
        for first in range(0, 600, 50):
            await asyncio.gather(*(one(number) for number in range(first, first + 50)))

    asyncio.run(run())
    assert votes(guard, "backend/GET /") == (0, 0)
    assert inside(guard, "places", "GET /") == 0
    clients = [f"198.51.100.{number}" for number in range(200)]
    assert not any(inside(guard, "per-client", "GET /", client_ip=client) for client in clients)
    assert len(exchanges()) == before


def exchanges():
    gc.collect()
    return [one for one in gc.get_objects() if type(one).__name__ == "Exchange"]


@pytest.mark.parametrize("error", [ValueError(), RateLimited("x", guard_of().peek("x"))])
def test_another_error_that_is_being_dealt_with_outside_is_not_the_apps(error):
    guard = guard_of({**BREAKER, "ignore": ["ValueError"]})

    async def run():
        try:
            raise error
        except Exception:  # noqa: BLE001  whichever it is
            return await serve(GuardMiddleware(app_with(503), guard), http())

    assert asyncio.run(run()).status == 503
    assert votes(guard) == (0, 1)


def test_a_plain_response_of_starlette_goes_through():
    async def endpoint(request):
        return PlainTextResponse("hello")

    assert call(GuardMiddleware(Starlette(routes=[Route("/", endpoint)]), guard_of(PLACES)), http()).body == b"hello"
