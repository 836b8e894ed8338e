"""FastAPI: one line guards an app; users come from a dependency; the document says what may be answered."""

import json
import re
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.applications import Starlette

from guardrail import Refused
from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.fastapi import install
from tests.adapters.wire import PER_CLIENT, call, guard_of, http, inside, websocket

PER_USER = {"name": "per-user", "resource": "* /**", "kind": "limit", "rate": "2/min", "key": "user.name"}
BREAKER = {"name": "backend", "resource": "**", "kind": "breaker", "consecutive_failures": 1, "key": "method"}


def current_user(x_user: str | None = Header(None)):
    if x_user is None:
        raise HTTPException(401)
    return {"name": x_user, "plan": "free" if x_user.startswith("f") else "paid"}


CurrentUser = Annotated[dict, Depends(current_user)]


def app_with(guard, before=(), **options):
    """Return an app whose routes are made partly before and partly after guarding it."""
    app, router = FastAPI(), APIRouter(prefix="/v1")

    @router.get("/orders/{order}")
    async def order(order: int):
        return order

    @router.get("/me")
    def me(user: CurrentUser):
        return user["name"]

    app.include_router(router, prefix="/api")
    for middleware, arguments in before:
        app.add_middleware(middleware, **arguments)
    install(app, guard, **options)

    @app.post("/late", status_code=201)
    async def late(user: CurrentUser):
        return "late"

    @app.websocket("/ws")
    async def ws(connection: WebSocket):
        await connection.accept()
        await connection.close()

    @app.get("/healthz")
    def healthz():
        return "ok"

    return app


def get(app, path, user=None, method="GET", **more):
    return call(app, http(path, method, headers=[("x-user", user)] if user else (), **more))


def test_one_line_guards_an_app():
    app = app_with(guard_of(PER_CLIENT))
    wires = [get(app, f"/api/v1/orders/{number}") for number in range(3)]
    assert [200, 200, 429] == [wire.status for wire in wires]
    assert wires[0].headers["ratelimit"] == '"per-client";r=1;t=30'
    assert json.loads(wires[2].body)["violated-policies"] == ["per-client"]
    assert get(app, "/healthz").status == 200


@pytest.mark.parametrize(("path", "method", "status"), [("/api/v1/me", "GET", 200), ("/late", "POST", 201)])
def test_users_come_from_a_dependency(path, method, status):
    app = app_with(guard_of(PER_USER), user=current_user)
    wires = [get(app, path, user, method) for user in ("ann", "ann", "ann", "bob")]
    assert [status, status, 429, status] == [wire.status for wire in wires]
    assert wires[3].headers["ratelimit"] == '"per-user";r=1;t=30'


def test_rules_may_ask_for_parts_of_the_user():
    free = {**PER_USER, "when": {"user.plan": "free"}, "rate": "1/min"}
    app = app_with(guard_of(free), user=current_user)
    assert [200, 200, 200, 429] == [get(app, "/api/v1/me", user).status for user in ("ann", "ann", "fred", "fred")]


def test_who_has_no_user_is_limited_too_and_not_let_in():
    app = app_with(guard_of({**PER_USER, "key": "user|client.ip"}), user=current_user)
    assert [401, 401, 429, 429] == [get(app, "/api/v1/me").status for _ in range(4)]
    assert get(app, "/api/v1/me", "ann").status == 200


def test_an_endpoint_that_does_not_ask_for_the_user_is_open_to_strangers():
    app = app_with(guard_of({**PER_USER, "key": "user.name|client.ip"}), user=current_user)
    assert [200, 200, 429] == [get(app, "/api/v1/orders/1").status for _ in range(3)]
    assert [200, 200, 429] == [get(app, "/api/v1/orders/1", "ann").status for _ in range(3)]


def test_the_dependency_runs_once():
    runs, ended = [], []

    async def user(x_user: str = Header()):
        runs.append(x_user)
        try:
            yield x_user
        finally:
            ended.append(x_user)

    app = FastAPI()
    install(app, guard_of({**PER_USER, "key": "user"}), user=user)
    app.get("/open")(lambda: "open")

    @app.get("/own")
    def own(name: Annotated[str, Depends(user)]):
        return name

    for path in ("/open", "/own"):
        assert get(app, path, path).status == 200
        assert get(app, path, path).status == 200
        assert get(app, path, path).status == 429
    assert [path for path in ("/open", "/own") for _ in range(3)] == runs == ended
    assert get(app, "/open").status == 200


