"""Which numbers a token bucket can count exactly, and the nearest amount that it can where the one asked for is none."""

from __future__ import annotations

from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.limit import LARGEST
from guardrail.core.token_bucket import TokenBucket, nearest_fit
from tests.core.limit_run import MIN, MS

DAY = 24 * 60 * MIN


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
