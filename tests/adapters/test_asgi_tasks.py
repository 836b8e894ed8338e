"""Refusals that come out of the tasks of a view, in a group: they are answered as one that comes alone."""

import asyncio
import json

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from guardrail import RateLimited, Refused
from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.fastapi import install
from tests.adapters.wire import call, guard_of, hello, http, websocket

BREAKER = {
    "name": "backend",
    "resource": "* /**",
    "kind": "breaker",
    "window_calls": 10,
    "min_calls": 10,
    "key": "method",
}
SHORT = {"name": "short", "resource": "short", "kind": "limit", "rate": "1/min", "key": "client.ip"}
LONG = {**SHORT, "name": "long", "resource": "long", "rate": "1/h"}


def votes(guard):
    snapshot = guard.breakers["backend/GET"].snapshot()
    return snapshot.calls - snapshot.failures, snapshot.failures


def tasks(guard, *resources, error=None):
    """Return what enters each of the resources in a task of its own, beside one that never ends if nobody cancels it."""

    async def enter(resource):
        async with guard.enter(resource):
            pass

    async def fail():
        raise error

    async def run():
        async with asyncio.TaskGroup() as group:
            endless = group.create_task(asyncio.Event().wait())
            entered = [group.create_task(enter(resource)) for resource in resources]
            if error is not None:
                group.create_task(fail())
            await asyncio.wait(entered)
            endless.cancel()

    return run


def plain(guard, work):
    async def app(scope, receive, send):
        await work()
        await hello(scope, receive, send)

    return GuardMiddleware(app, guard)


def around_starlette(guard, work):
    return GuardMiddleware(Starlette(routes=[Route("/", _endpoint(work))]), guard)


def in_starlette(guard, work):
    app = Starlette(routes=[Route("/", _endpoint(work))])
    app.add_middleware(GuardMiddleware, guard=guard)
    return app


def in_fastapi(guard, work, **options):
    app = FastAPI()
    install(app, guard, **options)
    app.get("/", response_class=PlainTextResponse)(_endpoint(work))
    return app


def in_fastapi_with_users(guard, work):
    return in_fastapi(guard, work, user=lambda: "u1")


def _endpoint(work):
    async def endpoint(request=None):
        await work()
        return PlainTextResponse("hello")

    return endpoint


EVERYWHERE = pytest.mark.parametrize("app", [plain, around_starlette, in_starlette, in_fastapi, in_fastapi_with_users])


@EVERYWHERE
def test_a_task_that_is_refused_refuses_the_request(app):
    guard = guard_of(SHORT, BREAKER)
    app = app(guard, tasks(guard, "short"))
    wires = [call(app, http()) for _ in range(2)]
    assert [200, 429] == [wire.status for wire in wires]
    assert ["60", '"short";r=0;t=60'] == [wires[1].headers["retry-after"], wires[1].headers["ratelimit"]]
    assert ["short"] == json.loads(wires[1].body)["violated-policies"]
    assert (1, 0) == votes(guard)


@EVERYWHERE
def test_of_several_refusals_the_longest_is_told(app):
    guard = guard_of(SHORT, LONG)
    app = app(guard, tasks(guard, "short", "long", "short"))
    assert "60" == call(app, http()).headers["retry-after"]  # `short` has let in one of two
    assert "3600" == call(app, http()).headers["retry-after"]


@EVERYWHERE
def test_refusals_beside_another_error_are_an_error(app):
    guard = guard_of(SHORT, BREAKER)
    app = app(guard, tasks(guard, "short", error=KeyError("lost")))
    guard.try_enter("short", {"client.ip": "203.0.113.9"}).exit()
    with pytest.raises(ExceptionGroup) as caught:
        call(app, http())
    assert {RateLimited, KeyError} == {type(error) for error in caught.value.exceptions}
    assert (0, 1) == votes(guard)


def test_the_service_may_answer_it_itself():
    guard = guard_of(SHORT)
    app = in_fastapi(
        guard, tasks(guard, "short"), on_refused=lambda _, refused: PlainTextResponse(refused.rule, status_code=420)
    )
    wires = [call(app, http()) for _ in range(2)]
    assert [(200, b"hello"), (420, b"short")] == [(wire.status, wire.body) for wire in wires]


def test_it_turns_a_websocket_away():
    guard = guard_of(SHORT)
    work = tasks(guard, "short")

    async def app(scope, receive, send):
        await receive()
        await work()
        await send({"type": "websocket.accept"})

    app = GuardMiddleware(app, guard)
    wires = [call(app, websocket(), {"type": "websocket.connect"}) for _ in range(2)]
    assert ["websocket.accept", "websocket.close"] == [wire.sent[0]["type"] for wire in wires]


def test_it_is_raised_if_an_answer_is_on_its_way():
    guard = guard_of(SHORT, BREAKER)
    work = tasks(guard, "short", "short")

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await work()

    with pytest.raises(ExceptionGroup) as caught:
        call(GuardMiddleware(app, guard), http())
    assert all(isinstance(error, Refused) for error in caught.value.exceptions)
    assert (0, 0) == votes(guard)