def test_rules_are_entered_once_whatever_becomes_of_the_request():
    app = app_with(guard_of(PER_CLIENT), user=current_user)
    assert get(app, "/api/v1/orders/no-number", "ann").headers["ratelimit"] == '"per-client";r=1;t=30'
    assert get(app, "/nowhere").headers["ratelimit"] == '"per-client";r=0;t=60'
    assert get(app, "/late", "ann").status == 429


def test_a_refused_request_does_not_run_the_endpoint():
    ran = []
    app = FastAPI()
    install(app, guard_of({**PER_USER, "rate": "1/min"}), user=current_user)
    app.get("/")(lambda: ran.append(1))
    assert [200, 429] == [get(app, "/", "ann").status for _ in range(2)]
    assert ran == [1]


def test_places_are_held_until_the_stream_ends():
    guard, seen, app = (
        guard_of({"name": "places", "resource": "**", "kind": "bulkhead", "max_concurrent": 2}),
        [],
        FastAPI(),
    )
    install(app, guard, user=current_user)

    @app.get("/")
    async def stream():
        async def chunks():
            for _ in range(3):
                yield "x"
                seen.append(inside(guard, "places"))

        return StreamingResponse(chunks())

    get(app, "/", "ann")
    assert [[1, 1, 1], 0] == [seen, inside(guard, "places")]


def test_websockets_enter_late_too():
    app = app_with(guard_of({**PER_USER, "rate": "1/min"}), user=current_user)
    connects = {"type": "websocket.connect"}
    first = call(app, websocket("/ws", headers=[("x-user", "ann")]), connects)
    second = call(app, websocket("/ws", headers=[("x-user", "ann")]), connects)
    assert ["websocket.accept", "websocket.close"] == [message["type"] for message in first.sent]
    assert ["websocket.close"] == [message["type"] for message in second.sent]


def test_overridden_dependencies_are_the_ones_that_say_who_it_is():
    app = app_with(guard_of(PER_USER), user=current_user)
    app.dependency_overrides[current_user] = lambda: {"name": "test"}
    assert [200, 200, 429] == [get(app, "/api/v1/me", user).status for user in ("ann", "bob", "cid")]


class TestDecoratedEndpoints:
    def app(self, guard, **options):
        app = FastAPI()
        install(app, guard, **options)

        @app.get("/sync")
        @guard.limit("1/min", key="client.ip", name="sync")
        def sync(q: int = 0):
            return q

        @app.get("/async")
        @guard.limit("1/min", key=["client.ip", "header.x-user", "query.q", "path.p"], name="async")
        async def asynchronous(q: int = 0):
            return q

        return app

    @pytest.mark.parametrize("path", ["/sync", "/async"])
    def test_name_what_is_known_of_the_request_without_taking_it(self, path):
        app = self.app(guard_of())
        assert [200, 429] == [get(app, path).status for _ in range(2)]
        assert get(app, path, client=("203.0.113.10", 1)).status == 200
        wire = get(app, path)
        assert ["60", "application/problem+json"] == [wire.headers["retry-after"], wire.headers["content-type"]]
        assert wire.headers["ratelimit"] == f'"{path[1:]}/limit";r=0;t=60'

    def test_keep_their_signature(self):
        document = self.app(guard_of()).openapi()
        assert [one["name"] for one in document["paths"]["/sync"]["get"]["parameters"]] == ["q"]

    def test_do_not_open_a_breaker_around_them(self):
        guard = guard_of(BREAKER)
        app = self.app(guard)
        assert [200, 429, 429] == [get(app, "/sync").status for _ in range(3)]
        assert guard.breakers["backend/GET"].state == "closed"

    def test_are_answered_by_the_apps_own_handler_where_it_has_one(self):
        guard = guard_of()
        app = self.app(guard)
        app.exception_handler(Refused)(self.own)
        assert [200, 418] == [get(app, "/sync").status for _ in range(2)]

    async def own(self, request, refused):
        return PlainTextResponse(refused.rule, 418)

    def test_are_answered_by_on_refused(self):
        app = self.app(guard_of(), on_refused=lambda scope, refused: PlainTextResponse("mine", 420))
        assert [200, 420] == [get(app, "/async").status for _ in range(2)]


