"""Token bucket: tables of rows as its specification, giving back, changed numbers, and the numbers that fit."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.limit import LARGEST, Charge, Ruling
from guardrail.core.token_bucket import TokenBucket, nearest_fit
from tests.core import limit_run as make
from tests.core.limit_run import MIN, MS, Row, Run, S, histories, play, stepped

DAY = 24 * 60 * MIN

# ten a second, three at once
BURSTS_THEN_A_STEADY_REFILL: list[Row] = [
    # now          cost  allowed  remaining  retry_after
    (0 * MS,         1,    True,      2,     None),
    (0 * MS,         2,    True,      0,     None),
    (0 * MS,         1,    False,     0,     100 * MS),
    (0 * MS,         3,    False,     0,     300 * MS),
    (0 * MS,         4,    False,     0,     None),  # more than it ever holds
    (0 * MS,         0,    True,      0,     None),
    (99_999,         1,    False,     0,     1),
    (100 * MS,       1,    True,      0,     None),
    (250 * MS,       1,    True,      0,     None),  # half a token is left
    (250 * MS,       1,    False,     0,     50 * MS),
    (300 * MS,       1,    True,      0,     None),
    (900 * MS,       3,    True,      0,     None),
    (9_000 * MS,     1,    True,      2,     None),  # full is full
]  # fmt: skip

# seven in ten microseconds: a token takes 1 3/7 us
THIRDS_AND_SEVENTHS_ARE_NOT_ROUNDED: list[Row] = [
    # now  cost  allowed  remaining  retry_after
    (0,     1,    True,      0,     None),
    (0,     1,    False,     0,     2),
    (1,     1,    False,     0,     1),
    (2,     1,    True,      0,     None),
    (3,     1,    False,     0,     1),
    (4,     1,    True,      0,     None),
    (7,     1,    True,      0,     None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("bucket", "rows"),
    [
        pytest.param(TokenBucket(10, S, 3), BURSTS_THEN_A_STEADY_REFILL, id="10 a second"),
        pytest.param(TokenBucket(7, 10, 1), THIRDS_AND_SEVENTHS_ARE_NOT_ROUNDED, id="7 in 10 us"),
    ],
)
def test_rows(bucket, rows):
    assert rows == play(bucket, rows)


def admitted(bucket: TokenBucket, times_us: Iterable[int]) -> int:
    run = Run(bucket)
    for now_us in times_us:
        run.go(now_us)
        run.call()
    return len(run.starts)


def test_a_burst_far_below_the_rate_is_still_a_burst():
    """throttled-py on Redis: 100/s with burst 10 admitted 300 of 300."""
    bucket = TokenBucket(100, S, 10)
    assert 10 == admitted(bucket, [0] * 300)
    assert 10 + 100 == admitted(bucket, range(0, S + 1, MS))


def test_tokens_come_back_one_by_one_and_not_by_the_second():
    """throttled-py: 90/min with burst 2, polled four times a second for 150 s, admitted 151 of the ideal 227."""
    bucket = TokenBucket(90, MIN, 2)
    ideal = 2 + 150 * 90 // 60
    assert 227 == ideal == admitted(bucket, range(0, 150 * S + 1, S // 4))


def test_a_century_of_a_third_a_microsecond_loses_nothing():
    run = Run(TokenBucket(1, 3, 1), 10**15)
    for _ in range(1_000):
        run.go(run.now_us + 3)
        assert run.call().allowed
        assert run.look().retry_after_us == 3
    run.go(run.now_us + 36_525 * DAY)
    assert run.call().allowed
    assert not run.call().allowed


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_whoever_waits_has_a_place_in_the_row():
    run = Run(TokenBucket(10, S, 2, max_wait_us=250 * MS))
    assert [
        Ruling(True),
        Ruling(True),
        Ruling(True, wait_us=100 * MS),
        Ruling(True, wait_us=200 * MS),
        Ruling(False, retry_after_us=50 * MS, reason="rate"),
    ] == [run.call() for _ in range(5)]
    assert (0, 400 * MS) == run.view
    run.go(50 * MS)
    assert Ruling(True, wait_us=250 * MS) == run.call()


def test_a_call_that_must_not_wait_is_refused_until_it_need_not():
    run = Run(TokenBucket(10, S, 1, max_wait_us=S))
    run.call()
    assert Ruling(False, retry_after_us=100 * MS, reason="rate") == run.call(max_wait_us=0)
    assert Ruling(False, retry_after_us=40 * MS, reason="rate") == run.call(max_wait_us=60 * MS)
    assert Ruling(False, reason="cost_too_large") == run.call(2)


# -- giving back -------------------------------------------------------------------------------------------------------

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


# -- changed numbers ---------------------------------------------------------------------------------------------------

# used of the old, then what the new one says at once: remaining, retry_after of one more
ADOPTED = [
    # old                         used  new                          remaining  retry_after
    (TokenBucket(10, S, 10),       4,   TokenBucket(20, S, 20),          16,    None),
    (TokenBucket(10, S, 10),       4,   TokenBucket(5, S, 5),             1,    None),
    (TokenBucket(10, S, 10),       9,   TokenBucket(5, S, 5),             0,    200 * MS),  # not for what it cannot hold
    (TokenBucket(10, S, 10),       4,   TokenBucket(10, MIN, 10),         6,    None),
    (TokenBucket(10, S, 10),      10,   TokenBucket(10, MIN, 10),         0,    6 * S),
    (TokenBucket(10, S, 10),      10,   TokenBucket(10, S, 10, S),        0,    None),  # may wait now
    (TokenBucket(10, S, 10),      10,   TokenBucket(10, S, 3, 200 * MS),  0,    100 * MS),  # three in it and two in the row
]  # fmt: skip


@pytest.mark.parametrize(("old", "used", "new", "remaining", "retry_after_us"), ADOPTED)
def test_what_was_used_stays_used(old, used, new, remaining, retry_after_us):
    run = Run(old)
    run.call(used)
    run.adopt(new)
    assert (remaining, retry_after_us) == (run.remaining, run.look().retry_after_us)


def test_a_token_that_is_half_back_counts_as_used_after_a_change():
    run = Run(TokenBucket(10, S, 10))
    run.call(4)
    run.go(50 * MS)
    run.state = run.limit.at(run.state, run.now_us)
    run.adopt(TokenBucket(20, S, 10))
    assert (6, 200 * MS) == run.view


def test_the_time_before_a_change_drains_at_the_new_rate():
    run = Run(TokenBucket(10, S, 10))
    run.call(10)
    run.go(100 * MS)
    run.adopt(TokenBucket(50, S, 10))
    assert 5 == run.remaining


def test_places_in_the_row_stay_up_to_the_longest_that_is_left():
    run = Run(TokenBucket(10, S, 1, max_wait_us=S))
    for _ in range(11):
        run.call()
    run.adopt(TokenBucket(10, S, 2, max_wait_us=300 * MS))
    assert Ruling(False, retry_after_us=100 * MS, reason="rate") == run.look()
    assert (0, 500 * MS) == run.view


@given(make.waiting_buckets, histories(make.FORWARD), make.WAITS, st.integers(2, 5))
def test_another_way_to_write_the_rate_and_another_wait_change_nothing(bucket, history, max_wait_us, times):
    run = Run(bucket)
    for step, cost in history:
        run.go(stepped(run, step))
        run.call(cost)
    before = run.state
    run.adopt(TokenBucket(bucket.amount * times, bucket.period_us * times, bucket.burst, max_wait_us))
    assert before == run.state


@given(make.waiting_buckets, histories(make.FORWARD), make.waiting_buckets)
def test_a_change_keeps_whole_tokens_up_to_what_the_new_bucket_can_owe(old, history, new):
    run = Run(old)
    for step, cost in history:
        run.go(stepped(run, step))
        run.call(cost)
    whole = -(-Fraction(run.state[0], old.p) // 1)
    last_us = run.state[1]
    same = (old.r, old.p, old.burst) == (new.r, new.p, new.burst)
    used = Fraction(run.state[0], old.p) if same else min(whole, new.burst + Fraction(new.max_wait_us * new.r, new.p))
    run.adopt(new)
    assert (used * new.p, last_us) == run.state


# -- numbers that fit --------------------------------------------------------------------------------------------------


def fits(amount: int, period_us: int, burst: int | None, max_wait_us: int) -> bool:
    divisor = gcd(amount, period_us)
    tokens = amount if burst is None else burst
    return 1 <= amount < 2**53 and 2 * tokens * period_us // divisor + max_wait_us * amount // divisor < 2**53


def test_a_bucket_that_could_not_count_exactly_is_refused_and_the_nearest_amount_named():
    with pytest.raises(ValueError) as refused:
        TokenBucket(90_000_001, DAY, 90_000_001)
    assert (
        "90000001 per 86400000000 us with burst 90000001 and max_wait 0 us cannot be counted exactly below 2^53;"
        " the nearest amount that does is 90000000"
    ) == str(refused.value)
    with pytest.raises(ValueError, match=r"; no other amount does$"):
        TokenBucket(1, 3, 2**52)


FITS = [
    # amount       period   burst      max_wait  nearest
    (100,          MIN,     100,       0,        100),
    (18,           100,     2**53 // 20 - 1, 0,  20),  # it must share 10 with the period
    (13,           100,     2**53 // 20 - 1, 0,  10),
    (15,           100,     2**53 // 20 - 1, 0,  10),  # the smaller of two
    (90_000_001,   DAY,     None,      0,        90_000_000),
    (10**9 + 7,    DAY,     None,      250 * MS, 10**9),
    (1,            2**53 - 1, 2**50,   0,        2**53 - 1),
    (1,            1,       2**52 - 1, 0,        1),
    (1,            1,       2**52,     0,        None),
    (5,            1,       1,         2**52,    1),
    (2**53 + 1,    1,       1,         0,        2**53 - 1),
]  # fmt: skip


@pytest.mark.parametrize(("amount", "period_us", "burst", "max_wait_us", "nearest"), FITS)
def test_the_nearest_amount_that_fits(amount, period_us, burst, max_wait_us, nearest):
    assert nearest == nearest_fit(amount, period_us, burst, max_wait_us)


BARELY_FITS = [
    # amount  period  burst      max_wait            one more in burst or max_wait
    ((1,      1,      2**52 - 1, 0),                 (1, 1, 2**52, 0)),
    ((1,      1,      1,         2**53 - 3),         (1, 1, 1, 2**53 - 2)),
    ((3,      7,      1,         2**53 // 3 - 5),    (3, 7, 1, 2**53 // 3 - 4)),
    ((30,     70,     1,         2**53 // 3 - 5),    (30, 70, 1, 2**53 // 3 - 4)),
]  # fmt: skip


@pytest.mark.parametrize(("fitting", "too_large"), BARELY_FITS)
def test_twice_the_capacity_and_all_that_may_be_owed_stay_below_2_to_the_53(fitting, too_large):
    assert fits(*fitting)
    TokenBucket(*fitting)
    with pytest.raises(ValueError, match="cannot be counted exactly"):
        TokenBucket(*too_large)


@given(st.integers(1, 200), st.integers(1, 300), st.integers(1, 40), st.sampled_from(["burst", "amount", "wait"]))
def test_no_amount_that_fits_is_nearer(amount, period_us, share, bound):
    """The numbers are so large that only amounts which share about so much with the period fit."""
    burst = {"burst": 2**52 * share // period_us, "amount": None, "wait": 1}[bound]
    max_wait_us = 0 if bound == "burst" else 2**53 * share // amount
    nearest = nearest_fit(amount, period_us, burst, max_wait_us)
    near = [other for other in range(1, 1_000) if fits(other, period_us, burst, max_wait_us)]
    assert min(near, key=lambda other: (abs(other - amount), other), default=None) == nearest


@given(st.integers(1, LARGEST), st.integers(1, LARGEST), st.none() | st.integers(1, LARGEST), st.integers(0, LARGEST))
def test_whatever_is_named_can_be_built(amount, period_us, burst, max_wait_us):
    nearest = nearest_fit(amount, period_us, burst, max_wait_us)
    if nearest is not None:
        TokenBucket(nearest, period_us, nearest if burst is None else burst, max_wait_us)
    assert (nearest == amount) == fits(amount, period_us, burst, max_wait_us)
