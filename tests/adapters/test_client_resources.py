"""What an outgoing request is called, and what rules may look at of it."""

import pytest

from guardrail import Guard
from guardrail.adapters.clients.holds import MOST_HELD, Holds
from guardrail.adapters.clients.resources import Naming, Outgoing


def outgoing(url, method="GET", headers=None, user=None):
    return Outgoing(f"{method} {url}", method, url, headers or {}, user)


def name_of(url, method="GET", resource=None, rules=()):
    with Guard([{"resource": text, "kind": "limit", "rate": "1/s"} for text in rules]) as guard:
        return Naming(resource).name_of(outgoing(url, method), guard)


#   method, URL, resource
NAMES = [
    ("GET", "https://api.example.com/v1/orders/17?page=2", "client GET api.example.com"),
    ("post", "https://API.Example.com", "client POST api.example.com"),
    ("HEAD", "https://api.example.com.", "client GET api.example.com"),
    ("BREW", "https://api.example.com/", "client OTHER api.example.com"),
    ("GET", "https://user:secret@api.example.com:443/", "client GET api.example.com"),
    ("GET", "http://api.example.com:80/", "client GET api.example.com"),
    ("GET", "http://api.example.com:443/", "client GET api.example.com:443"),
    ("GET", "http://localhost:8080/", "client GET localhost:8080"),
    ("GET", "http://[2001:DB8::1]:8080/", "client GET [2001:db8::1]:8080"),
    ("GET", "http+unix:///run/app.sock", "client GET unknown"),
    ("GET", "http://api.example.com:92129/", "client GET unknown"),
    ("GET", "http://[1 @/", "client GET unknown"),
    ("GET", "", "client GET unknown"),
]


@pytest.mark.parametrize(("method", "url", "name"), NAMES)
def test_a_request_is_called_by_its_method_and_host(method, url, name):
    assert name == name_of(url, method)


#   resources of rules, what http://localhost:8080 is called
PORTS = [
    ([], "client GET localhost:8080"),
    (["client GET localhost"], "client GET localhost"),
    (["client GET localhost", "**"], "client GET localhost"),
    (["client GET localhost", "client GET localhost:8080"], "client GET localhost:8080"),
    (["client GET localhost:*"], "client GET localhost:8080"),
    (["client * **"], "client GET localhost:8080"),
]


@pytest.mark.parametrize(("rules", "name"), PORTS)
def test_the_port_is_left_out_where_the_rules_leave_it_out(rules, name):
    assert name == name_of("http://localhost:8080/", rules=rules)


PATTERNS = {
    "https://api.example.com/v1/orders/*": "/v1/orders/{id}",
    "POST api.example.com/v1/**": "client writes",
    "api.example.com/v1/**": "client reads",
    "*.internal": "client internal",
    "localhost:8080": "client sidecar",
    "https://pay.example.com:443": "client pay",
    "[2001:db8::1]": "client six",
}

#   method, URL, resource
TEMPLATES = [
    ("GET", "https://api.example.com/v1/orders/17?x=1", "client GET api.example.com/v1/orders/{id}"),
    ("POST", "https://api.example.com/v1/orders/17", "client POST api.example.com/v1/orders/{id}"),
    ("POST", "http://api.example.com/v1/orders/17", "client writes"),
    ("POST", "https://api.example.com/v1/users", "client writes"),
    ("GET", "https://api.example.com/v1", "client reads"),
    ("GET", "https://api.example.com/v2", "client GET api.example.com"),
    ("GET", "https://db.internal", "client internal"),
    ("GET", "https://db.internal:8443/", "client internal"),
    ("GET", "https://pay.example.com/", "client pay"),
    ("GET", "https://pay.example.com:8443/", "client GET pay.example.com:8443"),
    ("GET", "http://[2001:db8::1]:8080/", "client six"),
    ("GET", "http+unix:///run/app.sock", "client GET unknown"),
    ("GET", "http://localhost:8080/any/thing", "client sidecar"),
    ("GET", "http://localhost:8081/any/thing", "client GET localhost:8081"),
]


@pytest.mark.parametrize(("method", "url", "name"), TEMPLATES)
def test_the_first_url_pattern_that_matches_names_the_template(method, url, name):
    assert name == name_of(url, method, PATTERNS)


def test_a_callable_names_a_request_or_leaves_it_to_the_default():
    assert "orders" == name_of("https://api.example.com/", resource=lambda request: "orders")
    assert "client GET api.example.com" == name_of("https://api.example.com/", resource=lambda request: None)


def nameless(request):
    """A hook that leaves it to the default."""
    return ""


@pytest.mark.parametrize("hook", [lambda request: 3, lambda request: 1 / 0, nameless])
def test_a_hook_without_a_name_leaves_it_to_the_default(hook, caplog):
    assert ["client GET api.example.com"] * 2 == [name_of("https://api.example.com/", resource=hook) for _ in range(2)]
    levels = [(record.name, record.levelname) for record in caplog.records]
    assert levels == ([("guardrail.clients", "WARNING")] if hook is not nameless else [])


def test_attributes_are_made_when_they_are_asked_for():
    made = outgoing("https://api.example.com:8443/v1/a%20b?q=1&q=2&empty=", "PUT", {"x-tenant": "acme"}, lambda _: "u1")
    everything = {
        "method": "PUT",
        "host": "api.example.com",
        "path": "/v1/a%20b",
        "user": "u1",
        "header.x-tenant": "acme",
        "query.q": "2",
        "query.empty": "",
    }
    assert everything == dict(made)
    assert 7 == len(made)
    missing = ["cookie.a", "arg.a", "user.name", "path.id", "client.ip", ""]
    assert [None] * 6 == [made.get(name) for name in missing]
    assert "cookie.a" not in made
    assert None is outgoing("https://api.example.com/").get("user")


def test_a_header_or_a_part_of_the_query_that_is_not_there_is_empty():
    made = outgoing("https://api.example.com/")
    assert ["", ""] == [made.get(name) for name in ("header.x-other", "query.other")]


def test_a_query_of_endless_fields_is_none():
    assert "" == outgoing("https://api.example.com/?" + "a=1&" * 2000).get("query.a")


def test_memory_is_bounded_however_many_resources_are_held_back():
    holds = Holds()
    for number in range(MOST_HELD + 10):
        holds.hold(f"client GET host-{number}", 60, "Retry-After", 0)
    assert MOST_HELD == len(holds.held)
    assert None is holds.find("client GET host-0", 0)
    assert holds.find(f"client GET host-{MOST_HELD}", 0)


def test_holds_whose_time_is_up_make_room_first():
    holds = Holds()
    for number in range(MOST_HELD):
        holds.hold(f"client GET host-{number}", 60 if number % 2 else 10, "Retry-After", 0)
    holds.hold("client GET new", 60, "Retry-After", 20)
    assert MOST_HELD - 1 == len(holds.held)
    assert holds.find("client GET host-1", 20)


def test_a_longer_hold_replaces_a_shorter_one_and_not_the_other_way():
    holds = Holds()
    for wait_us in (10, 60, 20):
        holds.hold("client GET host", wait_us, "Retry-After", 0)
    assert 60 == holds.find("client GET host", 0).until_us
