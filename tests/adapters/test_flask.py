"""Flask behind the WSGI middleware: full route templates, and refusals that views let escape."""

import pytest
from flask import Flask, Response, stream_with_context
from werkzeug.test import create_environ

from guardrail import Refused
from guardrail.adapters.wsgi import GuardMiddleware
from tests.adapters.test_wsgi import PLACES, serve
from tests.adapters.wire import guard_of, inside

BREAKER = {"name": "backend", "resource": "* /**", "kind": "breaker", "consecutive_failures": 1, "key": "method"}


def app_for(guard, **options):
    app = Flask("tests", root_path="/")

    @app.get("/v1/orders/<int:order>")
    def order(order):
        return str(order)

    @app.get("/files/<path:rest>")
    def file(rest):
        return rest

    @app.get("/once")
    @guard.limit("1/min", key="client.ip", name="once")
    def once():
        return "once"

    app.wsgi_app = GuardMiddleware(app.wsgi_app, guard, **options)
    return app


@pytest.mark.parametrize(
    ("expected", "method", "path"),
    [
        ("GET /v1/orders/{order}", "GET", "/v1/orders/17"),
        ("GET /v1/orders/{order}", "HEAD", "/v1/orders/17"),
        ("POST /v1/orders/{order}", "POST", "/v1/orders/17"),
        ("OTHER /v1/orders/{order}", "BREW", "/v1/orders/17"),
        ("GET /files/{rest}", "GET", "/files/a/b"),
        ("unmatched", "GET", "/v1/orders/no-number"),
        ("unmatched", "GET", "/nowhere"),
    ],
)
def test_the_full_template_is_the_name(expected, method, path):
    guard, names = guard_of(), []
    enter = guard.try_enter
    guard.try_enter = lambda name, request: (names.append((name, request.get("path.order"))), enter(name, request))[1]
    serve(app_for(guard), create_environ(path, method=method))
    assert names == [(expected, "17" if "order}" in expected else None)]


@pytest.mark.parametrize(
    ("state", "answer", "failures"),
    [
        ("open", None, ["ValueError"]),
        ("open", None, ["http.5xx"]),
        ("open", ("broken", 503), ["ValueError"]),
        ("closed", ("never mind", 200), ["ValueError"]),  # the app has dealt with it
    ],
)
def test_an_error_that_flask_makes_a_page_for_is_judged_by_its_name_and_the_status(state, answer, failures):
    guard = guard_of({**BREAKER, "failures": failures})
    app = app_for(guard)
    if answer is not None:
        app.register_error_handler(500, lambda error: answer)

    @app.get("/crash")
    def crash():
        raise ValueError

    serve(app, create_environ("/crash"))
    assert guard.breakers["backend/GET"].state == state


def test_a_refusal_that_a_view_lets_escape_is_answered_and_no_vote():
    guard = guard_of(BREAKER)
    app = app_for(guard)
    wires = [serve(app, create_environ("/once")) for _ in range(3)]
    assert ["200 OK", "429 TOO MANY REQUESTS", "429 TOO MANY REQUESTS"] == [wire.status for wire in wires]
    assert wires[1].headers["Content-Type"] == "application/problem+json"
    assert ["60", '"once/limit";r=0;t=60'] == [wires[1].headers["Retry-After"], wires[1].headers["RateLimit"]]
    assert guard.breakers["backend/GET"].state == "closed"


def test_flask_is_found_behind_other_middleware():
    class Other:
        def __init__(self, app):
            self.app = app

        def __call__(self, environ, start_response):
            return self.app(environ, start_response)

    guard = guard_of({"name": "a", "resource": "GET /v1/orders/{order}", "kind": "limit", "rate": "1/min"})
    app = app_for(guard_of())
    app = GuardMiddleware(Other(app), guard)
    assert ["200 OK", "429 Too Many Requests"] == [
        serve(app, create_environ(f"/v1/orders/{number}")).status for number in range(2)
    ]


def test_a_redirect_of_flask_has_no_template():
    app = app_for(guard_of({"name": "a", "resource": "GET /folder", "kind": "limit", "rate": "1/min"}))
    app.get("/folder/")(lambda: "folder")
    assert ["308", "429"] == [serve(app, create_environ("/folder")).status[:3] for _ in range(2)]


def test_a_handler_of_the_app_stays():
    guard = guard_of()
    app = app_for(guard)
    app.register_error_handler(Refused, lambda refused: ("mine", 418))
    assert [b"once", b"mine"] == [serve(app, create_environ("/once")).body for _ in range(2)]


def test_a_group_that_comes_down_to_refusals_is_answered_like_one_and_any_other_stays_an_error(caplog):
    guard = guard_of(BREAKER)
    app = app_for(guard)
    limited = guard.limit("1/min", key="client.ip", name="inner")(lambda: None)

    @app.get("/gathered")
    def gathered():
        try:
            limited()
        except Refused as refused:
            raise ExceptionGroup("tasks", [refused]) from None
        return "gathered"

    @app.get("/failing")
    def failing():
        raise ExceptionGroup("tasks", [KeyError()])

    wires = [serve(app, create_environ("/gathered")) for _ in range(2)]
    assert ["200 OK", "429 TOO MANY REQUESTS"] == [wire.status for wire in wires]
    assert ["60", '"inner/limit";r=0;t=60'] == [wires[1].headers["Retry-After"], wires[1].headers["RateLimit"]]
    assert [[], "closed"] == [caplog.messages, guard.breakers["backend/GET"].state]
    assert "500 INTERNAL SERVER ERROR" == serve(app, create_environ("/failing")).status
    assert "open" == guard.breakers["backend/GET"].state


def test_a_stream_holds_its_place():
    guard, seen = guard_of(PLACES), []
    app = app_for(guard)

    @app.get("/stream")
    def stream():
        def items():
            for _ in range(2):
                seen.append(inside(guard, "places"))
                yield "x"

        return Response(stream_with_context(items()))

    assert serve(app, create_environ("/stream")).body == b"xx"
    assert [[1, 1], 0] == [seen, inside(guard, "places")]


def test_the_services_own_answer_stands_for_refusals_of_views_too():
    app = Flask("shop")
    guard = guard_of({"name": "inner", "resource": "inner", "kind": "limit", "rate": "1/min"})
    app.wsgi_app = GuardMiddleware(app.wsgi_app, guard, on_refused=lambda environ, refused: Response("tea", 418))

    @app.get("/")
    def page():
        with guard.enter("inner"):
            return "page"

    first, second = (app.test_client().get("/") for _ in range(2))
    assert [200, 418, "60"] == [first.status_code, second.status_code, second.headers["Retry-After"]]
