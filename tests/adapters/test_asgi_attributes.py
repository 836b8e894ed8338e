"""What rules and decorators may ask of a request; options that say it differently; requests that are strange."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import attributes, limit
from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.asgi.request import AsgiRequest
from guardrail.adapters.http.options import options_of
from guardrail.default import substituted
from guardrail.testing import FakeClock
from tests.adapters.wire import PER_CLIENT, call, guard_of, hello, http, websocket

ONCE = {**PER_CLIENT, "rate": "1/min"}


def statuses(app, *scopes):
    return [call(app, scope).status for scope in scopes]


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("method", {"method": "GET"}, {"method": "HEAD"}),
        ("client.ip", {"client": ("1.1.1.1", 1)}, {"client": ("1.1.1.2", 1)}),
        ("header.x-tenant", {"headers": [("X-Tenant", "a")]}, {"headers": [("X-Tenant", "b")]}),
        ("header.x-tenant", {"headers": [("x-tenant", "a"), ("x-tenant", "b")]}, {"headers": [("x-tenant", "a")]}),
        ("query.q", {"query": b"q=1&r=2"}, {"query": b"r=2"}),
        ("query.q", {"query": b"q=1&q=2"}, {"query": b"q=1"}),
        ("cookie.session", {"headers": [("cookie", 'a=b; session="1"')]}, {"headers": [("cookie", "session=2")]}),
        ("path.id", {"path": "/orders/1"}, {"path": "/orders/2"}),
        ("user", {"headers": [("x-user", "a")]}, {"headers": [("x-user", "b")]}),
        ("user.plan", {"headers": [("x-user", "a")]}, {"headers": [("x-user", "b")]}),
        ("resource", {"path": "/orders/1"}, {"path": "/"}),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_rules_may_ask_for(key, one, other, is_async):
    def user(scope):
        name = dict(scope["headers"])[b"x-user"].decode()
        return {"plan": f"plan of {name}"} if key == "user.plan" else name

    async def auser(scope):
        return user(scope)

    rules = [{**ONCE, "name": name, "resource": name, "key": key} for name in ("GET /orders/{id}", "* /")]
    app = GuardMiddleware(hello, guard_of(*rules), user=auser if is_async else user)
    one = {"path": "/orders/1" if key == "path.id" else "/", **one}
    assert [200, 200, 429] == statuses(app, http(**one), http(**{**one, **other}), http(**one))


def test_a_user_hook_that_raises_means_that_nobody_knows():
    app = GuardMiddleware(hello, guard_of({**ONCE, "key": "user|client.ip"}), user=lambda scope: 1 / 0)
    assert [200, 429] == statuses(app, http(), http())


def test_trusted_proxies_are_believed():
    app = GuardMiddleware(hello, guard_of(ONCE), trusted_proxies=["10.0.0.0/8"])
    asked = [
        (("10.0.0.1", 1), "1.1.1.1"),
        (("10.0.0.1", 1), "1.1.1.2"),
        (("9.9.9.9", 1), "1.1.1.3"),
        (("9.9.9.9", 1), "8.8.8.8"),
    ]
    scopes = [http(client=client, headers=[("x-forwarded-for", value)]) for client, value in asked]
    assert [200, 200, 200, 429] == statuses(app, *scopes)


def test_a_private_peer_that_forwards_is_warned_about_only_if_a_rule_asks_who_is_calling(caplog):
    scope = http(client=("127.0.0.1", 1), headers=[("x-forwarded-for", "1.1.1.1")])
    with caplog.at_level(logging.WARNING):
        statuses(GuardMiddleware(hello, guard_of({**ONCE, "key": "method"})), scope)
        assert caplog.text == ""
        statuses(GuardMiddleware(hello, guard_of(ONCE)), scope, scope)
    assert len(caplog.records) == 1


def test_decorators_further_in_see_it_too_and_what_is_around():
    seen = []
    with substituted(clock=FakeClock()):

        @limit("1/min", key=["client.ip", "query.q", "tenant", "region"], name="x")
        def work(tenant, region=None):
            seen.append(tenant)

        async def app(scope, receive, send):
            with attributes(tenant="acme"):
                work(None)
            await hello(scope, receive, send)

        app = GuardMiddleware(app)
        assert [200, 200, 429] == statuses(app, http(query=b"q=1"), http(query=b"q=2"), http(query=b"q=1"))
        with attributes(region="eu"):
            assert [200, 429] == statuses(app, http(query=b"q=1"), http(query=b"q=1"))
        assert work("outside") is None
    assert len(seen) == 4


def test_it_is_a_mapping_that_has_everything():
    scope = http("/a", "POST", query=b"q=1", headers=[("X-A", "1"), ("cookie", "c=d")])
    request = AsgiRequest(scope, options_of("x", {"user": lambda scope: "u1"}))
    request.resource, request.path_text = "POST /{name}", "/a"
    expected = {
        "method": "POST",
        "client.ip": "203.0.113.9",
        "user": "u1",
        "resource": "POST /{name}",
        "header.x-a": "1",
        "header.cookie": "c=d",
        "query.q": "1",
        "cookie.c": "d",
        "path.name": "a",
    }
    assert expected == dict(request)
    assert len(request) == len(expected)
    assert "query.nothing" not in request
    assert request.get("query.nothing", "else") == "else"
    with pytest.raises(KeyError):
        request["nothing"]


class TestExempt:
    def app(self, **options):
        guard = guard_of({"name": "none", "resource": "**", "kind": "bulkhead", "max_concurrent": 1})
        self.inside = guard.try_enter("x")
        return GuardMiddleware(hello, guard, **options)

    def statuses(self, app, *scopes):
        found = statuses(app, *scopes)
        self.inside.exit()
        return found

    def test_are_probes_metrics_and_preflights(self):
        preflight = http("/x", "OPTIONS", headers=[("access-control-request-method", "PUT")])
        paths = [http(path) for path in ("/healthz", "/livez", "/readyz", "/metrics")]
        assert [200] * 5 + [503, 503] == self.statuses(self.app(), *paths, preflight, http("/x", "OPTIONS"), http("/x"))

    def test_are_what_the_service_says(self):
        app = self.app(exempt=["/internal/**", "GET /status"])
        scopes = [http("/internal/a"), http("/status"), http("/status", "POST"), http("/healthz")]
        assert [200, 200, 503, 503] == self.statuses(app, *scopes)

    def test_may_be_asked_for(self):
        app = self.app(exempt=lambda scope: scope["path"] == "/free")
        assert [200, 503] == self.statuses(app, http("/free"), http("/healthz"))

    def test_are_not_what_a_hook_could_not_say(self):
        assert [503] == self.statuses(self.app(exempt=lambda scope: 1 / 0), http())


@pytest.mark.parametrize(("given", "expected"), [("fixed", [200, 429]), (lambda scope: scope["path"], [200, 200])])
def test_a_name_given_by_the_service_wins(given, expected):
    app = GuardMiddleware(hello, guard_of({**ONCE, "key": "resource"}), resource=given)
    assert expected == statuses(app, http("/a"), http("/b"))


@pytest.mark.parametrize("hook", [lambda scope: None, lambda scope: 5, lambda scope: 1 / 0])
def test_no_name_from_the_service_leaves_it_to_routes_and_rules(hook):
    app = GuardMiddleware(hello, guard_of({**ONCE, "resource": "GET /a"}), resource=hook)
    assert [200, 429] == statuses(app, http("/a"), http("/a"))


STRANGE = [
    {"client": None},
    {"client": ()},
    {"client": ["", 0]},
    {"client": (None, None)},
    {"client": ("not an address", "port")},
    {"http_version": "1.0"},
    {"query_string": b"&&=&%ff=%zz&q"},
    {"query_string": b"&".join(b"a=%d" % number for number in range(2_000))},
    {"path": "/\udcff\0\r\n%2f"},
    {"path": "*"},
    {"path": ""},
    {"headers": [(b"cookie", b"\xff;;=;a"), (b"x-forwarded-for", b"\xff\x00,,;"), (b"forwarded", b'for="')]},
    {"headers": [(b"host", b"\xff:::")]},
    {"method": "\r\nX: y"},
    {"root_path": None},
    {"extensions": None},
]


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("trusted", [(), ["127.0.0.1", "unix"]])
def test_strange_requests_are_answered(strange, trusted):
    key = ["client.ip", "query.q", "cookie.a", "header.host", "path.x", "method"]
    app = GuardMiddleware(hello, guard_of({**ONCE, "key": key}), trusted_proxies=trusted, headers="both")
    assert [200, 429] == statuses(
        app, {**http(client=("127.0.0.1", 1)), **strange}, {**http(client=("127.0.0.1", 1)), **strange}
    )


@pytest.mark.parametrize("missing", ["client", "headers", "query_string", "root_path", "path", "method"])
def test_what_a_scope_lacks_is_missing(missing):
    scope = {name: value for name, value in http().items() if name != missing}
    assert [200, 429] == statuses(GuardMiddleware(hello, guard_of(ONCE)), scope, scope)
    scope = {name: value for name, value in websocket().items() if name != missing}
    call(GuardMiddleware(hello, guard_of(ONCE)), scope)


@given(st.lists(st.tuples(st.binary(), st.binary())), st.text(), st.binary(), st.text())
def test_whatever_a_client_sends_it_is_answered(headers, path, query, method):
    scope = {
        **http(path.encode("utf-8", "replace").decode()),
        "headers": headers,
        "query_string": query,
        "method": method,
    }
    names = [name.decode("latin-1") for name, _ in headers]
    key = [
        "client.ip",
        "query.a",
        "cookie.a",
        *(f"header.{name}" for name in names if name.isalnum() and name.isascii()),
    ]
    app = GuardMiddleware(hello, guard_of({**ONCE, "key": [part.lower() for part in dict.fromkeys(key)]}))
    assert call(app, scope).status in {200, 429}


def test_twenty_thousand_paths_leave_a_handful_of_states():
    guard = guard_of(
        {**ONCE, "resource": "GET /v1/**", "key": "resource"}, {**ONCE, "name": "b", "resource": "* /**", "rate": "9/s"}
    )
    app = GuardMiddleware(hello, guard)
    for number in range(5_000):
        call_once(app, http(f"/v1/{number}/{number}"))
        call_once(app, http(f"/{number}"))
    assert len(guard._in_force.plans) <= 3


def call_once(app, scope):
    """Drive an app that never waits, without a loop of its own."""

    async def receive():
        raise AssertionError

    async def send(message):
        pass

    with pytest.raises(StopIteration):
        app(scope, receive, send).send(None)


def test_guards_around_guards_see_what_the_outer_one_knows_and_ask_for_nothing_else():
    asked = []

    def user(scope):
        asked.append(scope["path"])
        return "u1"

    inner = GuardMiddleware(hello, guard_of({**ONCE, "key": "user"}))
    app = GuardMiddleware(inner, guard_of(), user=user)
    assert [200, 429] == statuses(app, http("/a"), http("/b"))
    assert asked == ["/a", "/b"]
    quiet = GuardMiddleware(GuardMiddleware(hello, guard_of(ONCE)), guard_of(), user=user)
    assert [200, 429] == statuses(quiet, http("/c"), http("/d"))
    assert asked == ["/a", "/b"]


def test_what_a_careless_server_gives_as_text_is_text():
    rules = [{**ONCE, "name": key, "key": key} for key in ("header.x-a", "query.q")]
    careless = {**http(root_path=5), "headers": [(b"x-a", "1")], "query_string": "q=1"}
    app = GuardMiddleware(hello, guard_of(*rules))
    assert [200, 429] == statuses(app, careless, http(headers=[("x-a", "1")], query=b"q=2"))
    assert {"header.x-b"} <= set(
        AsgiRequest({**careless, "headers": [("x-b", "1"), (b"x-b", "2")]}, options_of("test", {}))
    )
