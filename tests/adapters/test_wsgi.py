"""WSGI: item by item, and out when the items are closed."""

import json
from contextlib import suppress

import pytest

from guardrail import Refused, attributes
from guardrail.adapters.wsgi import GuardMiddleware
from tests.adapters.wire import PER_CLIENT, guard_of, inside

PLACES = {"name": "places", "resource": "**", "kind": "bulkhead", "max_concurrent": 1}
BREAKER = {
    "name": "backend",
    "resource": "* /**",
    "kind": "breaker",
    "window_calls": 10,
    "min_calls": 10,
    "key": "method",
}
ONCE = {**PER_CLIENT, "rate": "1/min"}


def environ(path="/", method="GET", **more):
    given = {f"HTTP_{name.upper()}" if name.islower() else name: value for name, value in more.items()}
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "REMOTE_ADDR": "203.0.113.9", "QUERY_STRING": "", **given}


class Server:
    """Does what a server does with one request: `items` is what it has to iterate over."""

    def __init__(self, app, request=None):
        self.status = self.headers = None
        self.items = app(environ() if request is None else request, self.start_response)

    def start_response(self, status, headers, exc_info=None):
        self.status, self.headers = status, dict(headers)

    def finish(self):
        self.body = b"".join(self.items)
        if hasattr(self.items, "close"):
            self.items.close()
        return self


def serve(app, request=None):
    return Server(app, request).finish()


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def votes(guard):
    snapshot = guard.breakers["backend/GET"].snapshot()
    return snapshot.calls - snapshot.failures, snapshot.failures


def test_an_allowed_request_is_told_what_is_left_and_a_refused_one_when_to_come_back():
    app = GuardMiddleware(hello, guard_of(ONCE))
    first, second = serve(app), serve(app)
    assert ["200 OK", b"hello", '"per-client";r=0;t=60'] == [first.status, first.body, first.headers["RateLimit"]]
    assert ["429 Too Many Requests", "60"] == [second.status, second.headers["Retry-After"]]
    assert second.headers["RateLimit-Policy"] == '"per-client";q=1;w=60'
    assert json.loads(second.body)["violated-policies"] == ["per-client"]
    assert second.headers["Content-Length"] == str(len(second.body))
    assert serve(app, environ(method="HEAD")).body == b""


def test_items_are_asked_for_one_by_one_and_the_place_is_free_when_they_are_over():
    guard, events = guard_of(PLACES), []

    def app(environ, start_response):
        start_response("200 OK", [])
        for item in (b"1", b"2"):
            events.append(f"app has {item.decode()}, {inside(guard, 'places')} inside")
            yield item

    for item in Server(GuardMiddleware(app, guard)).items:
        events += [f"server has {item.decode()}"]
    expected = ["app has 1, 1 inside", "server has 1", "app has 2, 1 inside", "server has 2"]
    assert [expected, 0] == [events, inside(guard, "places")]


def test_a_response_that_is_closed_in_the_middle_casts_no_vote_and_frees_the_place():
    guard, closed = guard_of(PLACES, BREAKER), []

    class Items(list):
        def close(self):
            closed.append(inside(guard, "places"))

    def app(environ, start_response):
        start_response("200 OK", [])
        return Items([b"1", b"2"])

    items = Server(GuardMiddleware(app, guard)).items
    next(items)
    items.close()
    items.close()
    assert [1, 0, (0, 0)] == [closed[0], inside(guard, "places"), votes(guard)]


def test_a_response_that_nobody_asks_for_is_judged_by_its_status():
    guard = guard_of(BREAKER)
    Server(GuardMiddleware(hello, guard)).items.close()
    assert votes(guard) == (1, 0)


def failing(status, error=None, *, late=False):
    def app(environ, start_response):
        if error is not None and not late:
            raise error
        start_response(status, [])
        return items()

    def items():
        yield b"x"
        if error is not None:
            raise error

    return app


@pytest.mark.parametrize(
    ("expected", "app"),
    [
        ((1, 0), failing("204 No Content")),
        ((1, 0), failing("404 Not Found")),
        ((0, 1), failing("503 Service Unavailable")),
        ((0, 1), failing("200 OK", ValueError("before"))),
        ((0, 1), failing("200 OK", ValueError("in the middle"), late=True)),
        ((0, 0), failing("200 OK", GeneratorExit(), late=True)),
        ((0, 1), lambda *_: []),
        ((0, 1), failing("nonsense")),
    ],
)
def test_the_breaker_hears_how_it_went(expected, app):
    guard = guard_of(BREAKER, PLACES)
    with suppress(ValueError, GeneratorExit):
        serve(GuardMiddleware(app, guard))
    assert [expected, 0] == [votes(guard), inside(guard, "places")]


