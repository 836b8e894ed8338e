"""Django: views are guarded under WSGI and ASGI, after routing, with the user that Django knows."""

import asyncio
import re

import pytest
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings

from guardrail.adapters.django import GuardMiddleware
from tests.adapters.django_project import BREAKER, IP, PER_USER, PLACES, current, somewhere, view
from tests.adapters.wire import PER_CLIENT, guard_of, inside


@pytest.fixture(params=["sync", "async"])
def get(request):
    """Ask for a path, under WSGI and ASGI."""

    def ask(path, user="", *, limited=""):
        client = (Client if request.param == "sync" else AsyncClient)(raise_request_exception=False)
        headers = {"X-User": user, "X-Limited": limited}
        if request.param == "sync":
            return client.get(path, headers=headers, **IP)

        async def run():
            response = await client.get(path, headers=headers, **IP)
            if response.streaming:
                response.got = b"".join([chunk async for chunk in response.streaming_content])
                response.close()
            return response

        return asyncio.run(run())

    ask.kind = request.param
    return ask


def guarding(*rules, **options):
    guard = current["guard"] = guard_of(*rules)
    current["seen"] = []
    return override_settings(GUARDRAIL={"guard": guard, **options})


def votes():
    snapshot = current["guard"].breakers["backend/GET"].snapshot()
    return snapshot.calls - snapshot.failures, snapshot.failures


def test_views_are_guarded(get):
    with guarding(PER_CLIENT):
        answers = [get("/hello/") for _ in range(3)]
    assert [200, 200, 429] == [answer.status_code for answer in answers]
    assert ['"per-client";r=1;t=30', "30"] == [answers[0]["RateLimit"], answers[2]["Retry-After"]]
    assert ["application/problem+json", ["per-client"]] == [
        answers[2]["Content-Type"],
        answers[2].json()["violated-policies"] if get.kind == "sync" else ["per-client"],
    ]


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        ("GET /v{version}/orders/{order}", "/v2/orders/17"),
        ("GET /v{version}/year/{year}/{var}.{var}", "/v2/year/2026/a.b"),
        ("GET /hello/", "/hello/"),
        ("unmatched", "/nowhere"),
    ],
)
def test_the_pattern_of_the_url_is_the_name(get, expected, path):
    with guarding():
        guard, names = current["guard"], []
        plan = guard._plan
        guard._plan = lambda name: (names.append(name), plan(name))[1]
        get(path)
    assert [expected] == names


def test_rules_may_ask_for_parts_of_the_path(get):
    with guarding({**PER_USER, "key": ["path.version", "path.order"]}):
        paths = ("/v1/orders/1", "/v1/orders/2", "/v2/orders/1", "/v1/orders/1")
        assert [200, 200, 200, 429] == [get(path).status_code for path in paths]


def test_rules_may_ask_for_the_user(get):
    with guarding({**PER_USER, "key": "user|client.ip"}):
        assert [200, 429, 200, 200, 429] == [get("/hello/", user).status_code for user in ("ann", "ann", "bob", "", "")]
    with guarding({**PER_USER, "key": "user.name"}):
        assert [200, 429] == [get("/hello/", "ann").status_code for _ in range(2)]


def test_a_user_is_loaded_only_if_a_rule_asks_for_it(get):
    current["loads"] = 0
    with guarding(PER_CLIENT):
        get("/hello/", "ann")
    assert current["loads"] == 0
    with guarding({**PER_CLIENT, "key": "client.ip", "when": {"user.name": "ann"}}):
        get("/hello/", "ann")
    assert current["loads"] == (get.kind == "async")


def test_a_user_may_come_from_a_hook(get):
    with guarding(PER_USER, user=lambda request: request.headers["X-User"][:1]):
        assert [200, 429] == [get("/hello/", user).status_code for user in ("ann", "abe")]


def test_what_gets_no_view_is_limited_too(get):
    with guarding({**PER_CLIENT, "rate": "1/min"}):
        assert [404, 429] == [get("/nowhere").status_code for _ in range(2)]


@pytest.mark.parametrize(
    ("expected", "path"), [((1, 0), "/hello/"), ((1, 0), "/async/"), ((0, 1), "/failing/"), ((1, 0), "/nowhere")]
)
def test_the_breaker_hears_how_it_went(get, expected, path, caplog):
    with guarding(BREAKER, PLACES):
        get(path)
        assert [expected, 0] == [votes(), inside(current["guard"], "places")]


