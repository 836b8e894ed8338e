"""A wrong option fails when the middleware is built, and is named."""

import re

import pytest

from guardrail import Guard
from guardrail.adapters.asgi import GuardMiddleware
from guardrail.default import substituted
from tests.adapters.wire import hello


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trusted_proxy": []}, "GuardMiddleware has no option 'trusted_proxy'; did you mean 'trusted_proxies'?"),
        ({"on_refusal": None}, "GuardMiddleware has no option 'on_refusal'; did you mean 'on_refused'?"),
        ({"trusted_proxies": "10.0.0.1"}, "trusted_proxies must be a list of addresses and networks"),
        ({"trusted_proxies": 5}, "trusted_proxies must be a list of addresses and networks"),
        ({"trusted_proxies": ["10.0.0.0/33"]}, "trusted_proxies must list addresses and networks, such as 10.0.0.0/8"),
        ({"trusted_proxies": ["*"]}, "anybody could pretend to be anybody"),
        ({"headers": "ietf"}, "headers must be ietf-10, legacy, both or off, got 'ietf'; did you mean 'ietf-10'?"),
        ({"headers": None}, "headers must be ietf-10, legacy, both or off, got None"),
        ({"exempt": "/healthz"}, "exempt must be a list of paths, such as ['/healthz'], or a callable"),
        ({"exempt": [b"/healthz"]}, "exempt must list paths, such as '/healthz', got b'/healthz'"),
        ({"exempt": ["healthz"]}, "exempt: a path begins with a '/', got 'healthz'"),
        (
            {"exempt": ["get /healthz"]},
            "exempt: a method is one that names of calls have, such as GET, got 'get /healthz'",
        ),
        ({"exempt": [" /healthz"]}, "exempt: a method is one that names of calls have, such as GET, got ' /healthz'"),
        ({"exempt": ["HEAD /healthz"]}, "exempt: a method is one that names of calls have"),
        ({"exempt": ["/**/healthz"]}, "exempt: must have ** only as its last segment"),
        ({"user": "u1"}, "user must be a callable, got 'u1'"),
        ({"resource": 5}, "resource must be a text, such as 'shop', or a callable over the ASGI scope, got 5"),
        ({"resource": ""}, "resource must be a text, such as 'shop', or a callable over the ASGI scope, got ''"),
        ({"user": lambda: "u1"}, "user must take one argument, the ASGI scope, got <function"),
        ({"exempt": lambda scope, more: True}, "exempt must take one argument, the ASGI scope, got <function"),
        (
            {"on_refused": lambda refused: None},
            "on_refused must take two arguments, the ASGI scope and the refusal, got",
        ),
        ({"metrics": "metrics"}, "metrics must be a path that begins with a '/', such as '/metrics', got 'metrics'"),
        ({"metrics": True}, "metrics must be a path, such as '/metrics', or None, got True"),
        ({"app": None}, "app must be an ASGI app, got None"),
        ({"app": Guard()}, "app must be an ASGI app, got a Guard; the app comes first: GuardMiddleware(app, guard)"),
        ({"on_refused": {}}, "on_refused must be a callable, got {}"),
        (
            {"guard": "rules.yaml"},
            "guard must be a Guard, such as Guard('rules/'), or None for the default one, got 'rules.yaml'",
        ),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        GuardMiddleware(**{"app": hello, **options})


def test_the_environment_names_proxies_where_the_code_does_not(monkeypatch):
    monkeypatch.setenv("GUARDRAIL_TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.1 unix")
    GuardMiddleware(hello)
    monkeypatch.setenv("GUARDRAIL_TRUSTED_PROXIES", "10.0.0.0/8, nginx")
    with pytest.raises(ValueError, match="GUARDRAIL_TRUSTED_PROXIES must list addresses and networks.*got 'nginx'"):
        GuardMiddleware(hello)
    GuardMiddleware(hello, trusted_proxies=["10.0.0.0/8"])


def test_without_a_guard_the_default_one_of_the_moment_decides():
    app = GuardMiddleware(hello)
    with substituted() as guard:
        assert guard is app._guard()
    with Guard() as other:
        assert other is GuardMiddleware(hello, other)._guard()
