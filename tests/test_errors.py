"""One tree of errors; each says what, which and what next, as attributes and as text, and can be sent to other processes."""

import copy
import pickle

import pytest

from guardrail import errors
from guardrail.core.verdict import Decision, Verdict
from guardrail.errors import (
    BreakerOpen,
    BulkheadFull,
    GuardrailError,
    Problem,
    RateLimited,
    Refused,
    RuleError,
    StoreError,
)

DECISION = Decision.of(
    (
        Verdict("calls", "limit", allowed=True, limit=9, remaining=3),
        Verdict("per-user", "limit", allowed=False, reason="rate", limit=100, retry_after=1.24, text="100/min"),
    )
)
REFUSALS = [Refused, RateLimited, BreakerOpen, BulkheadFull]


def tree(kind, depth=0):
    """The names below a class, with how deep they stand."""
    yield depth, kind.__name__
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below, depth + 1)


def test_the_tree_is_as_drawn_at_the_top_of_the_file():
    drawn = []
    for line in errors.__doc__.split("\n\n")[1].splitlines():
        name = line.lstrip("│├└─ ").split()[0]
        drawn.append((line.index(name) // len("├── "), name))
    assert drawn == list(tree(GuardrailError))
    assert issubclass(RuleError, ValueError)


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_says_which_rule_why_and_when_to_come_back(kind):
    refused = kind("orders.create", DECISION)
    assert ("orders.create", DECISION) == (refused.resource, refused.decision)
    assert ("per-user", "limit", "rate", 1.24) == (refused.rule, refused.kind, refused.reason, refused.retry_after)
    assert "orders.create: 100/min exceeded by rule 'per-user'; retry after 1.24 s" == str(refused)


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_refusal_survives_pickling(kind, protocol):
    refused = kind("orders.create", DECISION)
    again = pickle.loads(pickle.dumps(refused, protocol))
    assert (kind, str(refused), DECISION, "orders.create") == (type(again), str(again), again.decision, again.resource)
    assert str(refused) == str(pickle.loads(pickle.dumps(again)))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_refusal_can_be_copied(copied):
    again = copied(RateLimited("orders.create", DECISION))
    assert (RateLimited, DECISION) == (type(again), again.decision)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda refused: pickle.loads(pickle.dumps(refused))])
@pytest.mark.parametrize("is_outgoing", [False, True])
def test_a_copy_knows_whether_it_was_a_call_of_this_service_that_was_refused(copied, is_outgoing):
    refused = RateLimited("orders.create", DECISION)
    assert not refused.is_outgoing
    refused.is_outgoing = is_outgoing
    assert is_outgoing is copied(refused).is_outgoing


PROBLEMS = [
    (Problem("burst must be at least 1, got 0"), "burst must be at least 1, got 0"),
    (Problem("no rules", "rules/"), "rules/: no rules"),
    (Problem("burst must be ...", "api.yaml", 14, 9), "api.yaml:14:9: burst must be ..."),
    (
        Problem("burst must be ...", "api.yaml", 14, 9, "  burst: 0"),
        "api.yaml:14:9: burst must be ...\n      burst: 0",
    ),
]


@pytest.mark.parametrize(("problem", "text"), PROBLEMS)
def test_a_problem_stands_where_it_is(problem, text):
    assert text == str(problem)


def test_a_rule_error_lists_every_problem():
    error = RuleError(problem for problem, _ in PROBLEMS)
    assert tuple(problem for problem, _ in PROBLEMS) == error.problems
    assert "\n".join(text for _, text in PROBLEMS) == str(error)


def test_a_rule_error_survives_pickling():
    error = RuleError([problem for problem, _ in PROBLEMS])
    again = pickle.loads(pickle.dumps(error))
    assert (RuleError, error.problems, str(error)) == (type(again), again.problems, str(again))


def test_a_store_error_is_a_plain_one():
    error = pickle.loads(pickle.dumps(StoreError("redis: no such database")))
    assert (StoreError, "redis: no such database") == (type(error), str(error))
