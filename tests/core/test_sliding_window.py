"""Sliding window: tables of rows as its specification, giving back, step-backs and changed numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.limit import Charge
from guardrail.core.sliding_window import SlidingWindow
from tests.core.limit_run import MIN, MS, Row, Run, S, play

# five a second: sub-windows of 100 ms, each counts until ten more have passed
STRICT: list[Row] = [
    # now          cost  allowed  remaining  retry_after
    (50 * MS,        2,    True,      3,     None),
    (199_999,        2,    True,      1,     None),
    (200 * MS,       2,    False,     1,     900 * MS),  # the first two leave at 1.1 s
    (200 * MS,       4,    False,     1,     1_000 * MS),  # the next two at 1.2 s
    (200 * MS,       6,    False,     1,     None),
    (200 * MS,       0,    True,      1,     None),
    (200 * MS,       1,    True,      0,     None),
    (1_050 * MS,     1,    False,     0,     50 * MS),  # a second after the first two
    (1_099_999,      1,    False,     0,     1),
    (1_100 * MS,     2,    True,      0,     None),
    (1_200 * MS,     3,    False,     2,     100 * MS),
    (1_300 * MS,     3,    True,      0,     None),
    (9_000 * MS,     5,    True,      0,     None),
]  # fmt: skip

# three in 25 us: sub-windows of 2.5 us are rounded up to 3, so that it is strict for 30
ROUNDED_UP: list[Row] = [
    # now  cost  allowed  remaining  retry_after
    (2,     3,    True,      0,     None),
    (2,     1,    False,     0,     31),
    (32,    1,    False,     0,     1),
    (33,    1,    True,      2,     None),
]  # fmt: skip

# shorter than ten sub-windows of a microsecond
TINY: list[Row] = [
    # now  cost  allowed  remaining  retry_after
    (0,     1,    True,      0,     None),
    (10,    1,    False,     0,     1),
    (11,    1,    True,      0,     None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("window", "rows"),
    [
        pytest.param(SlidingWindow(5, S), STRICT, id="5 a second"),
        pytest.param(SlidingWindow(3, 25), ROUNDED_UP, id="3 in 25 us"),
        pytest.param(SlidingWindow(1, 7), TINY, id="1 in 7 us"),
    ],
)
def test_rows(window, rows):
    assert rows == play(window, rows)


def test_a_greedy_caller_around_an_edge_gets_the_limit_and_no_more():
    """Two weighted buckets let 199 of 100 through."""
    run = Run(SlidingWindow(100, MIN))
    for now_us in range(59 * S, 61 * S, 10 * MS):
        run.go(now_us)
        run.call()
    assert 100 == len(run.starts)


def test_only_what_counts_is_remembered():
    run = Run(SlidingWindow(5, S))
    for now_us in (0, 50 * MS, 100 * MS):
        run.go(now_us)
        run.call()
    assert (0, 2, 1, 1) == run.state
    assert (1, 1) == run.limit.at(run.state, 1_100 * MS)
    assert () == run.limit.at(run.state, 1_200 * MS)
    assert () == run.limit.charge((), 0, 0)


# -- giving back -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later_us", "state"),
    [
        (0, (0, 2, 3, 1)),
        (1_099_999, (0, 2, 3, 1)),
        (1_100 * MS, (0, 4, 3, 1)),  # it does not count any more
    ],
)
def test_what_is_given_back_leaves_the_counter_it_was_charged_to_while_that_counts(later_us, state):
    run = Run(SlidingWindow(5, S))
    run.call(4)
    run.go(300 * MS)
    run.call(1)
    run.go(later_us)
    run.give_back(0, 2)
    assert state == run.state


def test_a_counter_that_is_empty_again_goes():
    run = Run(SlidingWindow(5, S))
    for now_us in (0, 100 * MS, 200 * MS):
        run.go(now_us)
        run.call()
    run.give_back(1)
    assert (0, 1, 2, 1) == run.state
    run.give_back(2)
    run.give_back(0)
    assert () == run.state


def test_nothing_is_given_back_to_a_counter_that_is_gone():
    window = SlidingWindow(5, S)
    charge = Charge(1, 100 * MS, window.charge((), 100 * MS, 1))
    assert () == window.give_back((), 200 * MS, 1, charge)
    assert (0, 1, 2, 1) == window.give_back((0, 1, 2, 1), 200 * MS, 1, charge)


def test_a_deficit_passes_the_limit_and_later_calls_wait_for_it():
    window = SlidingWindow(5, S)
    owed = window.charge((0, 5), 300 * MS, 7)
    assert (0, 1_100 * MS) == window.view(owed, 300 * MS)
    assert 1_100 * MS == window.ask(owed, 300 * MS, 5, 0).retry_after_us


# -- a clock that steps back -------------------------------------------------------------------------------------------


def test_ages_are_kept_when_the_clock_steps_back():
    run = Run(SlidingWindow(5, S), 10 * S)
    run.call(2)
    run.go(10_500 * MS)
    run.call(3)
    still = run.look(), run.look(3)
    run.go(4 * S)
    assert still == (run.look(), run.look(3))
    assert (35, 2, 40, 3) == run.limit.at(run.state, run.now_us)


def test_where_the_step_ends_inside_of_a_sub_window_ages_are_rounded_down_so_that_nothing_leaves_early():
    run = Run(SlidingWindow(5, S), 999_999)
    run.call(2)
    run.go(S)
    run.call(3)  # 1 us later, one sub-window later
    run.go(150 * MS)
    assert (1, 5) == run.limit.at(run.state, run.now_us)


# -- changed numbers ---------------------------------------------------------------------------------------------------


def test_counters_go_where_their_last_microsecond_lies():
    same, wider = SlidingWindow(5, S), SlidingWindow(5, MIN)
    assert (3, 2, 7, 1) == SlidingWindow(9, S).adopt((3, 2, 7, 1), same)
    assert () == wider.adopt((), same)
    assert (0, 3) == wider.adopt((0, 1, 59, 2), same)
    assert (0, 1, 1, 2) == wider.adopt((55, 1, 62, 2), same)  # 5.5 s is in the first six seconds, 6.2 s in the next


def test_a_narrower_window_keeps_what_was_used_last_for_a_whole_window_of_its_own():
    run = Run(SlidingWindow(5, MIN), 30 * S)
    run.call(2)
    run.go(37 * S)
    run.call(3)
    run.adopt(SlidingWindow(5, 5 * S))  # sub-windows of 6 s become sub-windows of 0.5 s
    assert not run.call().allowed  # the clock seems to have stepped back, and the refusal writes that down
    assert (0, 5_500 * MS) == run.view
    run.go(37 * S + 5_500 * MS)
    assert (5, 0) == run.view


def test_the_unused_rest_of_a_wide_sub_window_does_not_age_what_came_before_it():
    """The first was 2 s ago when the window became 3 s. Its sub-window ended 1 s ago, that of the second ends in 5 s."""
    run = Run(SlidingWindow(2, MIN), 59 * S)
    run.call()
    run.go(61 * S)
    run.call()
    run.adopt(SlidingWindow(2, 3 * S))
    assert 0 == run.remaining
    assert not run.call().allowed


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.lists(st.integers(0, 10**6), min_size=1), st.integers(0, 10**6))
def test_no_counter_is_lost_or_leaves_the_order_in_a_change(old_us, new_us, times_us, now_us):
    run = Run(SlidingWindow(10**6, old_us))
    for time_us in sorted(times_us):
        run.go(time_us)
        run.call()
    used = sum(run.state[1::2])
    run.adopt(SlidingWindow(10**6, new_us))
    assert used == sum(run.state[1::2])
    assert sorted(set(run.state[::2])) == list(run.state[::2])
