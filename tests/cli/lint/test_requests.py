"""What is written like the name of a request, and is none, is found and put right."""

import pytest

from guardrail.cli.lint.requests import misnamed
from tests.cli.lint.scene import LIMIT, found

#   the name                            what to write
MISNAMED = [
    ("get /orders", "'GET /orders'"),
    ("GETT /orders", "'GET /orders'"),
    ("HEAD /orders", "'GET /orders'; when: {method: HEAD} tells the two apart"),
    ("head /orders", "'GET /orders'"),
    ("PURGE /cache/**", "'OTHER /cache/**'"),
    ("GET,POST /orders", '["GET /orders", "POST /orders"]'),
    ("get|head /orders", '["GET /orders", "GET /orders"]'),
    ("GET orders", "'GET /orders'"),
    ("GET orders/{id}", "'GET /orders/{id}'"),
    ("GET **", "'GET /**'"),
    ("GET /orders?page=1", "'GET /orders', and when: {query.page: ...}"),
    ("* /orders?", "'* /orders', and when: {query.page: ...}"),
    ("GET /orders/<int:id>/lines/<line>", "'GET /orders/{id}/lines/{line}'"),
    ("GET /orders/:id", "'GET /orders/{id}'"),
    ("client get api.example.com", "'client GET api.example.com'"),
    ("client HEAD api.example.com", "'client GET api.example.com'"),
]


@pytest.mark.parametrize(("text", "right"), MISNAMED)
def test_what_is_written_like_a_request_and_is_none_is_put_right(text, right):
    name = misnamed(text)
    assert name is not None
    assert name.advice.partition("write ")[2].removeprefix("a list: ").startswith(right)


def test_a_path_without_a_method_is_found_beside_those_that_have_one(tmp_path):
    named = LIMIT | {"resource": "GET /v2/**"}
    for text in "/v1/orders/{id}", "/orders", "/v1/orders/{id}/**":
        assert [("rule 0", "no-such-request")] == found(tmp_path, LIMIT | {"resource": text}, named)
        assert [] == found(tmp_path, LIMIT | {"resource": text})  # they may be called anything
    for text in "/shop.Orders/Create", "/shop.Orders/*", "/shop.Orders/**", "/**":
        assert [] == found(tmp_path, LIMIT | {"resource": text}, named)


def test_a_rule_of_which_only_a_part_is_misnamed_is_judged_for_the_rest(tmp_path):
    rule = LIMIT | {"resource": ["GET /a", "HEAD /a"], "key": "header.x"}
    assert [("rule 0", "no-such-request"), ("rule 0", "unbounded-key")] == sorted(found(tmp_path, rule))
    assert [("rule 0", "no-such-request")] == found(tmp_path, rule | {"resource": ["HEAD /a"]})


def test_a_rule_with_a_mistake_in_an_exception_still_holds_others(tmp_path):
    floor = LIMIT | {"resource": "* /**", "except": "get /health", "key": "client.ip"}
    tenants = LIMIT | {"resource": "GET /v1/**", "key": "header.x-tenant"}
    assert [("rule 0", "no-such-request")] == found(tmp_path, floor, tenants)
