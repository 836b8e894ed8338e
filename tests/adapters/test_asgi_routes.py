"""Routes are found before they are taken: the name is the template of the route that the router will choose."""

import re

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from guardrail.adapters.asgi import GuardMiddleware
from tests.adapters.wire import call, guard_of, hello, http, websocket


async def endpoint(request: Request):
    return PlainTextResponse("")


async def socket(connection: WebSocket):
    await connection.close()


class Seen:
    """A guard around *app*, and what was asked of it."""

    def __init__(self, app, *rules, **options):
        self.guard = guard_of(*rules)
        self.app = GuardMiddleware(app, self.guard, **options)
        self.resources = []
        enter = self.guard.atry_enter

        async def noted(resource, attributes):
            self.resources.append(resource)
            self.attributes = attributes
            return await enter(resource, attributes)

        self.guard.at_once = lambda *_: None  # all go the long way here
        self.guard.atry_enter = noted

    def name(self, path, method="GET", **more):
        call(self.app, http(path, method, **more))
        return self.resources[-1]


def starlette():
    inner = Starlette(routes=[Route("/deep/{name}", endpoint), WebSocketRoute("/ws/{room}", socket)])
    return Starlette(
        routes=[
            Route("/orders/me", endpoint),
            Route("/orders/{id:int}", endpoint),
            Route("/orders/{id}", endpoint, methods=["POST", "PUT"]),
            Route("/orders/{id}", endpoint, methods=["PURGE"]),
            Route("/files/{rest:path}", endpoint),
            Mount("/tenants/{tenant}", routes=[Route("/", endpoint), Mount("/v2", app=inner)]),
            Mount("/opaque", app=hello),
            Mount("/wrapped", app=GuardMiddleware(inner, guard_of())),
            Host("{sub}.example.com", app=Router([Route("/orders/{of_sub}", endpoint)])),
            WebSocketRoute("/ws/{room}", socket),
            Route("/late/{x}", endpoint),
        ]
    )


@pytest.mark.parametrize(
    ("expected", "method", "path"),
    [
        ("GET /orders/me", "GET", "/orders/me"),
        ("GET /orders/{id}", "GET", "/orders/17"),
        ("GET /orders/{id}", "HEAD", "/orders/17"),
        ("POST /orders/{id}", "POST", "/orders/abc"),
        ("GET /orders/{id}", "GET", "/orders/abc"),  # 405: the route is there, the method is not
        ("DELETE /orders/me", "DELETE", "/orders/me"),
        ("PURGE /orders/{id}", "PURGE", "/orders/abc"),  # a method that routes know is no unknown one
        ("OTHER /orders/me", "BREW", "/orders/me"),
        ("OTHER /orders/me", "get", "/orders/me"),
        ("GET /files/{rest}", "GET", "/files/a/b/c"),
        ("GET /tenants/{tenant}/", "GET", "/tenants/acme/"),
        ("GET /tenants/{tenant}/v2/deep/{name}", "GET", "/tenants/acme/v2/deep/x"),
        ("POST /tenants/{tenant}/v2/deep/{name}", "POST", "/tenants/acme/v2/deep/x"),
        ("GET /wrapped/deep/{name}", "GET", "/wrapped/deep/x"),
        ("unmatched", "GET", "/tenants/acme/nothing"),
        ("unmatched", "GET", "/opaque/x"),
        ("unmatched", "GET", "/orders"),
        ("unmatched", "GET", "/ws/1"),
        ("GET /late/{x}", "GET", "/late/1"),
    ],
)
def test_the_full_template_is_the_name(expected, method, path):
    assert expected == Seen(starlette()).name(path, method)


def test_routes_of_a_host_count_for_that_host():
    seen = Seen(Starlette(routes=[starlette().routes[8], Route("/orders/{id}", endpoint)]))
    assert seen.name("/orders/1") == "GET /orders/{id}"
    assert seen.name("/orders/1", headers=[("host", "a.example.com:8000")]) == "GET /orders/{of_sub}"
    assert seen.name("/nothing", headers=[("host", "a.example.com")]) == "unmatched"
    assert seen.name("/orders/1", headers=[("host", "[::1]")]) == "GET /orders/{id}"


def test_websockets_have_routes_of_their_own():
    seen = Seen(starlette())
    for path in ("/ws/1", "/tenants/acme/v2/ws/9", "/orders/me"):
        call(seen.app, websocket(path), {"type": "websocket.connect"})
    assert seen.resources == ["GET /ws/{room}", "GET /tenants/{tenant}/v2/ws/{room}", "unmatched"]


def test_what_matches_no_route_is_named_by_the_rules():
    rule = {"name": "a", "resource": "* /opaque/**", "kind": "limit", "rate": "9/s"}
    seen = Seen(starlette(), rule)
    assert [seen.name("/opaque/x"), seen.name("/nowhere")] == ["* /opaque/**", "unmatched"]


def test_routes_that_are_added_later_are_found():
    app = Starlette(routes=[Mount("/a", routes=[])])
    seen = Seen(app)
    assert seen.name("/a/1") == "unmatched"
    app.routes[0].routes.append(Route("/{x}", endpoint))
    assert seen.name("/a/1") == "GET /a/{x}"


@pytest.mark.parametrize("path", ["/api/orders/17", "/orders/17"])
def test_the_root_path_of_the_deployment_is_no_part_of_the_name(path):
    assert Seen(starlette()).name(path, root_path="/api") == "GET /orders/{id}"
    app = FastAPI()
    app.root_path = "/api"  # what its option sets, which is deprecated
    app.get("/orders/{order}")(endpoint)
    assert Seen(app).name(path) == "GET /orders/{order}"


