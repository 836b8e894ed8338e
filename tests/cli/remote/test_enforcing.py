"""Is it safe to enforce? The answer is a number of calls, and of whom."""

import pytest

from guardrail.cli.remote.enforcing import sentence, trials_of
from guardrail.cli.remote.summing import picture_of
from tests.cli.remote.scene import hot, rule, sight, snapshot

H1, H2, H3 = "0123456789abcdef" * 2, "f" * 32, "9" * 32

ROWS = [
    ({}, (), "nothing can be said: no call has come yet"),
    ({"allowed": 40}, (), "none of 40 calls; that is few: wait for 100 or more"),
    ({"allowed": 10_000}, (), "none of 10,000 calls"),
    ({"allowed": 9_880, "shadow_refused": 120}, (), "120 of 10,000 calls (1.2%)"),
    ({"allowed": 999_999, "shadow_refused": 1}, (), "1 of 1,000,000 calls (below 0.01%)"),
    ({"shadow_refused": 5}, (), "5 of 5 calls (100%)"),
    ({"allowed": 80, "shadow_refused": 20}, [(H1, 20)], "20 of 100 calls (20%); all by key 0123456789ab"),
    ({"allowed": 80, "shadow_refused": 20}, [(H1, 25)], "20 of 100 calls (20%); all by key 0123456789ab"),
    (
        {"allowed": 80, "shadow_refused": 20},
        [(H1, 12), (H2, 1)],
        "20 of 100 calls (20%); about 60% by key 0123456789ab",
    ),
    (
        {"allowed": 80, "shadow_refused": 20},
        [(H2, 4), (H1, 5), (H3, 3), ("8" * 32, 1)],
        "20 of 100 calls (20%); about 60% by 3 keys, most by 0123456789ab",
    ),
    ({"allowed": 80, "shadow_refused": 20}, [(H1, 0)], "20 of 100 calls (20%)"),
]


@pytest.mark.parametrize(("counts", "keys", "said"), ROWS)
def test_the_answer_is_a_number_of_calls_and_of_whom(counts, keys, said):
    hottest = tuple(hot("r", key, 100, refused) for key, refused in keys)
    picture = picture_of([sight(snapshot(rule(mode="shadow", **counts), hot_keys=hottest))])
    assert [said] == [sentence(trial) for trial in trials_of(picture)]


def test_rules_on_trial_are_those_that_let_through_what_they_would_refuse():
    rules = [
        rule("enforced"),
        rule("watching", mode="shadow"),
        rule("partly", enforced=0.1),
        rule("off", mode="off"),
        rule("off partly", mode="off", enforced=0.0),
    ]
    assert ["watching", "partly"] == [one.rule for one in trials_of(picture_of([sight(snapshot(*rules))]))]


def test_of_a_rule_that_is_partly_enforced_both_parts_count():
    [trial] = trials_of(picture_of([sight(snapshot(rule(enforced=0.1, allowed=70, refused=10, shadow_refused=20)))]))
    assert (0.1, 100, 30) == (trial.enforced, trial.asked, trial.would_refuse)


def test_keys_of_other_rules_say_nothing():
    hottest = (hot("other", H1, 100, 50),)
    [trial] = trials_of(picture_of([sight(snapshot(rule(mode="shadow", shadow_refused=50), hot_keys=hottest))]))
    assert () == trial.keys


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("u1", "u1"),
        ("", "(missing)"),
        ("\0abc", "(a long one)"),
        ("\x1b[31m", "'\\x1b[31m'"),
        ("x" * 30, "x" * 24 + "..."),
    ],
)
def test_a_key_that_was_asked_for_cannot_do_anything_to_a_terminal(key, shown):
    picture = picture_of(
        [sight(snapshot(rule(mode="shadow", shadow_refused=5), hot_keys=(hot("r", key, 5, 5),)))], hashed=False
    )
    assert [f"5 of 5 calls (100%); all by key {shown}"] == [sentence(trial) for trial in trials_of(picture)]
