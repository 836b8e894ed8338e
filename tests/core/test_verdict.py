"""Many verdicts make one decision, and a refusal is one sentence a person can act on."""

import json
import pickle
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.verdict import Decision, Verdict


def verdict(rule, *, reason=None, retry_after=None, **fields):
    return Verdict(rule=rule, kind="limit", allowed=reason is None, reason=reason, retry_after=retry_after, **fields)


# -- over several rules ------------------------------------------------------------------------------------------------

# (rule, reason, limit, remaining, retry_after, reset_after), and what becomes of them: (rule, limit, remaining, retry, reset)
ROWS = [
    ([], (None, None, None, None, None)),
    ([("a", None, 9, 8, None, 1.0)], ("a", 9, 8, None, 1.0)),
    # of admissions, the smallest remaining; of equals the first
    ([("a", None, 9, 8, None, 1.0), ("b", None, 5, 3, None, 0.5)], ("b", 5, 3, None, 1.0)),
    ([("a", None, 9, 3, None, 1.0), ("b", None, 5, 3, None, 2.0)], ("a", 9, 3, None, 2.0)),
    ([("a", None, None, None, None, None), ("b", None, 5, 3, None, None)], ("b", 5, 3, None, None)),
    ([("a", None, None, None, None, None)], ("a", None, None, None, None)),
    # of refusals, the largest retry_after; what admits counts for remaining and reset_after only
    ([("a", "rate", 9, 2, 1.0, 3.0), ("b", None, 5, 0, None, 9.0)], ("a", 9, 0, 1.0, 9.0)),
    ([("a", "rate", 9, 2, 1.0, 3.0), ("b", "rate", 5, 4, 2.0, 2.0)], ("b", 5, 2, 2.0, 3.0)),
    ([("a", "rate", 9, 2, 1.0, 3.0), ("b", "rate", 5, 4, 1.0, 2.0)], ("a", 9, 2, 1.0, 3.0)),
    # None is larger than any
    ([("a", "rate", 9, 2, 1e9, 3.0), ("b", "cost_too_large", 5, 4, None, 2.0)], ("b", 5, 2, None, 3.0)),
    ([("a", "bulkhead_full", 9, 0, None, None), ("b", "rate", 5, 4, 7.0, 2.0)], ("a", 9, 0, None, 2.0)),
]


@pytest.mark.parametrize(("rules", "expected"), ROWS)
def test_rows(rules, expected):
    decision = Decision.of(
        tuple(
            verdict(rule, reason=reason, limit=limit, remaining=remaining, retry_after=retry, reset_after=reset)
            for rule, reason, limit, remaining, retry, reset in rules
        )
    )
    assert expected == (decision.rule, decision.limit, decision.remaining, decision.retry_after, decision.reset_after)
    assert all(reason is None for _, reason, *_ in rules) == decision.allowed
    assert [rule for rule, *_ in rules] == [one.rule for one in decision.verdicts]


def test_shadow_rules_are_listed_and_count_for_nothing():
    shadow = verdict(
        "shadow", reason="rate", limit=1, remaining=0, retry_after=9.0, reset_after=9.0, shadow=True, wait=5
    )
    real = verdict("real", limit=9, remaining=8, reset_after=1.0)
    decision = Decision.of((shadow, real))
    assert (True, "real", 9, 8, None, 1.0, 0.0) == (
        decision.allowed,
        decision.rule,
        decision.limit,
        decision.remaining,
        decision.retry_after,
        decision.reset_after,
        decision.wait,
    )
    assert (shadow, real) == decision.verdicts
    assert (True, None, None) == (
        Decision.of((shadow,)).allowed,
        Decision.of((shadow,)).rule,
        Decision.of((shadow,)).limit,
    )


def test_a_call_queues_for_one_place_after_the_other_and_sleeps_for_all_limits_at_once():
    def waited(kind, seconds):
        return Verdict(rule=kind, kind=kind, allowed=True, wait=seconds)

    verdicts = waited("bulkhead", 1.0), waited("bulkhead", 2.0), waited("limit", 5.0), waited("limit", 3.0)
    assert 1.0 + 2.0 + 5.0 == Decision.of(verdicts).wait


VERDICTS = st.builds(
    lambda reason, remaining, retry_after, shadow: verdict(
        "rule", reason=reason, remaining=remaining, retry_after=retry_after if reason else None, shadow=shadow
    ),
    st.sampled_from([None, None, "rate", "breaker_open"]),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(0, 3),
    st.booleans(),
)


