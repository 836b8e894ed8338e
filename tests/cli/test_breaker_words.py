"""What `explain` says of breakers and bulkheads, defaults included."""

import pytest

from guardrail import RuleSet
from guardrail.cli.explanation import explain
from guardrail.cli.question import Question
from guardrail.cli.report import meaning


def said(**fields):
    (asked,) = explain(RuleSet.parse([{"resource": "a", **fields}]), Question("a", {})).asked
    return dict(meaning(asked))


#   breaker                                          when it opens
OPENS = [
    ({}, "when 50% or more of the calls in the last 30 s failed, once there are 10"),
    ({"consecutive_failures": 1}, "when 1 call in a row failed"),
    ({"window_calls": 100}, "when 50% or more of the last 100 calls failed, once there are 10"),
    ({"slow_call": "1s"}, "when 50% or more of the calls in the last 30 s took longer than 1 s, once there are 10"),
    (
        {"failure_rate": "33.33%", "slow_call": "1s", "slow_rate": 0.8, "min_calls": 20, "consecutive_failures": 5},
        (
            "when 33.33% or more of the calls in the last 30 s failed or 80% or more took longer than 1 s, "
            "once there are 20; or when 5 calls in a row failed"
        ),
    ),
]


@pytest.mark.parametrize(("fields", "sentence"), OPENS)
def test_when_a_breaker_opens(fields, sentence):
    assert sentence == said(kind="breaker", **fields)["opens"]


def test_how_a_breaker_closes_again():
    words = said(kind="breaker", half_open_calls=1, probe_timeout="10s")
    assert "it refuses every call for 5 s" == words["open"]
    assert (
        "then it lets 1 call through and closes or opens again by how they go; one that takes 10 s has no say"
        == words["probes"]
    )
    longer = "it refuses every call for 5 s; each time it opens again at once, twice as long, up to 1 min"
    assert longer == said(kind="breaker", open_for_max="1m")["open"]


#   breaker                                                           what counts as a failure
FAILURES = [
    ({}, "every exception, http.5xx, and the gRPC codes of a failing server"),
    ({"failures": ["OSError", "http.5xx"]}, "OSError or http.5xx"),
    ({"failures": ["OSError"], "ignore": ["FileNotFoundError"]}, "OSError, but not FileNotFoundError"),
    ({"failures": []}, "nothing"),
]


@pytest.mark.parametrize(("fields", "sentence"), FAILURES)
def test_what_counts_as_a_failure(fields, sentence):
    assert sentence == said(kind="breaker", **fields)["failures"]


def test_a_bulkhead_in_words():
    assert {
        "places": "at most 1 call inside at once",
        "queue": "none: others are refused at once",
        "counted": "in each process by itself",
    } == said(kind="bulkhead", max_concurrent=1)
    queue = "others wait up to 1 s in the order of arrival; then they are refused"
    assert queue == said(kind="bulkhead", max_concurrent=1, max_wait="1s")["queue"]
    counted = "in the guard's store; a holder that dies gives its place back after 30 s"
    assert counted == said(kind="bulkhead", max_concurrent=1, scope="shared")["counted"]
