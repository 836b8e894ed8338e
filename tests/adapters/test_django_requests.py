"""Django: what clients send, how streams pass, and clients that go, over the handlers that servers call."""

import asyncio
import re

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client, RequestFactory, override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.default import substituted
from tests.adapters.client_fakes import Far, client_of
from tests.adapters.django_project import BREAKER, IP, PER_USER, PLACES, current
from tests.adapters.wire import PER_CLIENT, Wire, guard_of, http, inside

ONCE = {**PER_CLIENT, "rate": "1/min"}
NAME = 'evil"; X-Evil: 1 \\ü'
LATIN = st.text(st.characters(max_codepoint=255))


def guarding(*rules, **options):
    guard = current["guard"] = guard_of(*rules)
    current["seen"] = []
    return override_settings(GUARDRAIL={"guard": guard, **options})


def ask(path="/hello/", method="get", *, body=None, content_type="text/plain", **environ):
    """Ask as a WSGI server does, and return the response that Django made."""
    client = Client(raise_request_exception=False)
    return client.generic(method.upper(), path, body or "", content_type, **{**IP, **environ})


def votes():
    snapshot = current["guard"].breakers["backend/GET"].snapshot()
    return snapshot.calls - snapshot.failures, snapshot.failures


async def over_asgi(wire, path):
    scope = http(path, client=("203.0.113.9", 1), asgi={"version": "3.0"})
    await ASGIHandler()(scope, wire.receive, wire.send)


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("method", {"method": "get"}, {"method": "post"}),
        ("client.ip", {"REMOTE_ADDR": "1.1.1.1"}, {"REMOTE_ADDR": "1.1.1.2"}),
        ("header.x-tenant", {"HTTP_X_TENANT": "a"}, {"HTTP_X_TENANT": "b"}),
        ("header.content-type", {"body": "x", "content_type": "text/a"}, {"body": "x", "content_type": "text/b"}),
        ("query.q", {"path": "/hello/?q=1&r=2"}, {"path": "/hello/?r=2"}),
        ("cookie.session", {"HTTP_COOKIE": "a=b; session=1"}, {"HTTP_COOKIE": "session=2"}),
        ("resource", {"path": "/hello/"}, {"path": "/v1/orders/1"}),
        ("path.order", {"path": "/v1/orders/1"}, {"path": "/v1/orders/2"}),
    ],
)
def test_rules_may_ask_for(key, one, other):
    with guarding({**PER_USER, "key": key}):
        assert [200, 200, 429] == [ask(**given).status_code for given in (one, other, one)]


def test_the_body_of_a_request_is_left_to_the_view():
    with guarding(ONCE):
        first, second = (ask("/upload/", "post", body="x" * 100_000) for _ in range(2))
    assert [b"100000", 429] == [first.content, second.status_code]


def test_only_trusted_proxies_are_believed():
    asked = [("10.0.0.1", "1.1.1.1"), ("10.0.0.1", "1.1.1.2"), ("9.9.9.9", "1.1.1.3"), ("9.9.9.9", "8.8.8.8")]
    with guarding(ONCE, trusted_proxies=["10.0.0.0/8"]):
        answers = [ask(REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=client) for peer, client in asked]
    assert [200, 200, 200, 429] == [answer.status_code for answer in answers]


@pytest.mark.parametrize("style", ["ietf-10", "legacy", "both"])
def test_names_of_rules_and_keys_cannot_inject_headers(style):
    rule = {**ONCE, "name": NAME, "key": "header.x-a"}
    with guarding(rule, headers=style):
        answers = [ask(HTTP_X_A=f"{NAME}\r\nX-Evil: 1\0\u2028") for _ in range(2)]
    assert [200, 429] == [answer.status_code for answer in answers]
    for name, value in answers[1].headers.items():
        assert re.fullmatch("[A-Za-z-]+", name)
        assert re.fullmatch("[ -~]*", value)


