"""httpx and httpx2: transports that let requests out by the rules, over a far side that is no network."""

from pathlib import Path

import httpx
import pytest

from guardrail import BreakerOpen, Guard, RateLimited, attributes
from guardrail.adapters import httpx as ours
from guardrail.adapters import httpx2 as ours2
from guardrail.default import substituted
from guardrail.testing import FakeClock
from tests.adapters.client_fakes import HEALTH, NOW, Far, client_of

QUOTA = {"name": "quota", "resource": "client GET api.example.com", "kind": "limit", "rate": "2/min"}


@pytest.fixture
def clock():
    return FakeClock(NOW * 1_000_000)


def test_a_limit_counts_calls_to_its_host_and_a_refused_one_never_reaches_it(clock):
    far = Far()
    with Guard([QUOTA], clock=clock) as guard, client_of(guard, far) as client:
        for path in "ab":
            assert 200 == client.get(f"https://api.example.com/{path}").status_code
        with pytest.raises(RateLimited) as caught:
            client.get("https://api.example.com/c")
        assert ("client GET api.example.com", "quota", 30.0) == (
            caught.value.resource,
            caught.value.rule,
            caught.value.retry_after,
        )
        assert 200 == client.get("https://other.example.com/").status_code
        assert 200 == client.post("https://api.example.com/").status_code
        assert ["https://api.example.com/a", "https://api.example.com/b"] == far.seen[:2]
        assert 4 == len(far.seen)


def test_what_becomes_of_a_url_that_is_none_is_left_to_what_sends_it():
    with Guard([{**QUOTA, "resource": "client GET unknown"}]) as guard, client_of(guard, Far()) as client:
        assert [200, 200] == [client.get("http://api.example.com:92129/").status_code for _ in range(2)]
        with pytest.raises(RateLimited):
            client.get("http://api.example.com:92129/")


def test_a_rule_may_wait(clock):
    rule = {**QUOTA, "rate": "1/s", "max_wait": "5s"}
    with Guard([rule], clock=clock) as guard, client_of(guard, Far()) as client:
        for _ in range(3):
            client.get("https://api.example.com/")
        assert (NOW + 2) * 1_000_000 == clock.now_us()


def test_without_a_guard_the_default_one_counts(clock):
    with httpx.Client(transport=ours.GuardTransport(httpx.MockTransport(Far()))) as client:
        with substituted(rules=[QUOTA], clock=clock):
            for _ in range(2):
                client.get("https://api.example.com/")
            with pytest.raises(RateLimited):
                client.get("https://api.example.com/")
        with substituted(clock=clock):
            assert 200 == client.get("https://api.example.com/").status_code


def test_guard_and_transport_may_change_places(clock):
    with Guard([QUOTA], clock=clock) as guard:
        transport = ours.GuardTransport(guard, httpx.MockTransport(Far()))
        with httpx.Client(transport=transport) as client:
            for _ in range(2):
                client.get("https://api.example.com/")
            with pytest.raises(RateLimited):
                client.get("https://api.example.com/")


def test_each_hop_of_a_redirect_counts(clock):
    far = Far((302, {"Location": "/next"}), (302, {"Location": "/last"}))
    with Guard([QUOTA], clock=clock) as guard, client_of(guard, far) as client:
        with pytest.raises(RateLimited):
            client.get("https://api.example.com/", follow_redirects=True)
        assert 2 == len(far.seen)


def test_rules_look_at_headers_query_and_user(clock):
    rule = {**QUOTA, "rate": "1/min", "key": ["header.x-tenant", "query.page", "user", "method", "host", "path"]}
    options = {"user": lambda request: request.headers.get("x-user")}
    with Guard([rule], clock=clock) as guard, client_of(guard, Far(), **options) as client:
        url = "https://api.example.com/v1"
        client.get(url)
        client.get(url, headers={"X-Tenant": "acme"})
        client.get(url, headers={"X-Tenant": "acme", "X-User": "u1"})
        client.get(f"{url}?page=3&page=2")
        client.get(f"{url}?page=3")
        client.get(f"{url}/orders")
        for again in (url, f"{url}?page=2", f"{url}/orders"):
            with pytest.raises(RateLimited):
                client.get(again)
        with pytest.raises(RateLimited):
            client.get(url, headers={"X-Tenant": "acme", "X-User": "u1"})


