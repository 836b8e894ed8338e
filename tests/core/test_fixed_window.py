"""Fixed window: a table of rows as its specification, giving back, step-backs and changed numbers."""

from __future__ import annotations

import pytest

from guardrail.core.fixed_window import FixedWindow
from tests.core.limit_run import MIN, MS, Row, Run, S, play

# five a second
FRESH_EVERY_SECOND: list[Row] = [
    # now          cost  allowed  remaining  retry_after
    (0 * MS,         1,    True,      4,     None),
    (999_998,        4,    True,      0,     None),
    (999_998,        1,    False,     0,     2),
    (999_998,        6,    False,     0,     None),
    (999_999,        0,    True,      0,     None),
    (1_000 * MS,     5,    True,      0,     None),  # twice the limit in three microseconds
    (1_400 * MS,     5,    False,     0,     600 * MS),
    (2_000 * MS,     3,    True,      2,     None),
    (2_000 * MS,     3,    False,     2,     1_000 * MS),
    (2_000 * MS,     2,    True,      0,     None),
]  # fmt: skip


def test_rows():
    assert FRESH_EVERY_SECOND == play(FixedWindow(5, S), FRESH_EVERY_SECOND)


def test_a_refused_call_is_not_counted():
    """throttled-py counts 9 of 5."""
    run = Run(FixedWindow(5, S))
    for _ in range(9):
        run.call()
    assert (0, 5) == run.state


def test_a_window_without_calls_is_reset_already():
    run = Run(FixedWindow(5, S), 300 * MS)
    assert (5, 0) == run.view
    run.call()
    assert (4, 700 * MS) == run.view


@pytest.mark.parametrize(
    ("later_us", "returned", "state"),
    [
        (999_999, 1, (0, 3)),
        (999_999, 3, (0, 1)),
        (1_000 * MS, 3, (0, 4)),  # it does not count any more
    ],
)
def test_what_is_given_back_leaves_the_counter_while_that_counts(later_us, returned, state):
    run = Run(FixedWindow(5, S))
    run.call(3)
    run.call(1)
    run.go(later_us)
    run.give_back(0, returned)
    assert state == run.state


def test_nothing_is_given_back_to_the_next_window():
    run = Run(FixedWindow(5, S))
    run.call(3)
    run.go(1_000 * MS)
    run.call(4)
    run.give_back(0)
    assert (1, 4) == run.state


def test_a_deficit_passes_the_limit_and_is_forgotten_with_the_window():
    window = FixedWindow(5, S)
    owed = window.charge((0, 5), 300 * MS, 7)
    assert (0, 700 * MS) == window.view(owed, 300 * MS)
    assert 700 * MS == window.ask(owed, 300 * MS, 1, 0).retry_after_us


def test_a_clock_that_steps_back_takes_its_counter_along():
    run = Run(FixedWindow(5, S), 3_600 * S)
    run.call(5)
    run.go(700 * MS)
    assert 300 * MS == run.call().retry_after_us
    assert (0, 5) == run.state
    run.go(1_000 * MS)
    assert run.call().allowed


def test_what_was_used_stays_used_in_a_window_of_another_length():
    for width_us in (100 * MS, S, 7 * S, MIN):
        run = Run(FixedWindow(5, S), 61_500 * MS)
        run.call(3)
        run.adopt(FixedWindow(4, width_us))
        assert 1 == run.remaining
        assert not run.call(2).allowed
        assert run.call(1).allowed


def test_a_changed_limit_still_ends_with_its_window():
    run = Run(FixedWindow(5, S))
    run.call(5)
    run.adopt(FixedWindow(9, S))
    assert (4, S) == run.view
    run.go(S)
    assert (9, 0) == run.view
