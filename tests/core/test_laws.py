"""The laws at the head of the limits: what no history, however odd, makes them admit.

Spans are brute force: every one that begins and ends with an admitted call. Time is lived time: while the clock runs behind
what it has shown, no time passes.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import ceil
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.limit import Limit
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket
from tests.core import limit_run as make
from tests.core.limit_run import EITHER_WAY, FORWARD, Run, Step, histories, stepped
from tests.core.oracles import bucket_bound, most_over, window_bound

strict_windows = make.sliding_windows | make.sliding_logs
HISTORIES = settings(max_examples=200)
SHORT: st.SearchStrategy[Step] = st.sampled_from([0, 1, make.RETRY, make.RETRY]) | st.integers(0, 40)


def played(limit: Limit[Any], history: list[tuple[Step, int]], now_us: int = 0) -> Run:
    run = Run(limit, now_us)
    for step, cost in history:
        run.go(stepped(run, step))
        run.call(cost)
    return run


def over_the_law(run: Run, limit: TokenBucket | SlidingWindow | SlidingLog) -> int:
    """By how much the worst span of a run exceeds what the limit's law says; 0 and below: it holds."""
    if isinstance(limit, TokenBucket):
        slack_us = 1 if limit.max_wait_us else 0
        return most_over(run.starts, bucket_bound(limit.amount, limit.period_us, limit.burst, slack_us))
    return most_over(run.starts, window_bound(limit.limit, limit.window_us, sum(start.cost for start in run.starts)))


@HISTORIES
@given(make.token_buckets, histories(EITHER_WAY), make.CLOCKS)
def test_a_token_bucket_admits_at_most_the_burst_and_what_came_back_in_any_span(limit, history, now_us):
    assert over_the_law(played(limit, history, now_us), limit) <= 0


@HISTORIES
@given(make.waiting_buckets | make.leaky_buckets, histories(EITHER_WAY), make.CLOCKS)
def test_where_calls_wait_the_same_holds_from_start_to_start_and_one_microsecond(limit, history, now_us):
    assert over_the_law(played(limit, history, now_us), limit) <= 0


@HISTORIES
@given(strict_windows, histories(EITHER_WAY), make.CLOCKS)
def test_a_sliding_window_or_log_admits_at_most_its_limit_in_any_window(limit, history, now_us):
    assert over_the_law(played(limit, history, now_us), limit) <= 0


@settings(max_examples=300)
@given(make.tight_windows, histories(SHORT | st.integers(-40, -1), make.ONE, most=12))
@example(SlidingWindow(2, 70), [(27, 1), (1, 1), (-8, 1), (make.RETRY, 1)])
def test_not_even_where_the_clock_steps_back_across_the_edges_of_sub_windows(limit, history):
    assert over_the_law(played(limit, history), limit) <= 0


