"""Why a rule is not asked is said so that one can do something about it."""

import pytest

from guardrail import RuleSet
from guardrail.cli.question import Question
from guardrail.cli.silence import silent

LIMIT = {"kind": "limit", "rate": "1/s"}

#   rule                                             asked about             why it is silent
ROWS = [
    ({"resource": "a.b"}, "a.c", ["resource: it is about a.b"]),
    ({"resource": ["a", "b.*"]}, "c", ["resource: it is about a or b.*"]),
    ({"resource": "Orders.Create"}, "orders.create", ["resource: it is about Orders.Create; case counts"]),
    ({"resource": "POST /v1/**"}, "/v1/x", ["resource: it is about POST /v1/**; did you mean 'POST /v1/x'?"]),
    ({"resource": "* /v1/{id}"}, "/v1/7", ["resource: it is about * /v1/{id}; did you mean 'GET /v1/7'?"]),
    ({"resource": "GET /v1/a"}, "GET /v1/a/", ["resource: it is about GET /v1/a; did you mean 'GET /v1/a'?"]),
    ({"resource": "a.*", "except": ["a.x", "a.b"]}, "a.b", ["except: it leaves out a.b"]),
    ({"resource": "a", "mode": "off"}, "a", ["mode: off"]),
    ({"resource": "a", "when": {"plan": "free"}}, "a", ["when: plan must be free, and it is pro"]),
    ({"resource": "a", "when": {"plan": ["!pro", "!gold"]}}, "a", ["when: plan must not be pro or gold, and it is"]),
    ({"resource": "a", "when": {"plan": ""}}, "a", ["when: plan must be '', and it is pro"]),
    ({"resource": "a", "when": {"blank": "x"}}, "a", ["when: blank must be x, and it is ' '"]),
    ({"resource": "a", "when": {"resource": "b"}}, "a", ["when: resource must be b, and it is a"]),
    (
        {"resource": "a", "when": {"tenant": ["big one", "b"]}},
        "a",
        ["when: tenant must be big one or b, and the call has none; add --attr 'tenant=big one'"],
    ),
    (
        {"resource": "a.*", "except": "a.b", "mode": "off", "when": {"plan": "free", "user": "u1"}},
        "a.b",
        [
            "except: it leaves out a.b",
            "mode: off",
            "when: plan must be free, and it is pro",
            "when: user must be u1, and the call has none; add --attr user=u1",
        ],
    ),
]


@pytest.mark.parametrize(("rule", "resource", "why"), ROWS)
def test_the_reasons(rule, resource, why):
    (parsed,) = RuleSet.parse([LIMIT | rule])
    found = silent(parsed, Question(resource, {"plan": "pro", "blank": " "}))
    assert why == list(found.why)
    assert found.fits == (not why[0].startswith("resource:"))
