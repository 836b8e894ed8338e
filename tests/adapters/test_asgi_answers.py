"""What a refused request is told, and what an allowed one."""

import json
import logging

import http_sfv
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from guardrail import Guard, RateLimited, Refused
from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.escapes import as_outgoing
from tests.adapters.wire import PER_CLIENT, call, guard_of, hello, http

FULL = {"name": "places", "resource": "**", "kind": "bulkhead", "max_concurrent": 1}
BREAKER = {
    "name": "backend",
    "resource": "**",
    "kind": "breaker",
    "consecutive_failures": 1,
    "open_for": "5s",
    "key": "resource",
}
PER_FUNCTION = {"rate": "1/min", "name": "report", "key": "client.ip"}


def refused(app, scope=None):
    """Call twice, and return what came over the wire the second time."""
    call(app, http())
    return call(app, scope or http())


def once(guard):
    """Return an app that calls a limited function, and lets its refusal escape."""

    @guard.limit(**PER_FUNCTION)
    def report():
        return "report"

    async def app(scope, receive, send):
        report()
        await hello(scope, receive, send)

    return app


def test_a_store_that_is_away_is_not_the_clients_doing():
    rule = {**PER_CLIENT, "on_store_error": "deny"}
    with Guard([rule], store="redis://127.0.0.1:1") as guard:
        wire = call(GuardMiddleware(hello, guard), http())
    problem = json.loads(wire.body)
    assert [503, "1"] == [wire.status, wire.headers["retry-after"]]
    assert "ratelimit" not in wire.headers
    assert ["temporary-reduced-capacity", "Service Unavailable", 503, "store_unavailable"] == [
        problem["type"].partition("#")[2],
        *(problem[name] for name in ("title", "status", "reason")),
    ]


def test_an_allowed_request_is_told_what_is_left():
    wire = call(GuardMiddleware(hello, guard_of(PER_CLIENT)), http())
    assert [200, b"hello"] == [wire.status, wire.body]
    expected = {
        "content-type": "text/plain",
        "ratelimit": '"per-client";r=1;t=30',
        "ratelimit-policy": '"per-client";q=2;w=60',
    }
    assert expected == wire.headers


def test_a_limit_is_answered_with_429_and_says_which_rule_and_when():
    app = GuardMiddleware(hello, guard_of({**PER_CLIENT, "rate": "1/min"}))
    wire = refused(app)
    assert wire.status == 429
    expected = {
        "content-type": "application/problem+json",
        "content-length": str(len(wire.body)),
        "retry-after": "60",
        "ratelimit": '"per-client";r=0;t=60',
        "ratelimit-policy": '"per-client";q=1;w=60',
    }
    assert expected == wire.headers
    problem = {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "1/min exceeded by rule 'per-client'; retry after 60 s",
        "reason": "rate",
        "violated-policies": ["per-client"],
        "retry_after": 60.0,
    }
    assert problem == json.loads(wire.body)


def test_a_bulkhead_is_answered_with_503_and_no_time_where_none_can_be_named():
    guard = guard_of(FULL, PER_CLIENT)
    with guard.enter("GET /"):
        wire = call(GuardMiddleware(hello, guard), http())
    assert wire.status == 503
    assert "retry-after" not in wire.headers
    problem = json.loads(wire.body)
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
    assert ["bulkhead_full", ["places"]] == [problem["reason"], problem["violated-policies"]]


def test_an_open_breaker_is_answered_with_503_and_when_it_will_be_tried_again():
    guard = guard_of(BREAKER)
    guard.breakers["backend/**"].force_open()
    assert call(GuardMiddleware(hello, guard), http()).status == 503
    guard.breakers["backend/**"].reset()
    with pytest.raises(OSError):
        call(GuardMiddleware(_failing, guard), http())
    wire = call(GuardMiddleware(hello, guard), http())
    assert [503, "5"] == [wire.status, wire.headers["retry-after"]]


async def _failing(scope, receive, send):
    raise OSError