def test_wherever_in_the_app_the_middleware_is_the_name_is_the_same():
    names = []

    def noting(app):
        seen = Seen(app)
        names.append(seen.resources)
        return seen.app

    routes = [Route("/x/{id}", endpoint, middleware=[Middleware(noting)])]
    inner = Starlette(routes=[Mount("/b", routes=routes, middleware=[Middleware(noting)])])
    inner.add_middleware(noting)
    outer = Starlette(routes=[Mount("/a/{tenant}", app=inner)])
    outer.add_middleware(noting)
    call(outer, http("/a/acme/b/x/1"))
    assert names == [["GET /a/{tenant}/b/x/{id}"]] * 4


def test_prefixes_of_included_routers_belong_to_the_template():
    inner, middle, app = APIRouter(prefix="/inner"), APIRouter(prefix="/middle"), FastAPI()
    inner.get("/{q}")(endpoint)
    inner.websocket("/ws/{room}")(socket)
    inner.add_route("/plain/{p}", endpoint)
    inner.mount("/mounted", Starlette(routes=[Route("/{m}", endpoint)]))
    middle.include_router(inner, prefix="/v{version}")
    app.include_router(middle, prefix="/api")
    app.post("/top/{t}")(endpoint)
    seen = Seen(app)
    assert seen.name("/api/middle/v2/inner/7") == "GET /api/middle/v{version}/inner/{q}"
    assert dict(seen.attributes)["path.version"] == "2"
    assert seen.name("/api/middle/v2/inner/7", "POST") == "POST /api/middle/v{version}/inner/{q}"
    assert seen.name("/api/middle/v2/plain/7") == "GET /api/middle/v{version}/plain/{p}"
    assert seen.name("/api/middle/v2/mounted/7") == "GET /api/middle/v{version}/mounted/{m}"
    assert seen.name("/top/1", "POST") == "POST /top/{t}"
    assert seen.name("/openapi.json") == "GET /openapi.json"


TEMPLATES = st.lists(st.sampled_from(["a", "b", "{x}", "{y:int}", "{z:path}", "v{n}"]), min_size=1, max_size=3)
METHODS = st.sampled_from([["GET"], ["POST"], ["GET", "PUT"]])
PATHS = st.lists(st.sampled_from(["a", "b", "1", "v2", ""]), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@given(
    st.lists(st.tuples(TEMPLATES, METHODS, st.booleans()), max_size=5), PATHS, st.sampled_from(["GET", "POST", "HEAD"])
)
def test_it_is_the_route_that_starlette_takes(rows, path, method):
    taken = []

    def answering(template):
        async def answer(request):
            taken.append(template)
            return PlainTextResponse("")

        return answer

    routes = []
    for number, (parts, methods, is_mounted) in enumerate(rows):
        names = {"{x}": f"{{x{number}}}", "{y:int}": f"{{y{number}:int}}", "{z:path}": f"{{z{number}:path}}"}
        template = "/" + "/".join(dict.fromkeys(names.get(part, part) for part in parts if part != "v{n}"))
        plain = re.sub(r":\w+", "", template)
        if is_mounted:
            mounted = Route("/b", answering(f"{plain.rstrip('/')}/b"), methods=methods)
            routes.append(Mount(template, routes=[mounted]))
        else:
            routes.append(Route(template, answering(plain), methods=methods))
    wire_name = Seen(Starlette(routes=routes)).name(path, method)
    if taken:
        assert wire_name.partition(" ")[2] == taken[0]


def test_routes_of_no_known_shape_are_named_by_the_rules():
    class Odd:
        def matches(self, scope):
            return Match.NONE, {}

    class Backreference(StringConvertor):
        regex = r"(?P<half>\w+)-(?P=half)"

    register_url_convertor("twin", Backreference())
    app = Starlette(routes=[Odd(), Route("/{x:twin}", endpoint), Route("/{y}", endpoint)])
    seen = Seen(app, {"name": "a", "resource": "GET /**", "kind": "limit", "rate": "9/s"})
    assert [seen.name("/a-b"), seen.name("/a/b")] == ["GET /{y}", "GET /**"]


def test_a_mount_at_the_root_of_the_deployment_has_an_empty_path():
    assert Seen(starlette()).name("/api", root_path="/api") == "unmatched"
    assert Seen(starlette()).name("/apiorders/1", root_path="/api") == "unmatched"


def test_a_server_may_have_many_apps():
    seen = Seen(hello)
    names = [seen.name(f"/{number}", app=Starlette(routes=[Route("/{x}", endpoint)])) for number in range(100)]
    assert {"GET /{x}"} == set(names)
    assert len(seen.app._tables._tables) <= 32
    one, other = (Starlette(routes=[Route(f"/{{{name}}}", endpoint)]) for name in "xy")
    assert ["GET /{x}", "GET /{y}", "GET /{x}"] == [seen.name("/1", app=app) for app in (one, other, one)]


def test_what_a_mount_does_not_have_goes_to_no_later_route():
    app = Starlette(routes=[Mount("/a", routes=[Route("/b", endpoint)]), Route("/{rest:path}", endpoint)])
    seen = Seen(app)
    assert [seen.name("/a/b"), seen.name("/a/c"), seen.name("/b")] == ["GET /a/b", "unmatched", "GET /{rest}"]