def test_an_error_can_be_ignored_by_its_name(get):
    with guarding({**BREAKER, "ignore": ["KeyError"]}):
        get("/failing/")
        assert votes() == (0, 0)


def test_a_refusal_that_a_view_lets_escape_is_answered_and_no_vote(get):
    with guarding(BREAKER, {**PER_CLIENT, "resource": "inner", "rate": "1/min"}):
        answers = [get("/limited/") for _ in range(3)]
        assert [200, 429, 429] == [answer.status_code for answer in answers]
        assert ['"per-client";r=0;t=60', "60"] == [answers[1]["RateLimit"], answers[1]["Retry-After"]]
        assert votes() == (1, 0)


OURS = "guardrail.adapters.django.GuardMiddleware"
HERE = "tests.adapters.django_project"
ROOMS = {**PLACES, "resource": "* /**"}
INNER = {"rate": "1/min", "key": "client.ip", "name": "inner"}


def among(*names):
    """Stand before others of these names."""
    return override_settings(MIDDLEWARE=[OURS, *(f"{HERE}.{name}" for name in names)])


def limits_of_their_own():
    current["limit"] = current["guard"].limit(**INNER)(lambda: None)


@pytest.mark.parametrize("where", ["before", "behind", "view"])
def test_a_refusal_that_another_middleware_lets_escape_is_answered_and_no_vote(get, where, caplog):
    """Django makes a page for it, at every level, before ours sees it."""
    with guarding(BREAKER, ROOMS), among("authenticating", "limiting", "authenticating", "Looking"):
        limits_of_their_own()
        answers = [get("/hello/", limited=where) for _ in range(3)]
        assert [200, 429, 429] == [answer.status_code for answer in answers]
        assert ["60", '"inner/limit";r=0;t=60'] == [answers[1]["Retry-After"], answers[1]["RateLimit"]]
        assert answers[1]["Content-Type"] == "application/problem+json"
        assert [(1, 0), 0] == [votes(), inside(current["guard"], "places", "GET /hello/")]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_such_a_request_enters_the_rules_all_the_same(get):
    with guarding({**PER_CLIENT, "resource": "* /**"}), among("limiting"):
        limits_of_their_own()
        answers = [get("/hello/", limited="before") for _ in range(3)]
    assert ["rule 'inner/limit'", "rule 'per-client'"] == [
        re.search("rule '[^']*'", one.content.decode())[0] for one in answers[1:]
    ]


def test_on_refused_makes_that_answer_too(get):
    with guarding(on_refused=lambda *_: HttpResponse("mine", status=420)), among("limiting"):
        limits_of_their_own()
        assert [200, 420] == [get("/hello/", limited="before").status_code for _ in range(2)]


def test_another_middleware_may_have_an_answer_of_its_own_to_it(get):
    with guarding(BREAKER), among("Apologizing", "limiting"):
        limits_of_their_own()
        answers = [get("/hello/", limited="before") for _ in range(2)]
        assert [200, 418, "60"] == [*(answer.status_code for answer in answers), answers[1]["Retry-After"]]
        assert votes() == (1, 0)


@pytest.mark.parametrize(("expected", "others"), [((0, 1), []), ((1, 0), ["Apologizing"])])
def test_an_error_that_another_middleware_has_an_answer_to_is_no_failure(get, expected, others):
    with guarding({**BREAKER, "failures": ["KeyError"]}), among(*others):
        get("/failing/")
        assert expected == votes()


@pytest.mark.parametrize(("expected", "ignored"), [((0, 1), []), ((0, 0), ["LookupError"])])
def test_an_error_of_another_middleware_is_a_failure_by_its_name(get, expected, ignored, caplog):
    def stumble():
        raise KeyError("no")

    with guarding({**BREAKER, "ignore": ignored}), among("limiting"):
        current["limit"] = stumble
        assert get("/hello/", limited="behind").status_code == 500
        assert expected == votes()
    assert [record for record in caplog.records if record.levelname == "ERROR"]


def test_an_error_that_follows_a_refusal_is_an_error(get):
    """The page of the second is not taken for that of the first."""
    with guarding(BREAKER), among("Stumbling", "limiting"):
        limits_of_their_own()
        assert [200, 500] == [get("/hello/", limited="before").status_code for _ in range(2)]
        assert votes() == (1, 1)