@settings(max_examples=50)
@given(
    st.dictionaries(st.sampled_from(["HTTP_X_A", "HTTP_COOKIE", "HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED"]), LATIN),
    LATIN,
    LATIN,
    st.sampled_from(["GET", "BREW", ""]),
)
def test_whatever_a_client_sends_it_is_answered(headers, path, query, method):
    key = ["client.ip", "method", "user", "header.x-a", "query.a", "cookie.a", "path.order"]
    environ = RequestFactory().get("/").environ
    environ |= {**IP, "PATH_INFO": f"/hello/{path}", "QUERY_STRING": query, "REQUEST_METHOD": method, **headers}
    statuses = []
    with guarding({**ONCE, "key": key}, trusted_proxies=["203.0.113.9"]):
        app = WSGIHandler()
        for _ in range(2):
            app({**environ}, lambda status, fields: statuses.append(status[:3])).close()
    assert statuses in (["200", "429"], ["404", "429"])


def test_thousands_of_paths_are_a_handful_of_names():
    with guarding({**PER_CLIENT, "resource": "GET /**"}):
        guard, names = current["guard"], set()
        enter = guard.try_enter
        guard.try_enter = lambda name, request: (names.add(name), enter(name, request))[1]
        for number in range(300):
            for path in (f"/v{number}/orders/{number}", f"/{number}"):
                ask(path)
    assert {"GET /v{version}/orders/{order}", "GET /**"} == names


def test_a_refused_call_to_a_service_behind_is_not_the_fault_of_whoever_calls():
    with guarding({"name": "secret", "resource": "client GET intranet.example", "kind": "limit", "rate": "1/min"}):
        with client_of(current["guard"], Far()) as client:
            current["limit"] = lambda: client.get("https://intranet.example/")
            first, second = (ask("/calling/") for _ in range(2))
    assert [200, 503, "60"] == [first.status_code, second.status_code, second["Retry-After"]]
    assert b"intranet" not in second.content


def test_without_a_guard_the_default_one_of_the_moment_decides():
    with override_settings(GUARDRAIL={}), substituted(rules=[ONCE]):
        assert [200, 429] == [ask().status_code for _ in range(2)]


def test_a_stream_passes_chunk_by_chunk_under_wsgi():
    with guarding(PLACES):
        environ, events = {**RequestFactory().get("/counting/").environ, **IP}, current["seen"]
        items = WSGIHandler()(environ, lambda status, fields: events.append("server has the start"))
        for item in items:
            events.append(f"server has {item.decode()}")
        items.close()
        assert 0 == inside(current["guard"], "places")
    expected = ["server has the start", "view has 1", "server has 1", "view has 2", "server has 2"]
    assert expected == events


def test_a_stream_passes_chunk_by_chunk_under_asgi():
    class Server(Wire):
        async def send(self, message):
            await super().send(message)
            if message.get("body"):
                current["seen"].append(f"server has {message['body'].decode()}")

    async def run():
        await over_asgi(Server(), "/acounting/")

    with guarding(PLACES):
        asyncio.run(run())
        assert ["view has 1", "server has 1", "view has 2", "server has 2"] == current["seen"]
        assert 0 == inside(current["guard"], "places")


@pytest.mark.parametrize("path", ["/waiting/", "/endless/"])
def test_a_client_that_goes_under_asgi_casts_no_vote_and_leaves_its_place(path):
    """While the view works on the answer, and in the middle of a stream."""

    async def run():
        left = asyncio.Event()

        class Leaving(Wire):
            async def receive(self):
                if self.messages:
                    return await super().receive()
                await left.wait()
                return {"type": "http.disconnect"}

        task = asyncio.ensure_future(over_asgi(Leaving(), path))
        while "inside" not in current["seen"]:
            await asyncio.sleep(0)
        assert 1 == inside(current["guard"], "places")
        left.set()
        await task

    with guarding(PLACES, BREAKER):
        asyncio.run(run())
        assert [0, (0, 0)] == [inside(current["guard"], "places"), votes()]