@pytest.mark.parametrize("is_lazy", [False, True])
def test_a_refusal_that_escapes_is_answered_also_where_the_app_is_a_generator(is_lazy):
    guard = guard_of(BREAKER)
    limited = guard.limit("1/min", key="client.ip", name="inner")(lambda: b"hello")

    def lazy(environ, start_response):
        item = limited()
        start_response("200 OK", [])
        yield item

    app = GuardMiddleware(lazy if is_lazy else lambda *given: list(lazy(*given)), guard)
    wires = [serve(app) for _ in range(3)]
    assert ["200 OK", "429 Too Many Requests", "429 Too Many Requests"] == [wire.status for wire in wires]
    assert wires[1].headers["RateLimit"] == '"inner/limit";r=0;t=60'
    assert json.loads(wires[1].body)["status"] == 429
    assert votes(guard) == (1, 0)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_a_group_of_refusals_is_answered_like_one(is_lazy):
    guard = guard_of(BREAKER)
    limited = guard.limit("1/min", key="client.ip", name="inner")(lambda: b"hello")

    def lazy(environ, start_response):
        try:
            item = limited()
        except Refused as refused:
            raise ExceptionGroup("tasks", [refused, refused]) from None
        start_response("200 OK", [])
        yield item

    app = GuardMiddleware(lazy if is_lazy else lambda *given: list(lazy(*given)), guard)
    wires = [serve(app) for _ in range(2)]
    assert ["200 OK", "429 Too Many Requests", "60"] == [
        *(wire.status for wire in wires),
        wires[1].headers["Retry-After"],
    ]
    assert votes(guard) == (1, 0)


def test_one_that_comes_too_late_is_raised():
    guard = guard_of()
    limited = guard.limit("1/min", name="inner")(lambda: b"x")
    limited()

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"1"
        yield limited()

    with pytest.raises(Exception, match="1/min exceeded"):
        serve(GuardMiddleware(app, guard))


def test_what_no_route_is_known_for_is_named_by_the_rules():
    guard = guard_of(
        {"name": "a", "resource": "GET /v1/{kind}/{id}", "kind": "limit", "rate": "1/min", "key": "path.id"}
    )
    app = GuardMiddleware(hello, guard)
    statuses = [serve(app, environ(f"/v1/orders/{number}")).status[:3] for number in (1, 2, 1)]
    assert ["200", "200", "429"] == statuses
    assert len(guard._in_force.plans) == 1


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("header.x-tenant", {"x_tenant": "a"}, {"x_tenant": "b"}),
        ("header.content-type", {"CONTENT_TYPE": "a"}, {"CONTENT_TYPE": "b"}),
        ("query.q", {"QUERY_STRING": "q=1&x=2"}, {"QUERY_STRING": "q=2"}),
        ("cookie.session", {"cookie": "a=b; session=1"}, {"cookie": "session=2"}),
        ("method", {"method": "GET"}, {"method": "POST"}),
        ("client.ip", {"REMOTE_ADDR": "1.1.1.1"}, {"REMOTE_ADDR": "1.1.1.2"}),
        ("user", {"REMOTE_USER": "a"}, {"REMOTE_USER": "b"}),
    ],
)
def test_rules_may_ask_for(key, one, other):
    app = GuardMiddleware(hello, guard_of({**ONCE, "key": key}), user=lambda environ: environ["REMOTE_USER"])
    statuses = [serve(app, environ(**given)).status[:3] for given in (one, other, one)]
    assert ["200", "200", "429"] == statuses


def test_decorators_further_in_see_the_same_also_while_items_are_made():
    guard, seen = guard_of(), []

    @guard.limit("1/min", key=["client.ip", "header.a", "tenant"], name="x")
    def item(tenant):
        seen.append(tenant)
        return b"x"

    def app(environ, start_response):
        start_response("200 OK", [])
        with attributes(tenant="acme"):
            yield item(environ["HTTP_A"])

    for letter in "abc":
        serve(GuardMiddleware(app, guard), environ(a=letter))
    assert seen == ["a", "b", "c"]


@pytest.mark.parametrize(
    "request_", [{}, {"PATH_INFO": "/\xc3\xbc"}, {"REMOTE_ADDR": "x", "HTTP_X_FORWARDED_FOR": "\xff"}]
)
def test_strange_requests_are_answered(request_):
    assert serve(GuardMiddleware(hello, guard_of(PER_CLIENT)), request_).status == "200 OK"


def test_exempt_paths_and_preflights_are_free():
    guard = guard_of(PLACES)
    app = GuardMiddleware(hello, guard)
    preflight = environ(method="OPTIONS", access_control_request_method="POST")
    with guard.enter("x"):
        statuses = [serve(app, one).status[:3] for one in (environ("/healthz"), preflight, environ(method="OPTIONS"))]
    assert ["200", "200", "503"] == statuses


def test_on_refused_makes_the_answer():
    def mine(environ, start_response):
        start_response("420 Calm", [("Retry-After", "1")])
        return [b"mine"]

    for hook, status in (
        (lambda *_: mine, "420"),
        (lambda *_: None, "429"),
        (lambda *_: 5, "429"),
        (lambda *_: 1 / 0, "429"),
    ):
        app = GuardMiddleware(hello, guard_of(ONCE), on_refused=hook)
        wire = [serve(app), serve(app)][1]
        assert [status, '"per-client";r=0;t=60'] == [wire.status[:3], wire.headers["RateLimit"]]


def test_a_name_given_by_the_service_wins():
    app = GuardMiddleware(hello, guard_of({**ONCE, "resource": "mine"}), resource=lambda environ: environ.get("NAME"))
    assert ["200", "200", "200", "429"] == [
        serve(app, environ(NAME=name)).status[:3] for name in (None, "x", "mine", "mine")
    ]
