"""The same guard twice around one request: it counts once, and the log says so once."""

import pytest
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.test import Client, override_settings
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from werkzeug.test import create_environ

from guardrail import attributes
from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.fastapi import install
from guardrail.adapters.wsgi import GuardMiddleware as WsgiMiddleware
from tests.adapters.django_project import IP
from tests.adapters.test_wsgi import serve as wsgi_serve
from tests.adapters.wire import PER_CLIENT, call, guard_of, hello, http, websocket

MIDDLEWARE = "guardrail.adapters.django.GuardMiddleware"
PLACES = {"name": "places", "resource": "**", "kind": "bulkhead", "max_concurrent": 1}


def fastapi_app():
    app = FastAPI()
    app.get("/")(lambda: "hello")
    return app


def installed_twice(guard):
    app = fastapi_app()
    install(app, guard)
    install(app, guard)
    return app


def installed_and_added(guard):
    app = fastapi_app()
    install(app, guard)
    app.add_middleware(GuardMiddleware, guard=guard)
    return app


def added_and_mounted(guard):
    inner = GuardMiddleware(Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))]), guard)
    app = Starlette(routes=[Mount("/", inner)])
    app.add_middleware(GuardMiddleware, guard=guard)
    return app


def warnings_in(caplog):
    return [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]


def said(inner, outer):
    return (
        f"{inner} stands inside of {outer} with the same guard and leaves requests to that one; take one of them away"
    )


@pytest.mark.parametrize(
    ("app_for", "inner", "outer"),
    [
        (installed_twice, "fastapi.install", "fastapi.install"),
        (installed_and_added, "fastapi.install", "asgi.GuardMiddleware"),
        (added_and_mounted, "asgi.GuardMiddleware", "asgi.GuardMiddleware"),
    ],
)
def test_asgi(app_for, inner, outer, caplog):
    app = app_for(guard_of(PER_CLIENT))
    wires = [call(app, http()) for _ in range(3)]
    assert [200, 200, 429] == [wire.status for wire in wires]
    assert wires[0].headers["ratelimit"] == '"per-client";r=1;t=30'
    assert [said(inner, outer)] == warnings_in(caplog)


def test_attributes_that_are_added_in_between_change_nothing():
    guard = guard_of(PER_CLIENT)
    inner = GuardMiddleware(hello, guard)

    async def between(scope, receive, send):
        with attributes(tenant="acme"):
            await inner(scope, receive, send)

    app = GuardMiddleware(between, guard)
    assert [200, 200, 429] == [call(app, http()).status for _ in range(3)]


def test_a_place_is_taken_once():
    guard = guard_of(PLACES)
    app = GuardMiddleware(GuardMiddleware(hello, guard), guard)
    assert call(app, http()).status == 200


def test_a_websocket(caplog):
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})

    guard = guard_of(PLACES)
    wire = call(GuardMiddleware(GuardMiddleware(app, guard), guard), websocket())
    assert ["sent websocket.accept", 1] == [*wire.events, len(warnings_in(caplog))]


def test_another_guard_is_asked_too(caplog):
    app = GuardMiddleware(GuardMiddleware(hello, guard_of(PER_CLIENT)), guard_of(PER_CLIENT))
    assert [200, 200, 429] == [call(app, http()).status for _ in range(3)]
    assert [] == warnings_in(caplog)


def test_what_the_outer_one_exempts_is_the_inner_ones(caplog):
    guard = guard_of(PER_CLIENT)
    app = GuardMiddleware(GuardMiddleware(hello, guard), guard, exempt=["/"])
    assert [200, 200, 429] == [call(app, http()).status for _ in range(3)]
    assert [] == warnings_in(caplog)


def test_a_request_that_the_service_makes_to_itself_is_one_of_its_own(caplog):
    guard = guard_of({**PER_CLIENT, "resource": "GET /inner"})
    behind = GuardMiddleware(hello, guard)

    async def app(scope, receive, send):
        await behind(http("/inner"), receive, send)

    outer = GuardMiddleware(app, guard)
    assert [200, 200, 429] == [call(outer, http("/outer")).status for _ in range(3)]
    assert [] == warnings_in(caplog)


def test_a_request_that_is_sent_on_to_another_place_is_asked_about_again():
    guard = guard_of({**PER_CLIENT, "resource": "GET /home/"})

    async def app(scope, receive, send):
        if scope["path"] == "/":
            scope["path"] = "/home/"
            await guarded(scope, receive, send)
        else:
            await hello(scope, receive, send)

    guarded = GuardMiddleware(app, guard)
    assert [200, 200, 429] == [call(guarded, http()).status for _ in range(3)]


def test_around_itself():
    app = Starlette(routes=[Route("/", hello)])
    app.middleware_stack = GuardMiddleware(app, guard_of())
    with pytest.raises(
        RuntimeError, match=r"stands around itself; write app.add_middleware\(GuardMiddleware, guard=guard"
    ):
        call(app, http())


def flask_app():
    app = Flask("tests", root_path="/")
    app.get("/")(lambda: "hello")
    return app


def test_flask(caplog):
    app, guard = flask_app(), guard_of(PER_CLIENT)
    for _ in range(2):
        app.wsgi_app = WsgiMiddleware(app.wsgi_app, guard)
    assert ["200 OK", "200 OK", "429 Too Many Requests"] == [wsgi_serve(app, create_environ()).status for _ in range(3)]
    assert [said("wsgi.GuardMiddleware", "wsgi.GuardMiddleware")] == warnings_in(caplog)


def test_flask_around_itself():
    app = flask_app()
    app.wsgi_app = WsgiMiddleware(app, guard_of())
    with pytest.raises(RuntimeError, match=r"write app.wsgi_app = GuardMiddleware\(app.wsgi_app, guard\)"):
        wsgi_serve(app, create_environ())


def test_django(caplog):
    with override_settings(GUARDRAIL={"guard": guard_of(PER_CLIENT)}, MIDDLEWARE=[MIDDLEWARE, MIDDLEWARE]):
        client = Client()
        assert [200, 200, 429] == [client.get("/hello/", **IP).status_code for _ in range(3)]
    assert said("GUARDRAIL", "GUARDRAIL") in warnings_in(caplog)


def test_django_behind_the_wsgi_middleware(caplog):
    guard = guard_of(PER_CLIENT)
    with override_settings(GUARDRAIL={"guard": guard}, MIDDLEWARE=[MIDDLEWARE]):
        app = WsgiMiddleware(get_wsgi_application(), guard)
        answers = [wsgi_serve(app, create_environ("/hello/")).status for _ in range(3)]
    assert ["200 OK", "200 OK", "429 Too Many Requests"] == answers
    assert said("GUARDRAIL", "wsgi.GuardMiddleware") in warnings_in(caplog)


def test_django_behind_the_asgi_middleware(caplog):
    guard = guard_of(PER_CLIENT)
    with override_settings(GUARDRAIL={"guard": guard}, MIDDLEWARE=[MIDDLEWARE]):
        app = GuardMiddleware(get_asgi_application(), guard)
        answers = [call(app, http("/async/")).status for _ in range(3)]
    assert [200, 200, 429] == answers
    assert said("GUARDRAIL", "asgi.GuardMiddleware") in warnings_in(caplog)
