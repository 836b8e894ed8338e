"""What a token bucket takes back, and what it must not: one row or one short story for each. The law is in test_laws.py."""

from __future__ import annotations

import pytest

from guardrail.core.limit import LARGEST, Charge, Ruling
from guardrail.core.token_bucket import TokenBucket
from tests.core.limit_run import MS, Run, S

# ten a second, five at once; charged, then given back later: what remains then
GIVEN_BACK = [
    # charged  returned  later    remaining
    (3,        3,        0 * MS,      5),
    (3,        1,        0 * MS,      3),
    (3,        3,        100 * MS,    5),  # one came back by itself, two are returned
    (3,        1,        100 * MS,    3),  # that one had come back by itself
    (3,        3,        299_999,     5),
    (5,        5,        10 * S,      5),
]  # fmt: skip


@pytest.mark.parametrize(("charged", "returned", "later_us", "remaining"), GIVEN_BACK)
def test_what_has_not_come_back_by_itself_is_given_back(charged, returned, later_us, remaining):
    run = Run(TokenBucket(10, S, 5))
    run.call(charged)
    run.go(later_us)
    run.give_back(0, returned)
    assert remaining == run.remaining


def test_a_surplus_and_then_the_rest_are_given_back_as_the_whole_would_be():
    run = Run(TokenBucket(10, S, 5))
    run.call(5)
    run.give_back(0, 2)
    run.give_back(0, 3)
    assert (5, 0) == run.view


def test_giving_back_leaves_the_calls_of_others():
    run = Run(TokenBucket(10, S, 5))
    run.call(2)
    run.call(3)
    run.give_back(0)
    assert 2 == run.remaining


def test_nothing_is_ever_given_back_above_full():
    run = Run(TokenBucket(10, S, 5))
    run.call(3)
    run.state = run.limit.fresh(0)  # somebody reset it
    run.give_back(0)
    assert run.limit.fresh(0) == run.state


def test_a_place_in_the_row_is_given_back_while_nobody_stands_behind_it():
    run = Run(TokenBucket(10, S, 1, max_wait_us=S))
    run.call()
    run.call()
    run.go(30 * MS)
    run.give_back(1)
    assert Ruling(True, wait_us=100 * MS) == run.call()  # what drained meanwhile is not given twice


def test_a_place_in_the_row_is_kept_once_somebody_stands_behind_it():
    run = Run(TokenBucket(10, S, 1, max_wait_us=S))
    for _ in range(3):
        run.call()
    run.give_back(1)
    assert Ruling(True, wait_us=300 * MS) == run.call()


def test_whoever_waited_gets_nothing_back_once_others_were_charged():
    run = Run(TokenBucket(10, S, 3, max_wait_us=S))
    run.call(1)
    assert 100 * MS == run.call(3).wait_us
    run.go(200 * MS)
    assert 0 == run.call(1).wait_us
    run.give_back(1)
    assert 0 == run.remaining


@pytest.mark.parametrize(
    ("later_us", "returned", "remaining"),
    [
        (0, 2, 1),
        (0, 1, 0),  # of a part, the bucket would not know any more when it starts
        (99_999, 2, 1),
        (100 * MS, 2, 1),
    ],
)
def test_whoever_still_waits_gives_back_the_whole_or_nothing(later_us, returned, remaining):
    run = Run(TokenBucket(10, S, 3, max_wait_us=S))
    run.call(2)
    assert 100 * MS == run.call(2).wait_us
    run.go(later_us)
    before = run.state
    run.give_back(1, returned)
    assert remaining == run.remaining
    assert (before == run.state) == (returned == 1)


def test_what_was_spent_before_somebody_began_to_wait_is_not_sold_twice():
    """The second starts at 100 ms because of the first. Were the first given back, a third would start with it."""
    run = Run(TokenBucket(10, S, 1, max_wait_us=S))
    run.call()
    assert 100 * MS == run.call().wait_us
    run.give_back(0)
    assert 200 * MS == run.call().wait_us


def test_once_nobody_waits_any_more_giving_back_goes_on():
    run = Run(TokenBucket(10, S, 5, max_wait_us=S))
    run.call(5)
    assert 100 * MS == run.call().wait_us
    run.go(99_999)
    run.give_back(0, 1)
    assert 0 == run.remaining
    run.go(100 * MS)
    run.give_back(0, 4)
    assert 3 == run.remaining


def test_what_was_charged_before_a_deficit_is_given_back_where_nobody_waits():
    run = Run(TokenBucket(10, S, 5))
    run.call(5)
    run.state = run.limit.charge(run.state, 0, 4)
    run.give_back(0, 3)
    assert (0, 600 * MS) == run.view


def test_a_deficit_is_owed_and_can_be_given_back():
    run = Run(TokenBucket(10, S, 5, max_wait_us=S))
    bucket = run.limit
    owed = bucket.charge(bucket.fresh(0), 0, 12)
    assert (0, 1_200 * MS) == bucket.view(owed, 0)
    assert Ruling(False, retry_after_us=800 * MS, reason="rate") == bucket.ask(owed, 0, 1, 0)
    assert bucket.fresh(0) == bucket.give_back(owed, 0, 12, Charge(12, 0, owed))


def test_a_debt_ends_below_2_to_the_53_and_what_was_cut_off_there_is_not_given_back():
    bucket = TokenBucket(10, S, 5)
    used = bucket.charge(bucket.fresh(0), 0, 5)
    owed = bucket.charge(used, 0, 10**18)
    assert (LARGEST, 0) == owed
    assert owed == bucket.give_back(owed, 0, 10**18, Charge(10**18, 0, owed))
    assert owed[0] > bucket.give_back(owed, 0, 5, Charge(5, 0, used))[0]
