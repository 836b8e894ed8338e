"""The checks of `demo --redis` by themselves: what they take for a proof, and what not."""

import pytest

from guardrail.cli.demo.branches import Outage
from guardrail.cli.demo.checks import Rate, enforced_in_time
from guardrail.cli.demo.shared_checks import (
    all_ended,
    costs_nothing,
    denied,
    exact,
    held_to_shares,
    nobody_waits,
    noticed,
    seen_again,
)
from guardrail.cli.demo.traffic import Answer

RATE, SECOND = Rate(4, 60, "4/min"), Rate(9, 1, "9/s")


def let_in(place=0, at=0.0, took=0.01):
    return Answer("ada", "/login", 200, {"page": "a page"}, None, at, at + took, place)


def refused(place=0, at=0.0, *, rule="r", reason="rate", limit=3, retry_after=0.5):
    body = {"rule": rule, "reason": reason, "detail": "no", "retry_after": retry_after, "limit": limit}
    return Answer("ada", "/login", 429, body, "1", at, at + 0.01, place)


def everywhere(one, *rest):
    return [answer._replace(place=place) for place in (0, 1) for answer in (one, *rest)]


FULL = [*[let_in(0)] * 3, let_in(1), *[refused(1)] * 4]
OUTAGE, OVER = Outage(1.5, "timeout"), Outage(1.5, "timeout", 5.5)
DENIED = refused(reason="store_unavailable")

#   name                                              the check                                          what it says
ROWS = [
    ("all places together let in what one limit has", exact(RATE, "r", 2, FULL), True),
    ("one more than the limit has", exact(RATE, "r", 2, [*FULL, let_in(0)]), False),
    ("one less than the limit has", exact(RATE, "r", 2, FULL[1:]), False),
    ("so few that nobody had to share", exact(RATE, "r", 2, [let_in()] * 4), False),
    ("another rule refused", exact(RATE, "r", 2, [*FULL, refused(rule="s")]), False),
    ("a script for each that was let in, and a few", costs_nothing(5, [*[let_in()] * 4, *[refused()] * 20]), True),
    ("a script for each call", costs_nothing(24, [*[let_in()] * 4, *[refused()] * 20]), False),
    ("a storm that nobody refused", costs_nothing(4, [let_in()] * 4), False),
    ("both noticed", noticed(1.0, [OUTAGE, OUTAGE]), True),
    ("one did not notice", noticed(1.0, [OUTAGE, None]), False),
    ("nobody noticed", noticed(1.0, [None, None]), False),
    ("one that was away before", noticed(2.0, [OUTAGE, OUTAGE]), False),
    ("each its share", held_to_shares(Rate(6, 60, ""), "r", 2, everywhere(*[let_in()] * 3, refused())), True),
    ("one more than its share", held_to_shares(Rate(6, 60, ""), "r", 2, everywhere(*[let_in()] * 4, refused())), False),
    ("refusals of the whole limit", held_to_shares(Rate(6, 60, ""), "r", 2, everywhere(refused(limit=6))), False),
    ("one place was never asked", held_to_shares(Rate(6, 60, ""), "r", 2, [let_in(), refused()]), False),
    ("nothing refused", held_to_shares(Rate(6, 60, ""), "r", 2, everywhere(let_in())), False),
    ("all denied", denied("r", [DENIED, DENIED]), True),
    ("one let in", denied("r", [DENIED, let_in()]), False),
    ("refused for another reason", denied("r", [DENIED, refused()]), False),
    ("told to come back too late", denied("r", [refused(reason="store_unavailable", retry_after=5)]), False),
    ("told nothing of when", denied("r", [refused(reason="store_unavailable", retry_after=None)]), False),
    ("nobody asked", denied("r", []), False),
    ("all soon", nobody_waits(0.2, [let_in(took=0.2), *[let_in()] * 2], [let_in()] * 2), True),
    ("one that hung", nobody_waits(0.2, [let_in(took=2.5)], [let_in()] * 2), False),
    ("each as long as the timeout", nobody_waits(0.2, [let_in(took=0.2)], [let_in(took=0.2)] * 2), False),
    ("nobody called", nobody_waits(0.2, [], []), False),
    ("both saw it come back", seen_again(5.0, [OVER, OVER], let_in()), True),
    ("one did not", seen_again(5.0, [OVER, OUTAGE], let_in()), False),
    ("none did", seen_again(5.0, [OUTAGE, None], let_in()), False),
    ("too late", seen_again(3.0, [OVER, OVER], let_in()), False),
    ("before it was back", seen_again(6.0, [OVER, OVER], let_in()), False),
    ("logins are denied all the same", seen_again(5.0, [OVER, OVER], DENIED), False),
    ("all ended", all_ended([True, True]), True),
    ("one had to be ended", all_ended([True, False]), False),
]


@pytest.mark.parametrize(("name", "check", "holds"), ROWS, ids=[name for name, *_ in ROWS])
def test_a_check_takes_for_proof_what_is_one(name, check, holds):
    assert holds is check.holds
    assert check.measured


def test_a_share_is_a_part_of_the_rate_and_of_the_burst_and_at_least_one():
    assert (3, 3 + 6) == (SECOND.share(3).at_once, SECOND.share(3).most(2))
    assert 1 == RATE.share(5).at_once


def test_an_edit_is_said_to_be_enforced_by_all_processes():
    claim = enforced_in_time(0, refused(at=0.5), RATE, SECOND, [], 3).claim
    assert "4/min instead of 9/s is enforced by all 3 processes within a second" in claim
