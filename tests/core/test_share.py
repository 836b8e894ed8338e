"""The share of a limit: what each of several processes may let in while they cannot ask one another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket
from tests.core.limit_run import MS, Run, S, every_limit

COUNTS = st.integers(1, 40)
DAY = 86_400 * S

SHARES = [
    (TokenBucket(100, S, 20), 4, TokenBucket(100, 4 * S, 5)),
    (TokenBucket(100, S, 20), 3, TokenBucket(100, 3 * S, 6)),
    (TokenBucket(10, S, 3, 250 * MS), 4, TokenBucket(10, 4 * S, 1, 250 * MS)),
    (LeakyBucket(10, S, 2 * S), 5, LeakyBucket(10, 5 * S, 2 * S)),
    (SlidingWindow(100, S), 3, SlidingWindow(33, S)),
    (SlidingWindow(2, S), 3, SlidingWindow(1, S)),
    (FixedWindow(100, S), 7, FixedWindow(14, S)),
    (FixedWindow(2, S), 3, FixedWindow(1, S)),
    (SlidingLog(9, S), 2, SlidingLog(4, S)),
    (SlidingLog(1, S), 2, SlidingLog(1, S)),
]


@pytest.mark.parametrize(("limit", "count", "share"), SHARES, ids=repr)
def test_rates_and_bursts_are_divided_and_waits_are_not(limit, count, share):
    assert share == limit.share(count)


@given(every_limit)
def test_alone_one_has_the_whole_limit(limit):
    assert limit == limit.share(1)


@given(every_limit, COUNTS)
def test_each_lets_in_at_least_one_call(limit, count):
    assert Run(limit.share(count)).call().allowed


@given(every_limit, COUNTS)
def test_together_they_hold_no_more_than_the_limit_or_one_each(limit, count):
    assert count * limit.share(count).capacity <= max(limit.capacity, count)


@given(every_limit, COUNTS)
def test_a_share_is_of_the_same_kind_and_waits_as_long(limit, count):
    share = limit.share(count)
    assert (type(limit), limit.max_wait_us) == (type(share), share.max_wait_us)


@given(every_limit, COUNTS, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3)), max_size=40))
def test_together_they_admit_no_more_than_the_limit_says_over_a_long_time(limit, count, calls):
    """All in step, each with the same calls: `count` times what one admits is within the law of a rate, plus bursts."""
    run, started_us = Run(limit.share(count)), 0
    for step_us, cost in calls:
        run.go(run.now_us + step_us)
        run.call(cost)
    span_us = run.now_us - started_us + max([start.at_us for start in run.starts], default=0)
    admitted = sum(start.cost for start in run.starts)
    whole = max(limit.capacity, count)
    if isinstance(limit, TokenBucket):
        assert count * admitted <= whole + count + limit.amount * (span_us + 1) / limit.period_us
    else:
        windows = 2 + span_us // limit.window_us
        assert count * admitted <= whole * windows


def test_a_share_so_small_that_it_cannot_be_counted_is_larger():
    """The period of 1 per day for a hundred thousand processes would be longer than 2^53 us allows."""
    limit = TokenBucket(1, DAY, 1)
    share = limit.share(100_000)
    assert TokenBucket(1, 50_000 * DAY, 1) == share
    assert TokenBucket(1, 52_000 * DAY, 1) == limit.share(52_000)


def test_a_leaky_bucket_that_cannot_be_slowed_so_far_keeps_its_kind():
    share = LeakyBucket(1, DAY, S).share(100_000)
    assert LeakyBucket(1, 50_000 * DAY, S) == share
