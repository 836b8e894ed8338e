"""Sliding log: a table of rows as its specification, giving back, step-backs and changed numbers."""

from __future__ import annotations

import pytest

from guardrail.core.limit import Charge
from guardrail.core.sliding_log import SlidingLog
from tests.core.limit_run import MIN, MS, Row, Run, S, play

# five a second
EACH_COMES_BACK_AFTER_A_SECOND: list[Row] = [
    # now          cost  allowed  remaining  retry_after
    (0 * MS,         2,    True,      3,     None),
    (0 * MS,         1,    True,      2,     None),
    (300 * MS,       2,    True,      0,     None),
    (400 * MS,       1,    False,     0,     600 * MS),
    (400 * MS,       4,    False,     0,     900 * MS),
    (400 * MS,       6,    False,     0,     None),
    (400 * MS,       0,    True,      0,     None),
    (999_999,        1,    False,     0,     1),
    (1_000 * MS,     1,    True,      2,     None),
    (1_000 * MS,     3,    False,     2,     300 * MS),
    (1_300 * MS,     3,    True,      1,     None),
    (9_000 * MS,     5,    True,      0,     None),
]  # fmt: skip


def test_rows():
    assert EACH_COMES_BACK_AFTER_A_SECOND == play(SlidingLog(5, S), EACH_COMES_BACK_AFTER_A_SECOND)


def test_only_what_counts_is_remembered():
    run = Run(SlidingLog(5, S))
    for now_us in (0, 0, 100):
        run.go(now_us)
        run.call()
    assert (0, 2, 100, 1) == run.state
    assert (100, 1) == run.limit.at(run.state, S)
    assert () == run.limit.at(run.state, S + 100)
    assert () == run.limit.charge((), 0, 0)


def test_the_longest_log_is_exact():
    run = Run(SlidingLog(10_000, S))
    for now_us in range(1_000):
        run.go(now_us)
        assert run.call(10).allowed
    assert S - 999 == run.call().retry_after_us
    run.go(S)
    assert run.call(10).allowed
    assert 1 == run.call().retry_after_us


@pytest.mark.parametrize(
    ("later_us", "returned", "state"),
    [
        (300 * MS, 2, (0, 1, 300 * MS, 1)),
        (300 * MS, 3, (300 * MS, 1)),
        (999_999, 1, (0, 2, 300 * MS, 1)),
        (1_000 * MS, 1, (0, 3, 300 * MS, 1)),  # it does not count any more
    ],
)
def test_what_is_given_back_leaves_the_log_while_it_counts(later_us, returned, state):
    run = Run(SlidingLog(5, S))
    run.call(3)
    run.go(300 * MS)
    run.call(1)
    run.go(later_us)
    run.give_back(0, returned)
    assert state == run.state


def test_nothing_is_given_back_that_is_not_in_the_log():
    log = SlidingLog(5, S)
    charge = Charge(1, 100, log.charge((), 100, 1))
    assert () == log.give_back((), 200, 1, charge)
    assert (50, 1, 150, 1) == log.give_back((50, 1, 150, 1), 200, 1, charge)


def test_a_deficit_passes_the_limit_and_later_calls_wait_for_it():
    log = SlidingLog(5, S)
    owed = log.charge((0, 5), 300 * MS, 7)
    assert (0, S) == log.view(owed, 300 * MS)
    assert S == log.ask(owed, 300 * MS, 5, 0).retry_after_us


def test_ages_are_kept_when_the_clock_steps_back():
    run = Run(SlidingLog(5, S), 10 * S)
    run.call(2)
    run.go(10_500 * MS)
    run.call(3)
    still = run.look(), run.look(3)
    run.go(4 * S)
    assert still == (run.look(), run.look(3))
    assert (3_500 * MS, 2, 4 * S, 3) == run.limit.at(run.state, run.now_us)


def test_a_change_keeps_the_times():
    run = Run(SlidingLog(5, S))
    run.call(2)
    run.go(300 * MS)
    run.call(3)
    run.adopt(SlidingLog(4, MIN))
    assert (0, MIN) == run.view
    assert MIN - 300 * MS == run.look().retry_after_us
    run.go(200 * MS)  # back, into a window that has forgotten the first
    run.adopt(SlidingLog(4, 100 * MS))
    assert (200 * MS, 3) == run.limit.at(run.state, run.now_us)
