"""What every limit says of a call, held against an oracle that counts in real numbers or counts everything again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.limit import Limit
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket
from tests.core import limit_run as make
from tests.core.limit_run import EITHER_WAY, FORWARD, Run, Step, histories, stepped
from tests.core.oracles import RealBucket, Recount, exact_log, same_window, touched_sub_windows

HISTORIES = settings(max_examples=200)
History = list[tuple[Step, int]]


def oracle_of(limit: Limit[Any], now_us: int) -> RealBucket | Recount:
    match limit:
        case TokenBucket():
            return RealBucket(limit.amount, limit.period_us, limit.burst, limit.max_wait_us, now_us)
        case SlidingWindow():
            return touched_sub_windows(limit.limit, limit.window_us)
        case FixedWindow():
            return same_window(limit.limit, limit.window_us)
        case SlidingLog():
            return exact_log(limit.limit, limit.window_us)
        case _:
            raise AssertionError(limit)


def says_the_same(limit: Limit[Any], history: History, now_us: int) -> None:
    """Play a history to a limit and to its oracle."""
    run, oracle = Run(limit, now_us), oracle_of(limit, now_us)
    for step, cost in history:
        run.go(stepped(run, step))
        if limit.is_ahead(run.state, run.now_us):
            oracle.move(run.now_us)
        allowed = oracle.allows(run.now_us, cost)
        wait_us = oracle.wait_us(run.now_us, cost) if allowed else 0
        retry_after_us = oracle.retry_after_us(run.now_us, cost)
        reason = None if allowed else "cost_too_large" if retry_after_us is None else "rate"
        if allowed and cost:
            oracle.take(run.now_us, cost)
        assert (allowed, wait_us, retry_after_us, reason) == run.call(cost)
        assert (oracle.remaining(run.now_us), oracle.reset_after_us(run.now_us)) == run.view


@HISTORIES
@given(
    make.token_buckets | make.waiting_buckets | make.leaky_buckets | make.sliding_logs,
    histories(EITHER_WAY),
    make.CLOCKS,
)
def test_an_exact_limit_says_what_real_numbers_say_even_if_the_clock_steps_back(limit, history, now_us):
    says_the_same(limit, history, now_us)


@HISTORIES
@given(make.sliding_windows | make.fixed_windows, histories(FORWARD), make.CLOCKS)
def test_a_limit_of_counters_says_what_a_recount_of_all_calls_says(limit, history, now_us):
    says_the_same(limit, history, now_us)


@HISTORIES
@given(make.every_limit, histories(EITHER_WAY), make.CLOCKS)
def test_a_retry_goes_through_at_the_time_named_and_not_a_microsecond_earlier(limit, history, now_us):
    run = Run(limit, now_us)
    for step, cost in history:
        run.go(stepped(run, step))
        ruling = run.call(cost)
        if ruling.retry_after_us is not None:
            assert run.look(cost, ruling.retry_after_us).allowed
            assert not run.look(cost, ruling.retry_after_us - 1).allowed
        elif not ruling.allowed:
            assert not limit.ask(limit.fresh(run.now_us), run.now_us, cost, limit.max_wait_us).allowed


@HISTORIES
@given(make.every_limit, histories(EITHER_WAY), make.CLOCKS)
def test_all_is_back_after_reset_after_and_only_then_the_state_is_idle(limit, history, now_us):
    run = Run(limit, now_us)
    assert limit.is_idle(run.state, now_us)
    for step, cost in history:
        run.go(stepped(run, step))
        run.call(cost)
        remaining, reset_after_us = run.view
        assert 0 <= remaining <= limit.capacity
        assert limit.is_idle(run.state, run.now_us + reset_after_us)
        if reset_after_us:
            assert not limit.is_idle(run.state, run.now_us + reset_after_us - 1)
        run_later = limit.at(run.state, run.now_us + reset_after_us)
        assert (limit.capacity, 0) == limit.view(run_later, run.now_us + reset_after_us)


@HISTORIES
@given(make.every_limit, histories(EITHER_WAY), make.CLOCKS, st.integers(1, 20))
def test_refusals_and_costs_of_0_charge_nothing(limit, history, now_us, more):
    """The same history, with a refused call and one of cost 0 after each call, comes out the same."""
    plain, noisy = Run(limit, now_us), Run(limit, now_us)
    for step, cost in history:
        for run in (plain, noisy):
            run.go(stepped(run, step))
        assert plain.call(cost) == noisy.call(cost)
        assert noisy.look(0).allowed
        retry_after_us = noisy.retry_after_us
        noisy.call(0)
        noisy.call(limit.capacity + more)
        noisy.retry_after_us = retry_after_us
        assert plain.state == noisy.state


@given(make.waiting_buckets | make.leaky_buckets, histories(FORWARD), st.integers(0, 100))
def test_a_call_may_allow_itself_less_of_a_wait_than_its_limit_does(limit, history, most_us):
    run = Run(limit)
    for step, cost in history:
        run.go(stepped(run, step))
        most_us = min(most_us, limit.max_wait_us)
        ruling = run.look(cost, max_wait_us=most_us)
        assert ruling.wait_us <= most_us
        if ruling.retry_after_us is not None:
            assert run.look(cost, ruling.retry_after_us, most_us).allowed
            assert not run.look(cost, ruling.retry_after_us - 1, most_us).allowed
        run.call(cost)


# -- a clock that steps back -------------------------------------------------------------------------------------------


@HISTORIES
@given(make.every_limit, histories(FORWARD), make.CLOCKS, st.integers(1, 400) | st.just(10**12), make.COSTS)
def test_after_a_step_back_nobody_is_locked_out_longer_than_had_the_clock_stood_still(
    limit, history, now_us, step_us, cost
):
    """Counters do not know where in their sub-window or window they were charged: that much later it may be."""
    run = Run(limit, now_us)
    for step, cost_before in history:
        run.go(stepped(run, step))
        run.call(cost_before)
    if not run.charges:
        return
    run.go(run.charges[-1].at_us)
    still, (_, reset_after_us) = run.look(cost), run.view
    run.go(run.now_us - step_us)
    stepped_back, (_, reset_after_step_us) = run.look(cost), run.view
    match limit:
        case SlidingWindow():
            slack_us, slack_for_all_us = 2 * limit.sub_us, limit.sub_us
        case FixedWindow():
            slack_us = slack_for_all_us = limit.window_us
        case _:
            slack_us = slack_for_all_us = 0
            assert still == stepped_back
    assert (stepped_back.retry_after_us or 0) <= (still.retry_after_us or 0) + slack_us
    assert reset_after_step_us <= reset_after_us + slack_for_all_us


LIMITS: list[Limit[Any]] = [
    TokenBucket(10, 1_000, 10),
    LeakyBucket(10, 1_000, 10),
    SlidingWindow(10, 1_000),
    FixedWindow(10, 1_000),
    SlidingLog(10, 1_000),
]
names = [type(limit).__name__ for limit in LIMITS]


@pytest.mark.parametrize("limit", LIMITS, ids=names)
def test_a_state_is_ahead_where_the_clock_stepped_back_behind_it_and_not_once_it_is_written(limit):
    run = Run(limit, 50_000)
    run.call()
    assert not limit.is_ahead(run.state, 50_000)
    assert not limit.is_ahead(run.state, 90_000)
    run.go(20_000)
    assert limit.is_ahead(run.state, 20_000)
    assert not limit.is_idle(run.state, 20_000)
    run.call(11)  # refused, and written all the same
    assert not limit.is_ahead(run.state, 20_000)
    assert limit.is_ahead(run.state, 10_000)


@pytest.mark.parametrize("limit", LIMITS, ids=names)
def test_limits_are_values(limit):
    same, other = eval(repr(limit)) if not isinstance(limit, LeakyBucket) else LeakyBucket(10, 1_000, 10), None
    assert same == limit
    assert hash(same) == hash(limit)
    assert other != limit
    with pytest.raises(Exception, match=r"assign|instance"):
        limit.period_us = 3


def test_a_leaky_bucket_is_not_the_token_bucket_with_its_numbers():
    """So that a change from one to the other starts fresh."""
    assert LeakyBucket(10, 1_000, 10) != TokenBucket(10, 1_000, 1, 10)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: TokenBucket(0, 1, 1), "amount must be at least 1, got 0"),
        (lambda: TokenBucket(1, 0, 1), "period_us must be at least 1, got 0"),
        (lambda: TokenBucket(1, 1, 0), "burst must be at least 1, got 0"),
        (lambda: TokenBucket(1, 1, 1, -1), "max_wait_us must be at least 0, got -1"),
        (lambda: TokenBucket(2**53, 1, 1), "amount must be at most 9,007,199,254,740,991, got 9,007,199,254,740,992"),
        (lambda: LeakyBucket(0, 1, 1), "amount must be at least 1, got 0"),
        (
            lambda: LeakyBucket(1, 1, 0),
            "max_wait_us must be at least 1, got 0; in a leaky bucket calls wait their turn",
        ),
        (lambda: SlidingWindow(0, 1), "limit must be at least 1, got 0"),
        (lambda: SlidingWindow(1, 0), "window_us must be at least 1, got 0"),
        (lambda: FixedWindow(0, 1), "limit must be at least 1, got 0"),
        (lambda: FixedWindow(1, 0), "window_us must be at least 1, got 0"),
        (lambda: SlidingLog(0, 1), "limit must be at least 1, got 0"),
        (lambda: SlidingLog(1, 0), "window_us must be at least 1, got 0"),
        (lambda: SlidingLog(10_001, 1), "limit must be at most 10,000, got 10,001"),
    ],
)
def test_numbers_that_make_no_limit_are_refused_with_a_sentence(build, sentence):
    with pytest.raises(ValueError) as refused:
        build()
    assert sentence == str(refused.value)