@pytest.mark.parametrize(
    ("style", "names"),
    [
        ("ietf-10", ["ratelimit", "ratelimit-policy"]),
        ("legacy", ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]),
        ("both", ["ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]),
        ("off", []),
    ],
)
def test_the_headers_have_the_style_that_was_chosen(style, names):
    app = GuardMiddleware(hello, guard_of({**PER_CLIENT, "rate": "1/min"}), headers=style)
    assert ["content-type", *names] == list(call(app, http()).headers)
    assert ["content-type", "content-length", "retry-after", *names] == list(call(app, http()).headers)


def test_headers_that_the_app_has_itself_stay_as_they_are():
    async def app(scope, receive, send):
        headers = [(b"X-RateLimit-Limit", b"60"), (b"ratelimit", b'"own";r=1;t=1')]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    wire = call(GuardMiddleware(app, guard_of(PER_CLIENT), headers="legacy"), http())
    assert [(b"X-RateLimit-Limit", b"60"), (b"ratelimit", b'"own";r=1;t=1')] == wire.sent[0]["headers"][:2]
    assert [b"x-ratelimit-remaining", b"x-ratelimit-reset"] == [name for name, _ in wire.sent[0]["headers"][2:]]
    wire = call(GuardMiddleware(app, guard_of(PER_CLIENT)), http())
    lines = [value for name, value in wire.sent[0]["headers"] if name == b"ratelimit"]
    assert lines == [b'"own";r=1;t=1', b'"per-client";r=1;t=30']  # two lines are one list


def test_an_answer_to_head_has_no_body():
    app = GuardMiddleware(hello, guard_of({**PER_CLIENT, "rate": "1/min"}))
    wire = refused(app, http(method="HEAD"))
    assert [429, b""] == [wire.status, wire.body]
    assert int(wire.headers["content-length"]) > 100


def test_names_of_rules_cannot_inject_headers():
    rule = {**PER_CLIENT, "name": 'evil"; X-Evil: \\ü', "rate": "1/min"}
    wire = refused(GuardMiddleware(hello, guard_of(rule), headers="both"), http(headers=[("x-a", "b\r\nc")]))
    fields = http_sfv.List()
    fields.parse(wire.headers["ratelimit"].encode())
    assert fields[0].value == 'evil"; X-Evil: \\%C3%BC'
    assert not any(set("\r\n\0") & set(text) for field in wire.headers.items() for text in field)
    assert json.loads(wire.body)["violated-policies"] == [rule["name"]]


class TestARefusalThatEscapesFromTheApp:
    def test_is_answered_the_same_way(self):
        guard = guard_of()
        wire = refused(GuardMiddleware(once(guard), guard))
        assert [429, "60", '"report/limit";r=0;t=60'] == [
            wire.status,
            wire.headers["retry-after"],
            wire.headers["ratelimit"],
        ]

    def test_shows_the_limits_of_the_request_too(self):
        guard = guard_of({**PER_CLIENT, "resource": "* /**"})
        wire = refused(GuardMiddleware(once(guard), guard))
        assert wire.headers["ratelimit"] == '"per-client";r=0;t=60, "report/limit";r=0;t=60'

    @pytest.mark.parametrize("is_inside", [False, True])
    def test_also_behind_the_error_page_of_starlette(self, is_inside):
        guard = guard_of()
        limited = guard.limit(**PER_FUNCTION)(lambda: None)

        async def endpoint(request):
            limited()
            return PlainTextResponse("hello")

        app = Starlette(routes=[Route("/", endpoint)])
        if is_inside:
            app.add_middleware(GuardMiddleware, guard=guard)
        else:
            app = GuardMiddleware(app, guard)
        wire = refused(app)
        assert [429, "application/problem+json"] == [wire.status, wire.headers["content-type"]]

    def test_is_raised_if_an_answer_is_on_its_way(self):
        guard = guard_of()
        limited = guard.limit(**PER_FUNCTION)(lambda: None)

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            limited()

        with pytest.raises(RateLimited):
            refused(GuardMiddleware(app, guard))

    def test_of_a_client_is_503_and_tells_nothing_of_what_is_behind(self):
        guard = guard_of(
            {
                "name": "secret",
                "resource": "client GET intranet.example",
                "kind": "limit",
                "rate": "1/min",
                "key": "resource",
            }
        )

        async def app(scope, receive, send):
            permit = guard.try_enter("client GET intranet.example")
            if not permit:
                raise as_outgoing(permit.refusal())  # as the adapters of clients do
            await hello(scope, receive, send)

        wire = refused(GuardMiddleware(app, guard))
        assert [503, "60"] == [wire.status, wire.headers["retry-after"]]
        assert "ratelimit" not in wire.headers
        assert b"intranet" not in wire.body
        assert b"secret" not in wire.body

    def test_does_not_open_a_breaker_however_it_is_answered(self):
        guard = guard_of(BREAKER)
        limited = guard.limit("1/h", name="inner")(lambda: None)

        async def endpoint(request):
            limited()
            return PlainTextResponse("hello")

        async def known(request, error):
            return PlainTextResponse("busy", status_code=503)

        for handlers in ({}, {Refused: known}):
            app = GuardMiddleware(Starlette(routes=[Route("/", endpoint)], exception_handlers=handlers), guard)
            statuses = [call(app, http()).status for _ in range(4)]
            assert statuses[1:] == [503 if handlers else 429] * 3
        assert guard.breakers["backend/GET /"].state == "closed"


def test_a_page_for_an_error_that_follows_a_refusal_which_the_app_dealt_with_is_the_apps_own():
    async def app(scope, receive, send):
        try:
            raise RateLimited("x", guard_of().peek("x"))
        except Refused:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"my own"})

    wire = call(GuardMiddleware(app, guard_of()), http())
    assert [500, b"my own"] == [wire.status, wire.body]


def test_an_error_page_goes_out_before_the_error():
    async def app(scope, receive, send):
        raise HTTPException(418)

    wire = call(GuardMiddleware(Starlette(routes=[Route("/", app)]), guard_of(PER_CLIENT)), http("/nowhere"))
    assert [404, '"per-client";r=1;t=30'] == [wire.status, wire.headers["ratelimit"]]


class TestOnRefused:
    def answer(self, hook):
        return refused(GuardMiddleware(hello, guard_of({**PER_CLIENT, "rate": "1/min"}), on_refused=hook))

    def test_makes_the_answer_and_gets_the_headers_it_lacks(self):
        wire = self.answer(lambda scope, refused: JSONResponse({"rule": refused.rule}, 420, {"Retry-After": "7"}))
        assert [420, b'{"rule":"per-client"}', "7"] == [wire.status, wire.body, wire.headers["retry-after"]]
        assert wire.headers["ratelimit"] == '"per-client";r=0;t=60'

    def test_may_be_async(self):
        async def hook(scope, refused):
            return PlainTextResponse(scope["path"], 429)

        assert self.answer(hook).body == b"/"

    @pytest.mark.parametrize("hook", [lambda *_: None, lambda *_: "text", lambda *_: 1 / 0])
    def test_that_makes_none_leaves_the_usual_one(self, hook, caplog):
        with caplog.at_level(logging.CRITICAL):
            assert self.answer(hook).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("style", ["ietf-10", "legacy", "both"])
def test_headers_that_can_be_read_but_once_arrive(style):
    async def once(scope, receive, send):
        headers = (header for header in [(b"x-page", b"1")])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    assert call(GuardMiddleware(once, guard_of(PER_CLIENT), headers=style), http()).headers["x-page"] == "1"
