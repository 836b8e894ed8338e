"""`metrics="/metrics"`: the middleware itself answers scrapes, whatever stands behind it."""

import asyncio
import os
import subprocess
import sys
import textwrap

import httpx
import pytest
from django.test import AsyncClient, Client, override_settings
from fastapi import FastAPI
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.fastapi import install
from guardrail.adapters.wsgi import GuardMiddleware as WsgiMiddleware
from tests.adapters.django_project import IP
from tests.adapters.test_wsgi import environ
from tests.adapters.test_wsgi import hello as wsgi_hello
from tests.adapters.test_wsgi import serve as wsgi_serve
from tests.adapters.uvicorn_server import serving
from tests.adapters.wire import PER_CLIENT, Wire, call, guard_of, hello, http, websocket

ONCE = {**PER_CLIENT, "rate": "1/min"}
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def refused(text):
    """Return how many calls a page says were refused."""
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return sum(one.value for one in families["guardrail_decisions"].samples if one.labels["outcome"] == "refuse")


def test_a_scrape_is_answered_by_the_middleware_and_no_rule_is_asked():
    app = GuardMiddleware(hello, guard_of(ONCE), metrics="/numbers")
    assert [200, 429, 429] == [call(app, http()).status for _ in range(3)]
    wires = [call(app, http("/numbers")) for _ in range(3)]
    assert [200] * 3 == [wire.status for wire in wires]
    assert [2, "text/plain"] == [refused(wires[2].body.decode()), wires[2].headers["content-type"].partition(";")[0]]
    assert str(len(wires[2].body)) == wires[2].headers["content-length"]
    assert "ratelimit" not in wires[2].headers


def test_head_has_no_body_and_another_method_is_the_apps():
    app = GuardMiddleware(hello, guard_of(ONCE), metrics="/numbers")
    wire = call(app, http("/numbers", "HEAD"))
    assert [200, b"", True] == [wire.status, wire.body, int(wire.headers["content-length"]) > 0]
    posted = [call(app, http("/numbers", "POST")) for _ in range(2)]
    assert [200, b"hello", 429] == [posted[0].status, posted[0].body, posted[1].status]


def test_who_asks_for_openmetrics_gets_it():
    app = GuardMiddleware(hello, guard_of(ONCE), metrics="/metrics")
    wire = call(app, http("/metrics", headers=[("accept", OPEN_METRICS)]))
    assert [True, True] == [wire.headers["content-type"].startswith(OPEN_METRICS), wire.body.endswith(b"# EOF\n")]


@pytest.mark.parametrize("exempt", [["/healthz"], lambda scope: scope["path"] == "/healthz", ["/metrics"]])
def test_a_page_is_exempt_whatever_else_is(exempt):
    app = GuardMiddleware(hello, guard_of(ONCE), metrics="/metrics", exempt=exempt)
    assert [200] * 3 == [call(app, http("/metrics")).status for _ in range(3)]


def test_what_is_exempt_anyway_stays_so_with_every_method():
    app = GuardMiddleware(hello, guard_of(ONCE), metrics="/metrics")
    assert [200] * 3 == [call(app, http("/metrics", "POST")).status for _ in range(3)]


def test_the_path_is_that_from_where_the_outermost_app_begins():
    app = GuardMiddleware(hello, guard_of(ONCE), metrics="/metrics")
    assert b"guardrail_" in call(app, http("/shop/metrics", root_path="/shop")).body
    inner = GuardMiddleware(hello, guard_of(ONCE), metrics="/inner/metrics")
    assert b"guardrail_" in call(Starlette(routes=[Mount("/inner", inner)]), http("/inner/metrics")).body


def test_without_the_option_the_path_is_the_apps():
    assert call(GuardMiddleware(hello, guard_of(ONCE)), http("/metrics")).body == b"hello"


def test_a_websocket_at_that_path_is_no_scrape():
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})

    wire = call(GuardMiddleware(app, guard_of(), metrics="/metrics"), websocket("/metrics"))
    assert ["sent websocket.accept"] == wire.events


def test_fastapi_shows_it_below_what_the_app_has_and_leaves_it_out_of_the_document():
    app = FastAPI()
    install(app, guard_of(ONCE), metrics="/metrics")
    app.get("/")(lambda: "hello")
    assert [200, 429] == [call(app, http()).status for _ in range(2)]
    assert refused(call(app, http("/metrics")).body.decode()) == 1
    assert ["/"] == list(app.openapi()["paths"])


