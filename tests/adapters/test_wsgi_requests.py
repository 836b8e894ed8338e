"""WSGI: what clients send. Bodies are left alone, nobody chooses who they are, and nothing strange breaks an answer."""

import io
import re

import http_sfv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.adapters.wsgi import GuardMiddleware
from guardrail.default import substituted
from tests.adapters.client_fakes import Far, client_of
from tests.adapters.test_wsgi import ONCE, environ, hello, serve
from tests.adapters.wire import PER_CLIENT, guard_of

EVERYTHING = ["client.ip", "method", "user", "resource", "header.x-a", "query.a", "cookie.a", "path.id"]
NAME = 'evil"; X-Evil: 1 \\ü'  # one of several lines is none that rules accept
EVIL = f"{NAME}\r\nX-Evil: 1\0\u2028"
LATIN = st.text(st.characters(max_codepoint=255))


def statuses(app, *requests):
    return [serve(app, request).status[:3] for request in requests]


def test_the_body_of_a_request_is_left_to_the_app():
    body = io.BytesIO(b"x" * 100_000)

    def upload(environ, start_response):
        start_response("200 OK", [])
        return [str(len(environ["wsgi.input"].read())).encode()]

    app = GuardMiddleware(upload, guard_of(ONCE))
    assert b"100000" == serve(app, environ(method="POST") | {"wsgi.input": body}).body


def test_the_body_of_a_refused_request_is_not_read():
    body, app = io.BytesIO(b"x" * 100_000), GuardMiddleware(hello, guard_of(ONCE))
    assert ["200", "429"] == statuses(app, environ(), environ(method="POST") | {"wsgi.input": body})
    assert 0 == body.tell()


def test_only_trusted_proxies_are_believed():
    app = GuardMiddleware(hello, guard_of(ONCE), trusted_proxies=["10.0.0.0/8"])
    asked = [("10.0.0.1", "1.1.1.1"), ("10.0.0.1", "1.1.1.2"), ("9.9.9.9", "1.1.1.3"), ("9.9.9.9", "8.8.8.8")]
    requests = [environ(REMOTE_ADDR=peer, x_forwarded_for=client) for peer, client in asked]
    assert ["200", "200", "200", "429"] == statuses(app, *requests)


@pytest.mark.parametrize("style", ["ietf-10", "legacy", "both"])
def test_names_of_rules_and_keys_cannot_inject_headers(style):
    guard = guard_of()
    limited = guard.limit("1/min", key="header.x-a", name=NAME)(lambda: None)

    def app(environ, start_response):
        limited()
        return hello(environ, start_response)

    app = GuardMiddleware(app, guard, headers=style)
    served = [serve(app, environ(x_a=EVIL.encode().decode("latin-1"))) for _ in range(2)]
    assert ["200 OK", "429 Too Many Requests"] == [one.status for one in served]
    for name, value in served[1].headers.items():
        assert re.fullmatch("[A-Za-z-]+", name)
        assert re.fullmatch("[ -~]*", value)
        if name.startswith("RateLimit"):
            http_sfv.List().parse(value.encode())


@given(st.dictionaries(st.sampled_from(["x_a", "cookie", "x_forwarded_for", "forwarded", "host"]), LATIN), LATIN, LATIN)
def test_whatever_a_client_sends_it_is_answered(headers, path, query):
    app = GuardMiddleware(
        hello, guard_of({**ONCE, "key": EVERYTHING}), trusted_proxies=["203.0.113.9"], user=lambda environ: 1 / 0
    )
    for method in ("GET", "BREW"):
        request = environ(path, method, QUERY_STRING=query, **headers)
        assert ["200", "429"] == statuses(app, request, request)


@pytest.mark.parametrize("missing", list(environ()))
def test_what_an_environ_lacks_is_missing(missing):
    request = {name: value for name, value in environ().items() if name != missing}
    assert ["200", "429"] == statuses(GuardMiddleware(hello, guard_of({**ONCE, "key": EVERYTHING})), request, request)


def test_thousands_of_paths_are_a_handful_of_names():
    guard, names = guard_of({**PER_CLIENT, "resource": ["GET /v1/{kind}/{id}", "GET /files/**"]}), set()
    enter = guard.try_enter
    guard.try_enter = lambda name, request: (names.add(name), enter(name, request))[1]
    app = GuardMiddleware(hello, guard)
    for number in range(1_000):
        for path in (f"/v1/orders/{number}", f"/v1/users/{number}", f"/files/{number}/{number}", f"/{number}"):
            serve(app, environ(path))
    assert {"GET /v1/{kind}/{id}", "GET /files/**", "unmatched"} == names


def test_a_refused_call_to_a_service_behind_is_not_the_fault_of_whoever_calls():
    guard = guard_of({"name": "secret", "resource": "client GET intranet.example", "kind": "limit", "rate": "1/min"})

    def app(environ, start_response):
        with client_of(guard, Far()) as client:
            client.get("https://intranet.example/")
        return hello(environ, start_response)

    first, second = (serve(GuardMiddleware(app, guard)) for _ in range(2))
    assert ["200 OK", "503 Service Unavailable", "60"] == [first.status, second.status, second.headers["Retry-After"]]
    assert b"intranet" not in second.body
    assert b"secret" not in second.body


def test_without_a_guard_the_default_one_of_the_moment_decides():
    app = GuardMiddleware(hello)
    with substituted(rules=[ONCE]):
        assert ["200", "429"] == statuses(app, environ(), environ())
    with substituted():
        assert ["200", "200"] == statuses(app, environ(), environ())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trusted_proxy": []}, "GuardMiddleware has no option 'trusted_proxy'; did you mean 'trusted_proxies'?"),
        ({"trusted_proxies": ["10.0.0.0/33"]}, "trusted_proxies must list addresses and networks"),
        ({"headers": "ietf"}, "headers must be ietf-10, legacy, both or off, got 'ietf'"),
        ({"exempt": ["healthz"]}, "exempt: a path begins with a '/', got 'healthz'"),
        ({"user": "u1"}, "user must be a callable, got 'u1'"),
        ({"resource": 5}, "resource must be a text, such as 'shop', or a callable over the WSGI environ, got 5"),
        ({"user": lambda: "u1"}, "user must take one argument, the WSGI environ, got <function"),
        ({"metrics": ""}, "metrics must be a path that begins with a '/', such as '/metrics', got ''"),
        ({"app": None}, "app must be a WSGI app, got None"),
        ({"app": guard_of()}, "app must be a WSGI app, got a Guard; the app comes first: GuardMiddleware(app, guard)"),
        ({"on_refused": {}}, "on_refused must be a callable, got {}"),
        (
            {"guard": "rules.yaml"},
            "guard must be a Guard, such as Guard('rules/'), or None for the default one, got 'rules.yaml'",
        ),
    ],
)
def test_a_wrong_option_fails_when_the_middleware_is_built(options, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        GuardMiddleware(**{"app": hello, **options})