@HISTORIES
@given(make.fixed_windows, histories(FORWARD), make.CLOCKS)
def test_a_fixed_window_admits_at_most_its_limit_in_each_window_and_twice_that_around_an_edge(limit, history, now_us):
    run = played(limit, history, now_us)
    taken = Counter[int]()
    for start in run.starts:
        taken[start.at_us // limit.window_us] += start.cost
    assert all(count <= limit.limit for count in taken.values())
    total = sum(taken.values())
    assert most_over(run.starts, window_bound(2 * limit.limit, limit.window_us, total)) <= 0


@HISTORIES
@given(make.fixed_windows, histories(FORWARD), st.integers(1, 400))
def test_a_step_back_brings_nothing_back_to_a_fixed_window(limit, history, step_us):
    run = played(limit, history)
    if not run.charges:
        return
    written_us = run.charges[-1].at_us
    remaining, _ = limit.view(run.state, written_us)
    run.go(written_us - step_us)
    assert remaining == run.remaining


@HISTORIES
@given(make.leaky_buckets, st.lists(st.integers(0, 30), min_size=2, max_size=40))
def test_a_leaky_bucket_spaces_calls_evenly(limit: LeakyBucket, steps):
    run = Run(limit)
    for step in steps:
        run.go(run.now_us + step)
        run.call()
    for row in rows_without_a_gap(run, limit):
        first_us = row[0]
        assert [first_us + ceil(n * limit.period_us / limit.amount) for n in range(len(row))] == row


def rows_without_a_gap(run: Run, limit: LeakyBucket) -> list[list[int]]:
    """Starts in rows, each begun by a call that did not have to wait."""
    rows: list[list[int]] = []
    for start, charge in zip(run.starts, run.charges, strict=True):
        if charge.waited:
            rows[-1].append(start.at_us)
        else:
            rows.append([start.at_us])
    for row, following in pairwise(rows):
        assert following[0] - row[-1] >= limit.period_us // limit.amount
    return rows


# -- giving back -------------------------------------------------------------------------------------------------------

Act = tuple[Step, int, int | None]  # a step, then a call of this cost, or so much of an earlier call is given back

ACTS: st.SearchStrategy[Act] = st.tuples(SHORT, st.sampled_from([1, 1, 1, 2, 3]), st.none()) | st.tuples(
    st.just(0) | st.integers(0, 40), st.sampled_from([0, -1, -2, -3]) | st.integers(0, 30), st.sampled_from([1, 2, 12])
)


def played_back(limit: Limit[Any], acts: list[Act]) -> Run:
    run = Run(limit)
    for step, number, returned in acts:
        run.go(stepped(run, step))
        if returned is None:
            run.call(number)
        elif run.starts:
            run.give_back(number % len(run.starts), returned)
    return run


@settings(max_examples=300)
@given(make.token_buckets | make.waiting_buckets | make.leaky_buckets | strict_windows, st.lists(ACTS, max_size=15))
@example(TokenBucket(4, 44, 2, 32), [(0, 1, None), (0, 2, None), (1, 0, 1), (1, 1, None)])
@example(TokenBucket(1, 54, 3, 88), [(0, 2, None), (0, 2, None), (0, 1, 1), (1, 0, 2), (26, 3, None)])
def test_giving_back_never_lets_in_more_than_had_those_calls_not_been_made(limit, acts: list[Act]):
    assert over_the_law(played_back(limit, acts), limit) <= 0


@settings(max_examples=300)
@given(make.fixed_windows, st.lists(ACTS, max_size=15))
def test_giving_back_never_lets_more_into_a_fixed_window(limit: FixedWindow, acts: list[Act]):
    run = played_back(limit, acts)
    taken = Counter[int]()
    for start in run.starts:
        taken[start.at_us // limit.window_us] += start.cost
    assert all(count <= limit.limit for count in taken.values())


# -- changed numbers ---------------------------------------------------------------------------------------------------

WIDE = st.builds(SlidingWindow, st.integers(1, 3), st.integers(3, 60).map(lambda tenth: 10 * tenth))


@settings(max_examples=300)
@given(
    st.tuples(WIDE, WIDE) | st.tuples(make.sliding_logs, make.sliding_logs),
    histories(SHORT | st.integers(-40, 200), make.ONE, most=8),
    histories(SHORT | st.integers(-40, -1), make.ONE, most=8),
)
@example((SlidingWindow(3, 440), SlidingWindow(2, 40)), [(15, 1), (33, 1)], [(0, 1)])
@example((SlidingWindow(3, 61), SlidingWindow(2, 275)), [(38, 1), (37, 1)], [(1, 1), (make.RETRY, 1)])
def test_after_a_change_a_window_counts_all_that_the_old_one_still_counted(limits, before, after):
    old, new = limits
    run = played(old, before)
    counted = [start for start in run.starts if start.at_us > run.lived_us - old.window_us]
    run.adopt(new)
    for step, cost in after:
        run.go(stepped(run, step))
        if run.call(cost).allowed:
            counted.append(run.starts[-1])
            assert new.limit >= sum(start.cost for start in counted if start.at_us > run.lived_us - new.window_us)