def test_refusals_have_cors_headers_and_preflights_are_free():
    cors = (CORSMiddleware, {"allow_origins": ["https://app.example"]})
    app = app_with(guard_of({**PER_CLIENT, "rate": "1/min"}), before=[cors])
    origin = ("origin", "https://app.example")
    wires = [call(app, http("/late", headers=[origin])) for _ in range(2)]
    assert [405, 429] == [wire.status for wire in wires]
    assert wires[1].headers["access-control-allow-origin"] == "https://app.example"
    preflight = http("/late", "OPTIONS", headers=[origin, ("access-control-request-method", "POST")])
    assert call(app, preflight).status in {200, 400}


def test_the_document_says_what_may_be_answered():
    app = app_with(guard_of())
    app.get("/own", responses={429: {"description": "mine"}})(lambda: 1)
    for document in (app.openapi(), app.openapi()):
        answers = document["paths"]["/api/v1/orders/{order}"]["get"]["responses"]
        assert {"200", "422", "429", "503"} == set(answers)
        assert answers["429"]["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/GuardrailProblem"}}
        }
        assert "GuardrailProblem" in document["components"]["schemas"]
        assert document["paths"]["/own"]["get"]["responses"]["429"] == {"description": "mine"}
        assert "429" not in document["paths"]["/healthz"]["get"]["responses"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"header": "off"}, "install has no option 'header'; did you mean 'headers'?"),
        ({"user": 5}, "user must be a callable"),
    ],
)
def test_a_wrong_option_fails_at_once(options, message):
    with pytest.raises(TypeError, match=message):
        install(FastAPI(), guard_of(), **options)


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (APIRouter(), "app must be a FastAPI app, got APIRouter; guard the app that includes it"),
        (
            Starlette(),
            "app must be a FastAPI app, got Starlette; write app.add_middleware(GuardMiddleware, guard=guard)",
        ),
        (guard_of(), "app must be a FastAPI app, got a Guard; the app comes first: install(app, guard)"),
        (None, "app must be a FastAPI app, got None"),
        (GuardMiddleware(FastAPI()), "app must be a FastAPI app, got GuardMiddleware"),
    ],
)
def test_what_is_no_fastapi_app_is_left_alone(app, message):
    before = dict(vars(app)) if hasattr(app, "user_middleware") else None
    with pytest.raises(TypeError, match=re.escape(message)):
        install(app, guard_of())
    assert [] == getattr(app, "user_middleware", [])
    assert before is None or before == vars(app)


def test_a_dependency_that_can_never_be_called_is_named_once(caplog):
    def who(request):
        return request.headers["x-user"]

    app = FastAPI()
    install(app, guard_of({**PER_USER, "key": "user"}), user=who)
    app.get("/")(lambda: "open")
    with caplog.at_level("DEBUG", "guardrail.http"):
        assert [200, 200, 429] == [get(app, "/", user).status for user in ("ann", "bob", "cid")]
    assert ["WARNING", "DEBUG", "DEBUG"] == [one.levelname for one in caplog.records if one.name == "guardrail.http"]
    assert "cannot be called with this request (query.request: Field required), so nobody knows" in caplog.text


def test_a_dependency_that_turns_strangers_away_is_no_reason_to_warn(caplog):
    app = app_with(guard_of(PER_USER), user=current_user)
    assert get(app, "/api/v1/orders/1").status == 200
    assert [] == [one.getMessage() for one in caplog.records]


@pytest.mark.parametrize("failures", [["http.5xx"], ["http.500"], ["ValueError"], []])
def test_an_endpoint_that_crashes_is_a_failure_of_every_name(failures):
    guard = guard_of({**BREAKER, "failures": failures} if failures else BREAKER)
    app = FastAPI()
    install(app, guard)

    @app.get("/")
    def crash():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        get(app, "/")
    assert guard.breakers["backend/GET"].state == "open"


def test_an_app_that_has_started_cannot_be_guarded_any_more():
    app = FastAPI()
    get(app, "/")
    with pytest.raises(RuntimeError, match="before the app has started"):
        install(app, guard_of())


@pytest.mark.parametrize("user", [None, current_user])
def test_a_refusal_in_a_mounted_app_is_answered(user):
    guard = guard_of(PER_CLIENT, {"name": "inner", "resource": "inner", "kind": "limit", "rate": "1/min"})
    app, inner = FastAPI(), FastAPI()
    install(app, guard, user=user)
    app.mount("/inner", inner)

    @inner.get("/plain")
    def plain():
        return "plain"

    @inner.get("/limited")
    def limited():
        with guard.enter("inner"):
            return "limited"

    assert [200, 429] == [get(app, "/inner/limited").status for _ in range(2)]
    assert [200, 200, 429] == [get(app, "/inner/plain", client=("1.1.1.1", 1)).status for _ in range(3)]