def test_a_group_of_refusals_is_answered_as_the_one_that_lasts_longest(get):
    with guarding(BREAKER):
        limits_of_their_own()
        answers = [get("/gathered/") for _ in range(2)]
        assert [200, 429, "60"] == [*(answer.status_code for answer in answers), answers[1]["Retry-After"]]
        assert votes() == (1, 0)


def test_a_refusal_is_answered_where_django_lets_errors_through(get):
    with guarding(BREAKER), among("limiting"), override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True):
        limits_of_their_own()
        assert [200, 429] == [get("/hello/", limited="before").status_code for _ in range(2)]
        assert votes() == (1, 0)


def test_a_stream_holds_its_place(get):
    with guarding(PLACES, BREAKER):
        response = get("/astream/" if get.kind == "async" else "/stream/")
        got = b"".join(response.streaming_content) if get.kind == "sync" else response.got
        assert [b"xx", [1, 1], 0, (1, 0)] == [got, current["seen"], inside(current["guard"], "places"), votes()]


def test_a_stream_that_is_closed_in_the_middle_casts_no_vote():
    with guarding(PLACES, BREAKER):
        response = Client().get("/stream/", **IP)
        next(iter(response.streaming_content))
        response.close()
        assert [0, (0, 0)] == [inside(current["guard"], "places"), votes()]


def test_exempt_paths_are_free(get):
    with guarding(PLACES), current["guard"].enter("x"):
        assert [200, 503] == [get(path).status_code for path in ("/healthz", "/hello/")]


def test_on_refused_makes_the_answer(get):
    for hook, status in (
        (lambda *_: HttpResponse("mine", status=420), 420),
        (lambda *_: None, 429),
        (lambda *_: 1 / 0, 429),
    ):
        with guarding({**PER_CLIENT, "rate": "1/min"}, on_refused=hook):
            answer = [get("/hello/"), get("/hello/")][1]
        assert [status, '"per-client";r=0;t=60', "60"] == [
            answer.status_code,
            answer["RateLimit"],
            answer["Retry-After"],
        ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"header": "off"}, "GUARDRAIL has no option 'header'; did you mean 'headers'?"),
        ({"guard": 5}, "GUARDRAIL: guard must be a Guard, or where one is found, got 5"),
        ({"guard": "tests.adapters.django_project.view"}, "got <function view"),
        ({"guard": "tests.adapters.django_project.nothing"}, 'does not define a "nothing" attribute'),
        (
            {"guard": "rules/"},
            "GUARDRAIL: guard must be a Guard, or where one is found, such as 'shop.guarding.guard', got 'rules/'",
        ),
        (somewhere, "GUARDRAIL must be a dict, got <guardrail.guard.Guard"),
        ("rules/", "GUARDRAIL must be a dict, got 'rules/'"),
        ({"headers": True}, "GUARDRAIL: headers must be ietf-10"),
        ({"user": 5}, "GUARDRAIL: user must be a callable, got 5"),
        ({"user": lambda: 5}, "GUARDRAIL: user must take one argument, the request, got"),
        ({"metrics": "metrics"}, "GUARDRAIL: metrics must be a path that begins with a '/'"),
    ],
)
def test_a_wrong_setting_fails_when_django_starts(given, message):
    with (
        override_settings(GUARDRAIL=given),
        pytest.raises((TypeError, ValueError, ImportError), match=re.escape(message)),
    ):
        GuardMiddleware(view)


def test_a_guard_may_be_named_by_where_it_is():
    current["guard"] = guard_of()
    with override_settings(GUARDRAIL={"guard": "tests.adapters.django_project.somewhere"}):
        assert GuardMiddleware(view)._guard() is somewhere


@pytest.mark.parametrize("made", [{}, "no", 5])
def test_an_answer_that_is_none_is_the_usual_one(get, made):
    with guarding({**PER_CLIENT, "rate": "1/min"}, on_refused=lambda request, refused: made):
        assert [200, 429] == [get("/hello/").status_code for _ in range(2)]


@pytest.mark.parametrize("is_authenticated", [property(lambda _: 1 / 0), None])
def test_a_user_who_cannot_be_loaded_is_missing(get, monkeypatch, is_authenticated):
    members = {"__init__": lambda self, name: None, "is_authenticated": is_authenticated}
    if is_authenticated is None:
        del members["is_authenticated"]
    monkeypatch.setattr("tests.adapters.django_project.User", type("Away", (), members))
    with guarding(PER_USER):
        assert [200, 429] == [get("/hello/").status_code for _ in range(2)]
