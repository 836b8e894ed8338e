"""A breaker opens by what it has in view, and stays open for as long as it must."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from guardrail.core.breaker import Breaker
from guardrail.core.breaker_state import BreakerRuling, Transition
from guardrail.core.breaker_thresholds import Thresholds
from tests.core.breaker_run import HALF, Run


def test_opens_when_the_rate_equals_its_threshold() -> None:
    run = Run()
    assert run.calls("success", "success", "failure") is None
    opened = run.calls("failure")
    assert Transition("closed", "open", "failure rate 50 % >= 50 % over 4 calls", 0) == opened
    assert run.state.phase == "open"


def test_stays_closed_one_call_below_min_calls() -> None:
    run = Run(min_calls=5)
    assert run.calls("failure", "failure", "failure", "failure") is None


def test_a_success_that_completes_min_calls_opens() -> None:
    """Thresholds are looked at with every outcome, not with failures only."""
    run = Run()
    run.calls("failure", "failure", "failure")
    opened = run.calls("success")
    assert opened is not None
    assert opened.reason == "failure rate 75 % >= 50 % over 4 calls"


def test_a_rate_just_below_its_threshold_does_not_open() -> None:
    """Rates are compared exactly: 1 of 3 is below 0.3334 and not below 1/3."""
    closed = Run(failure_rate=Fraction("0.3334"), min_calls=3)
    assert closed.calls("failure", "success", "success") is None
    opened = Run(failure_rate=Fraction(1, 3), min_calls=3)
    assert opened.calls("failure", "success", "success") is not None


def test_the_passing_of_time_never_opens() -> None:
    """When old successes leave the window the rate goes up, but only the next outcome looks at it."""
    run = Run()
    run.calls("success", "success", "success", "success", "success")
    run.now_us = 900
    run.calls("failure", "failure", "failure", "failure")
    run.now_us = 1000  # the successes have left: 4 of 4 failed
    assert run.ask().allowed
    assert run.state.phase == "closed"
    opened = run.calls("success")
    assert opened is not None
    assert opened.reason == "failure rate 80 % >= 50 % over 5 calls"


def test_ten_buckets_count_and_the_eleventh_does_not() -> None:
    run = Run(window_us=1000)
    run.now_us = 99
    run.calls("failure", "failure", "failure")
    run.now_us = 999
    run.breaker.settle(run.state, run.now_us)
    assert run.state.window.calls == 3
    run.now_us = 1000
    run.breaker.settle(run.state, run.now_us)
    assert run.state.window.calls == 0


def test_buckets_are_a_tenth_of_the_window_rounded_up() -> None:
    """A window of 1001 us has buckets of 101 us, so the first one counts until 1010."""
    run = Run(window_us=1001)
    run.calls("failure")
    for now_us, calls in (1009, 1), (1010, 0):
        assert run.breaker.snapshot(run.state, now_us).calls == calls


def test_an_idle_window_is_empty_when_it_is_read() -> None:
    run = Run()
    run.calls("failure", "success")
    run.now_us = 10**9
    assert run.breaker.snapshot(run.state, run.now_us).calls == 0
    run.calls("failure")
    assert run.state.window.calls == 1


def test_buckets_leave_one_by_one() -> None:
    run = Run(failure_rate=Fraction(1), min_calls=100)
    for bucket in range(12):
        run.now_us = bucket * 100
        for _ in range(bucket + 1):
            run.calls("success")
    assert run.state.window.calls == sum(range(3, 13))


def test_a_window_of_calls_holds_the_last_ones_however_old() -> None:
    run = Run(window_us=None, window_calls=4)
    run.calls("failure", "success", "success", "success", "success")
    run.now_us = 10**9
    assert run.calls("failure") is None  # the first failure has left: 1 of 4
    opened = run.calls("failure")
    assert opened is not None
    assert opened.reason == "failure rate 50 % >= 50 % over 4 calls"


def test_slow_is_longer_than_slow_call_and_not_equal() -> None:
    run = Run(failure_rate=None, slow_call_us=10, slow_rate=HALF, min_calls=2)
    assert run.calls("success", "success", "success", each_us=10) is None
    opened = run.calls("success", "success", "success", each_us=11)
    assert opened is not None
    assert opened.reason == "slow rate 50 % >= 50 % over 6 calls"


def test_a_slow_failure_is_both_a_failure_and_slow() -> None:
    run = Run(failure_rate=Fraction(1), slow_call_us=10, slow_rate=Fraction(1), min_calls=3)
    run.calls("failure", each_us=11)
    window = run.state.window
    assert (window.calls, window.failures, window.slow) == (1, 1, 1)
    assert (run.state.total_failures, run.state.total_slow, run.state.total_successes) == (1, 1, 0)


def test_a_slow_success_in_a_window_of_calls_leaves_as_slow() -> None:
    run = Run(window_us=None, window_calls=2, min_calls=2, slow_call_us=10, slow_rate=Fraction(1))
    run.calls("success", each_us=11)
    run.calls("success", "success")
    assert (run.state.window.calls, run.state.window.slow) == (2, 0)


def test_the_duration_of_a_stream_ends_with_its_first_item() -> None:
    run = Run(slow_call_us=10, slow_rate=HALF)
    ticket = run.enter()
    run.now_us = 10
    ticket = run.breaker.begin(run.state, ticket, run.now_us)
    run.now_us = 200
    again = run.breaker.begin(run.state, ticket, run.now_us)
    run.end(again, "success")
    assert (run.state.window.calls, run.state.window.slow) == (1, 0)


def test_failures_in_a_row_open_without_min_calls() -> None:
    run = Run(failure_rate=None, consecutive_failures=3, min_calls=100)
    run.calls("failure", "failure", "success", "failure", "failure")
    opened = run.calls("failure")
    assert opened is not None
    assert opened.reason == "3 failed in a row"


def test_a_row_of_failures_does_not_grow_old() -> None:
    run = Run(failure_rate=None, consecutive_failures=2)
    run.calls("failure")
    run.now_us = 10**9
    assert run.calls("failure") is not None


def test_an_ignored_outcome_neither_counts_nor_ends_a_row() -> None:
    run = Run(consecutive_failures=2)
    run.calls("failure", "ignored")
    assert run.state.window.calls == 1
    assert run.state.total_ignored == 1
    assert run.calls("failure") is not None


def test_an_ignored_call_is_not_slow() -> None:
    run = Run(slow_call_us=10, slow_rate=HALF)
    run.calls("ignored", each_us=11)
    assert (run.state.window.slow, run.state.total_slow) == (0, 0)


def test_an_open_breaker_says_to_the_microsecond_when_to_come_back() -> None:
    run = Run(now_us=7)
    run.calls("failure", "failure", "failure", "failure")
    assert BreakerRuling(False, "breaker_open", 500) == run.ask()
    run.now_us = 506
    assert BreakerRuling(False, "breaker_open", 1) == run.ask()
    run.now_us = 507
    assert run.ask().allowed


def test_an_open_breaker_stays_open_until_somebody_calls() -> None:
    run = Run()
    run.calls("failure", "failure", "failure", "failure")
    run.now_us = 10**9
    assert run.ask().allowed
    assert run.state.phase == "open"
    ticket, transition = run.breaker.admit(run.state, run.now_us)
    assert Transition("open", "half_open", "the 0.0005 s it had to stay open are over", 10**9) == transition
    assert ticket.probe_id


def test_a_result_from_before_the_opening_changes_only_totals() -> None:
    """Calls that were under way when it opened come back to an open breaker."""
    run = Run()
    late, later = run.enter(), run.enter()
    run.calls("failure", "failure", "failure", "failure")
    before = run.state.copy()
    assert run.end(late, "success") is None
    assert run.end(later, "failure") is None
    assert run.state.total_successes == before.total_successes + 1
    assert run.state.total_failures == before.total_failures + 1
    before.total_successes, before.total_failures = run.state.total_successes, run.state.total_failures
    assert before == run.state


@pytest.mark.parametrize(
    ("thresholds", "sentence"),
    [
        ({"min_calls": 0}, "min_calls must be at least 1, got 0"),
        ({"open_for_us": -1}, "open_for_us must be at least 1, got -1"),
        ({"half_open_calls": 0}, "half_open_calls must be at least 1, got 0"),
        ({"failure_rate": Fraction(0)}, "failure_rate must be above 0 and at most 1, got 0"),
        ({"failure_rate": Fraction(3, 2)}, "failure_rate must be above 0 and at most 1, got 3/2"),
        ({"slow_call_us": 5, "slow_rate": Fraction(2)}, "slow_rate must be above 0 and at most 1, got 2"),
        ({"failure_rate": None}, "a breaker needs failure_rate, slow_rate or consecutive_failures"),
        ({"slow_call_us": 5}, "slow_call_us and slow_rate need each other"),
        ({"slow_rate": HALF}, "slow_call_us and slow_rate need each other"),
        ({"window_calls": 100}, "exactly one of window_us and window_calls"),
        ({"window_us": None}, "exactly one of window_us and window_calls"),
        ({"window_us": None, "window_calls": 9}, r"min_calls \(10\) must not be above window_calls \(9\)"),
        ({"open_for_us": 5, "open_for_max_us": 4}, r"open_for_max_us \(4\) must not be below open_for_us \(5\)"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused_in_a_sentence(thresholds: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Breaker(**({"failure_rate": HALF, "window_us": 1000} | thresholds))


def test_min_calls_does_not_matter_where_only_a_row_opens() -> None:
    assert Breaker(consecutive_failures=3, window_calls=5).min_calls == 10


def test_breakers_compare_by_their_thresholds() -> None:
    assert Breaker(failure_rate=HALF, window_us=1) == Breaker(failure_rate=HALF, window_us=1)
    assert len({Breaker(failure_rate=HALF, window_us=1), Breaker(failure_rate=HALF, window_us=2)}) == 2
    assert isinstance(Breaker(failure_rate=HALF, window_us=1), Thresholds)
