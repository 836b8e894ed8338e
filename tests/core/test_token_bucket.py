"""Token bucket: tables of rows as its specification, waiting, and changed numbers."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.limit import Ruling
from guardrail.core.token_bucket import TokenBucket
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