def test_a_wrong_path_fails_when_fastapi_is_guarded():
    with pytest.raises(ValueError, match="metrics must be a path that begins with a '/'"):
        install(FastAPI(), guard_of(), metrics="metrics")


@pytest.mark.parametrize("build", [GuardMiddleware, WsgiMiddleware, lambda _, **options: install(FastAPI(), **options)])
def test_what_is_missing_for_it_is_said_when_it_is_built(monkeypatch, build):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for name in [name for name in sys.modules if name.startswith("guardrail.telemetry.prometheus")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"pip install \"guardrail-py\[prometheus\]\""):
        build(hello, metrics="/metrics")


def test_wsgi_shows_it():
    app = WsgiMiddleware(wsgi_hello, guard_of(ONCE), metrics="/metrics")
    assert ["200 OK", "429 Too Many Requests"] == [wsgi_serve(app).status for _ in range(2)]
    page, head = [wsgi_serve(app, environ("/metrics", method)) for method in ("GET", "HEAD")]
    assert ["200 OK", 1, "200 OK", b""] == [page.status, refused(page.body.decode()), head.status, head.body]
    asked = wsgi_serve(app, environ("/metrics", accept=OPEN_METRICS))
    assert asked.headers["Content-Type"].startswith(OPEN_METRICS)
    assert wsgi_serve(app, environ("/metrics", "POST")).body == b"hello"


def test_flask_shows_it():
    app = Flask("tests", root_path="/")
    app.wsgi_app = WsgiMiddleware(app.wsgi_app, guard_of(ONCE), metrics="/metrics")
    with app.test_client() as client:
        assert "guardrail_" in client.get("/metrics").text


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_django_shows_it(kind):
    with override_settings(GUARDRAIL={"guard": guard_of(ONCE), "metrics": "/numbers"}):
        client = Client() if kind == "sync" else AsyncClient()

        def ask(path, method="get", **more):
            asked = getattr(client, method)(path, **IP, **more)
            return asyncio.run(asked) if kind == "async" else asked

        assert [200, 429] == [ask("/hello/").status_code for _ in range(2)]
        page, head = ask("/numbers"), ask("/numbers", "head")
        assert [200, 1, b""] == [page.status_code, refused(page.content.decode()), head.content]
        assert ask("/numbers", headers={"Accept": OPEN_METRICS})["Content-Type"].startswith(OPEN_METRICS)
        assert ask("/numbers", "post").status_code == 429


def test_over_a_real_server():
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))])
    app.add_middleware(GuardMiddleware, guard=guard_of(ONCE), metrics="/metrics")
    with serving(app) as address, httpx.Client(base_url=f"http://{address}") as client:
        assert [200, 429] == [client.get("/").status_code for _ in range(2)]
        assert refused(client.get("/metrics").text) == 1
        assert client.head("/metrics").content == b""


class TestTheEndOfAWorker:
    PROGRAM = """
        import asyncio, os, sys
        from guardrail.adapters.asgi import GuardMiddleware
        from tests.adapters.wire import PER_CLIENT, Wire, call, guard_of, hello, http

        async def app(scope, receive, send):
            if scope["type"] != "lifespan":
                return await hello(scope, receive, send)
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})

        app = GuardMiddleware(app, guard_of(PER_CLIENT), metrics="/metrics")
        for _ in range(5):
            call(app, http())
        call(app, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        os._exit(0)  # as a server that runs no exit handlers
    """

    def test_its_last_numbers_are_written_before_the_server_hears_of_it(self, tmp_path):
        shared = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}

        def run(program):
            command = [sys.executable, "-c", textwrap.dedent(program)]
            return subprocess.run(command, env=shared, check=True, capture_output=True, text=True, timeout=60).stdout

        run(self.PROGRAM)
        page = "from guardrail.telemetry.prometheus import exposition; print(exposition()[1].decode())"
        assert refused(run(page)) == 3

    def test_in_one_process_the_life_of_the_app_is_its_own(self):
        seen = []

        async def app(scope, receive, send):
            seen.append(send)

        wire = Wire()
        asyncio.run(GuardMiddleware(app, guard_of(), metrics="/metrics")({"type": "lifespan"}, wire.receive, wire.send))
        assert [wire.send] == seen