def test_a_user_hook_that_fails_means_no_user(clock, caplog):
    rule = {**QUOTA, "rate": "1/min", "key": "user"}
    with Guard([rule], clock=clock) as guard, client_of(guard, Far(), user=lambda request: 1 / 0) as client:
        client.get("https://api.example.com/")
        with pytest.raises(RateLimited):
            client.get("https://api.example.com/")
        with pytest.raises(RateLimited):
            client.get("https://api.example.com/")
    assert [("guardrail.clients", "WARNING")] == [(record.name, record.levelname) for record in caplog.records]
    assert "<lambda>" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_an_answer_of_500_and_an_error_are_failures_and_a_429_is_none(clock):
    for answer, opens in [((500, {}), True), ((429, {}), False), ((404, {}), False), ((503, {}), True)]:
        with Guard([HEALTH], clock=clock) as guard, client_of(guard, Far(answer)) as client:
            client.get("https://api.example.com/")
            if opens:
                with pytest.raises(BreakerOpen):
                    client.get("https://api.example.com/")
            else:
                client.get("https://api.example.com/")


def test_a_rule_may_judge_a_status_by_itself(clock):
    rule = {**HEALTH, "failures": ["http.429"]}
    with Guard([rule], clock=clock) as guard, client_of(guard, Far((500, {}), (429, {}))) as client:
        client.get("https://api.example.com/")
        client.get("https://api.example.com/")
        with pytest.raises(BreakerOpen):
            client.get("https://api.example.com/")


#   options, what is raised, what it says
WRONG = [
    (
        {"hold": "retry_after"},
        ValueError,
        "hold must be all, retry-after or off, got 'retry_after'; did you mean 'retry-after'",
    ),
    ({"hold": True}, ValueError, "hold must be"),
    ({"max_hold": "5 parsecs"}, ValueError, "max_hold must"),
    ({"max_hold": 0}, ValueError, "max_hold must be more than 0"),
    ({"max_hold": "-5s"}, ValueError, "max_hold must not be negative"),
    ({"guard": "rules/"}, TypeError, "GuardTransport takes a transport and a Guard, got 'rules/'$"),
    ({"transport": "rules/"}, TypeError, "GuardTransport takes a transport and a Guard, got 'rules/'$"),
    ({"user": "u1"}, TypeError, "user must be a callable"),
    ({"user": lambda: "u1"}, TypeError, "user must take one argument, the request, got <function <lambda>"),
    ({"resource": lambda method, url: "orders"}, TypeError, "resource must take one argument, the request, got"),
    (
        {"resource": 5},
        TypeError,
        "resource must be a name, a callable over the request, or a mapping of URL patterns, got 5",
    ),
    ({"resource": ""}, TypeError, "resource must be a name"),
    (
        {"resource": {"/v1/orders/*": "/v1/orders/{id}"}},
        ValueError,
        r"resource: a URL pattern begins with a host, such as api.example.com/v1/\*, got '/v1/orders/\*'",
    ),
    ({"resource": {"GET https:///v1": "/v1"}}, ValueError, "a URL pattern begins with a host"),
    ({"resource": {"api.example.com/**/x": "orders"}}, ValueError, r"resource: a URL pattern must have \*\* only"),
    ({"resource": {"": "orders"}}, TypeError, "resource must map URL patterns"),
    ({"resource": {"api.example.com": 3}}, TypeError, "resource must map URL patterns"),
    ({"transport": 3}, TypeError, "GuardTransport takes a transport and a Guard, got 3$"),
    ({"max_hodl": "5m"}, TypeError, "^(Async)?GuardTransport has no option 'max_hodl'; did you mean 'max_hold'"),
    ({"transprot": None}, TypeError, "GuardTransport has no option 'transprot'; did you mean 'transport'"),
]