@given(st.lists(VERDICTS, max_size=4))
def test_the_numbers_do_not_depend_on_the_order_of_the_rules(verdicts):
    decisions = [Decision.of(tuple(order)) for order in permutations(verdicts)]
    seen = {(one.allowed, one.retry_after, one.remaining, one.reset_after) for one in decisions}
    assert 1 == len(seen)


# -- in words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reason", "retry_after", "text", "sentence"),
    [
        ("limit", "rate", 1.24, "100/min", "100/min exceeded by rule 'per-user'; retry after 1.24 s"),
        (
            "limit",
            "cost_too_large",
            None,
            "100/min",
            "the call costs more than rule 'per-user' ever allows at once (100/min); make it smaller",
        ),
        ("breaker", "breaker_open", 5.0, "", "breaker 'per-user' is open; retry after 5 s"),
        (
            "breaker",
            "breaker_probing",
            30.0,
            "",
            "breaker 'per-user' is half-open and all its probes are out; retry after 30 s",
        ),
        ("breaker", "breaker_forced", None, "", "breaker 'per-user' was opened by hand"),
        ("bulkhead", "bulkhead_full", None, "10", "bulkhead 'per-user' is full (10 at once)"),
        (
            "bulkhead",
            "bulkhead_timeout",
            None,
            "10",
            "no place of bulkhead 'per-user' came free in time (10 at once)",
        ),
        (
            "limit",
            "store_unavailable",
            1.0,
            "9/s",
            "the store behind rule 'per-user' is unavailable and the rule denies without it; retry after 1 s",
        ),
    ],
)
def test_every_reason_has_its_sentence(kind, reason, retry_after, text, sentence):
    refused = Verdict(
        rule="per-user", kind=kind, allowed=False, reason=reason, retry_after=retry_after, text=text, limit=1
    )
    others = verdict("other", text="7/s"), verdict("per-user", reason="rate", text="shadow", shadow=True)
    assert sentence == Decision.of((others[0], refused)).sentence()


def test_an_admission_has_one_too():
    assert "allowed" == Decision.of((verdict("a", remaining=3),)).sentence()


def test_a_decision_made_by_hand_can_be_read():
    """As a test of a user's own may make one, without verdicts."""
    assert "breaker 'b' is open" == Decision(allowed=False, rule="b", kind="breaker", reason="breaker_open").sentence()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.000_001, "1 us"),
        (0.000_999, "999 us"),
        (0.001, "0.001 s"),
        (0.001_001, "0.002 s"),  # rounded up: who comes then gets in
        (0.3, "0.3 s"),
        (1, "1 s"),
        (1.24, "1.24 s"),
        (1.2401, "1.241 s"),
        (2.007, "2.007 s"),  # a little more than that in binary
        (20, "20 s"),
        (100, "100 s"),
        (3600.000_001, "3600.001 s"),
        (86_400.0, "86400 s"),
    ],
)
def test_times_are_shown_in_milliseconds(seconds, words):
    assert (
        Decision.of((verdict("a", reason="rate", retry_after=seconds),)).sentence().endswith(f"; retry after {words}")
    )


def test_a_whole_millisecond_is_shown_as_it_is_however_it_is_rounded_in_binary():
    for milliseconds in range(1, 10_000):
        refused = Decision(allowed=False, rule="a", reason="rate", retry_after=milliseconds * 1000 / 1_000_000)
        assert f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".") == refused.sentence().split()[-2]


# -- as values ---------------------------------------------------------------------------------------------------------

DECISION = Decision.of(
    (verdict("a", limit=9, remaining=8, reset_after=1.5), verdict("b", reason="rate", retry_after=2.0))
)


def test_a_decision_is_plain_values():
    plain = DECISION.to_dict()
    assert plain == json.loads(json.dumps(plain)) | {"verdicts": tuple(plain["verdicts"])}
    assert (False, "b", "rate", 2.0, "a", 8) == (
        plain["allowed"],
        plain["rule"],
        plain["reason"],
        plain["retry_after"],
        plain["verdicts"][0]["rule"],
        plain["verdicts"][0]["remaining"],
    )


def test_a_decision_can_be_pickled_compared_and_put_in_a_set():
    again = pickle.loads(pickle.dumps(DECISION))
    assert ({DECISION}, DECISION) == ({again}, again)


def test_a_decision_does_not_change():
    for value, field in ((DECISION, "allowed"), (DECISION.verdicts[0], "remaining")):
        with pytest.raises(AttributeError):
            setattr(value, field, True)