@pytest.mark.parametrize(("options", "error", "text"), WRONG)
@pytest.mark.parametrize("transport", [ours.GuardTransport, ours.AsyncGuardTransport, ours2.GuardTransport])
def test_a_wrong_option_fails_at_once_by_its_name(transport, options, error, text):
    with pytest.raises(error, match=text):
        transport(**options)


def test_the_twins_read_alike():
    """What is written twice says the same of both."""
    text, twin = (Path(module.__file__).read_text(encoding="utf-8") for module in (ours, ours2))
    assert text == twin.replace("httpx2, the fork of httpx that pydantic keeps", "httpx").replace("httpx2", "httpx")


def test_a_transport_of_the_other_kind_is_refused():
    with pytest.raises(TypeError, match="takes a transport and a Guard, got .*; for that there is AsyncGuardTransport"):
        ours.GuardTransport(httpx.AsyncHTTPTransport())
    with pytest.raises(TypeError, match="takes a transport and a Guard, got .*; for that there is GuardTransport"):
        ours.AsyncGuardTransport(httpx.HTTPTransport())


def test_there_is_one_transport_and_one_guard():
    far = httpx.MockTransport(Far())
    with Guard() as guard:
        for pair in [(guard, guard), (far, far)]:
            with pytest.raises(TypeError, match="GuardTransport takes a transport and a Guard, got .* and "):
                ours.GuardTransport(*pair)


def test_one_name_may_stand_for_all_requests(clock):
    with Guard([{**QUOTA, "resource": "payments"}], clock=clock) as guard:
        with client_of(guard, Far(), resource="payments") as client:
            client.get("https://api.example.com/")
            client.post("https://other.example.com/")
            with pytest.raises(RateLimited) as caught:
                client.get("https://api.example.com/")
    assert "payments" == caught.value.resource


def test_users_of_whom_rules_name_a_part_are_told_apart(clock):
    asked = []

    def who(request):
        asked.append(request.headers["x-user"])
        return {"id": asked[-1], "plan": {"name": "gold"}}

    rules = [{**QUOTA, "name": key, "rate": "1/min", "key": ["user.id", key]} for key in ("user", "user.plan.name")]
    with Guard(rules, clock=clock) as guard, client_of(guard, Far(), user=who) as client:
        for user in ("ann", "bob"):
            assert 200 == client.get("https://api.example.com/", headers={"x-user": user}).status_code
        with pytest.raises(RateLimited):
            client.get("https://api.example.com/", headers={"x-user": "ann"})
    assert ["ann", "bob", "ann"] == asked


def test_what_a_request_lacks_is_not_that_of_the_request_served_around_it(clock):
    """But who is served there counts where the call itself does not say."""
    for key, is_shared in [("header.authorization", True), ("query.page", True), ("user", False), ("client.ip", False)]:
        rule = {**QUOTA, "rate": "1/min", "key": key}
        with Guard([rule], clock=clock) as guard, client_of(guard, Far()) as client:
            with attributes({key: "ann"}):
                client.get("https://api.example.com/")
            with attributes({key: "bob"}):
                if is_shared:
                    with pytest.raises(RateLimited):
                        client.get("https://api.example.com/")
                else:
                    client.get("https://api.example.com/")


@pytest.mark.parametrize("resource", ["payments", None, "client GET api.example.com"])
def test_a_refusal_says_that_it_was_a_call_of_this_service(clock, resource):
    rules = [{**QUOTA, "resource": "**", "rate": "1/min"}]
    with Guard(rules, clock=clock) as guard, client_of(guard, Far(), resource=resource) as client:
        client.get("https://api.example.com/")
        with pytest.raises(RateLimited) as caught:
            client.get("https://api.example.com/")
        assert caught.value.is_outgoing
        assert not guard.try_enter(caught.value.resource).refusal().is_outgoing
