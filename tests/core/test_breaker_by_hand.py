"""What people do to a breaker: force it, reset it, give it other thresholds, look at it. And what a clock does to it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from guardrail.core.breaker import Breaker
from guardrail.core.breaker_state import BreakerRuling, BreakerSnapshot, Transition
from tests.core.breaker_run import HALF, OPEN_FOR_US, PROBE_TIMEOUT_US, Run


def test_a_forced_open_breaker_refuses_until_reset_and_names_no_time() -> None:
    run = Run(now_us=3)
    forced = run.breaker.force_open(run.state, run.now_us)
    assert Transition("closed", "forced_open", "opened by hand", 3) == forced
    run.now_us = 10**12
    assert run.ask() == BreakerRuling(allowed=False, reason="breaker_forced", retry_after_us=None)
    closed = run.breaker.reset(run.state, run.now_us)
    assert Transition("forced_open", "closed", "reset by hand", 10**12) == closed
    assert run.ask().allowed


def test_in_a_forced_closed_breaker_outcomes_change_only_totals() -> None:
    run = Run(consecutive_failures=1)
    forced = run.breaker.force_closed(run.state, run.now_us)
    assert Transition("closed", "forced_closed", "closed by hand", 0) == forced
    run.calls("failure", "failure", "success", "ignored")
    state = run.state
    assert (state.phase, state.window.calls, state.row) == ("forced_closed", 0, 0)
    assert (state.total_failures, state.total_successes, state.total_ignored) == (2, 1, 1)
    run.breaker.reset(state, run.now_us)
    assert run.calls("failure") is not None


def test_forcing_twice_changes_nothing_the_second_time() -> None:
    run = Run()
    run.breaker.force_open(run.state, 0)
    assert run.breaker.force_open(run.state, 1) is None
    assert run.state.generation == 1
    assert run.breaker.force_closed(run.state, 2) is not None
    assert run.breaker.force_closed(run.state, 3) is None
    assert run.state.generation == 2


def test_forcing_an_open_breaker_closed_lets_calls_in_at_once() -> None:
    run = Run()
    run.calls("failure", "failure", "failure", "failure")
    run.breaker.force_closed(run.state, run.now_us)
    assert run.ask().allowed
    assert run.breaker.snapshot(run.state, run.now_us).opened_at is None


def test_forcing_a_half_open_breaker_ends_its_trial() -> None:
    for end in "force_open", "force_closed", "reset":
        run = Run.about_to_probe()
        probe = run.enter()
        getattr(run.breaker, end)(run.state, run.now_us)
        assert run.state.trial is None
        assert run.end(probe, "failure") is None
        assert run.state.window.failures == (1 if end != "reset" else 0)


def test_reset_starts_a_new_generation_even_of_a_closed_breaker() -> None:
    """Calls admitted before the reset no longer vote; totals are kept."""
    run = Run(consecutive_failures=3)
    run.calls("failure", "failure")
    assert run.breaker.reset(run.state, run.now_us) is None
    assert run.state.generation == 1
    assert run.end(run.early, "failure") is None
    assert (run.state.window.calls, run.state.row) == (0, 0)
    assert run.state.total_failures == 3


def test_reset_ends_the_doubling() -> None:
    run = Run.about_to_probe(half_open_calls=1, open_for_max_us=10_000)
    run.calls("failure")
    assert run.refused_for() == 2 * OPEN_FOR_US
    run.breaker.reset(run.state, run.now_us)
    run.calls("failure")
    assert run.refused_for() == OPEN_FOR_US


def test_other_thresholds_keep_state_and_window() -> None:
    """A window of the same shape is kept with all that is in it, and so is an open breaker."""
    run = Run()
    run.calls("failure", "failure", "failure")
    stricter = Breaker(failure_rate=Fraction(1, 10), window_us=1000, min_calls=2)
    stricter.adopt(run.state, run.breaker)
    assert run.state.phase == "closed"
    run.breaker = stricter
    opened = run.calls("success")
    assert opened is not None
    assert opened.reason == "failure rate 75 % >= 10 % over 4 calls"


def test_a_new_open_for_holds_for_a_breaker_that_is_open() -> None:
    run = Run()
    run.calls("failure", "failure", "failure", "failure")
    patient = Breaker(failure_rate=HALF, window_us=1000, open_for_us=2000)
    patient.adopt(run.state, run.breaker)
    assert patient.ask(run.state, 0).retry_after_us == 2000


def test_a_window_of_another_shape_starts_empty_and_the_state_stays() -> None:
    for other in Run(window_us=2000).breaker, Run(window_us=None, window_calls=50).breaker:
        run = Run()
        run.calls("failure", "failure", "failure")
        other.adopt(run.state, run.breaker)
        run.breaker = other
        assert run.state.window.calls == 0
        run.breaker.force_open(run.state, 0)
        Run().breaker.adopt(run.state, other)
        assert run.state.phase == "forced_open"


def test_calls_that_began_before_a_window_of_another_shape_do_not_count_in_it() -> None:
    run = Run()
    other = Run(window_us=None, window_calls=50).breaker
    other.adopt(run.state, run.breaker)
    run.breaker = other
    assert run.end(run.early, "failure") is None
    assert (run.state.window.calls, run.state.total_failures) == (0, 1)
    run.calls("failure")
    assert run.state.window.calls == 1


def test_a_trial_under_way_does_not_notice_a_window_of_another_shape() -> None:
    run = Run.about_to_probe(half_open_calls=1)
    probe = run.enter()
    other = Run(window_us=2000, half_open_calls=1).breaker
    other.adopt(run.state, run.breaker)
    run.breaker = other
    closed = run.end(probe, "success")
    assert closed is not None
    assert closed.to_state == "closed"


def test_a_trial_under_way_keeps_its_size_when_thresholds_change() -> None:
    run = Run.about_to_probe(half_open_calls=3)
    probes = [run.enter() for _ in range(3)]
    single = Breaker(failure_rate=HALF, window_us=1000, half_open_calls=1)
    single.adopt(run.state, run.breaker)
    run.breaker = single
    assert run.end(probes[0], "success") is None
    assert run.end(probes[1], "success") is not None


def test_a_breaker_is_idle_when_a_fresh_one_would_decide_the_same() -> None:
    run = Run(consecutive_failures=5, min_calls=100)
    assert run.breaker.is_idle(run.state, 0)
    run.calls("success")
    assert not run.breaker.is_idle(run.state, 999)
    assert run.breaker.is_idle(run.state, 1000)
    run.calls("failure")
    assert not run.breaker.is_idle(run.state, 1000)  # the row does not grow old
    run.breaker.force_closed(run.state, 0)
    assert not run.breaker.is_idle(run.state, 1000)


def test_a_row_is_nothing_to_a_breaker_that_does_not_look_at_it() -> None:
    run = Run(min_calls=100)
    run.calls("failure")
    assert run.breaker.is_idle(run.state, 1000)


def test_a_snapshot_shows_everything_and_changes_nothing() -> None:
    run = Run(now_us=5, slow_call_us=10, slow_rate=Fraction(1), min_calls=3)
    run.calls("ignored", "success")
    run.calls("success", each_us=11)
    kept = run.state.copy()
    shown = run.breaker.snapshot(run.state, run.now_us)
    assert kept == run.state
    assert shown == BreakerSnapshot(
        state="closed",
        generation=0,
        calls=2,
        failures=0,
        slow=1,
        failure_rate=0.0,
        slow_rate=0.5,
        consecutive_failures=0,
        opened_at=None,
        retry_after=None,
        probes_out=0,
        probes_voted=0,
        total_successes=2,
        total_failures=0,
        total_slow=1,
        total_ignored=1,
    )


def test_a_snapshot_of_an_empty_window_has_no_rates() -> None:
    run = Run()
    shown = run.breaker.snapshot(run.state, 0)
    assert (shown.calls, shown.failure_rate, shown.slow_rate) == (0, None, None)


def test_a_snapshot_of_an_open_and_a_half_open_breaker_says_when_to_come_back() -> None:
    run = Run.about_to_probe(half_open_calls=2)
    opened = run.breaker.snapshot(run.state, 100)
    assert (opened.state, opened.opened_at, opened.retry_after) == ("open", 0, 0.0004)
    probe = run.enter()
    run.enter()
    run.end(probe, "ignored")
    run.enter()
    probing = run.breaker.snapshot(run.state, run.now_us + 1)
    assert (probing.state, probing.probes_out, probing.probes_voted) == ("half_open", 2, 0)
    assert probing.retry_after == (PROBE_TIMEOUT_US - 1) / 1_000_000


def test_a_snapshot_shows_what_time_has_decided_though_nobody_has_looked() -> None:
    run = Run.about_to_probe(half_open_calls=1)
    run.begin(run.enter())
    shown = run.breaker.snapshot(run.state, run.now_us + PROBE_TIMEOUT_US)
    assert shown.state == "closed"
    assert run.state.phase == "half_open"


def test_a_peek_leaves_no_trace() -> None:
    assert Run().breaker.peek(Run().state, 0).allowed
    run = Run.about_to_probe(half_open_calls=1)
    assert run.breaker.peek(run.state, run.now_us).allowed
    assert run.state.phase == "open"
    run.enter()
    kept = run.state.copy()
    assert run.breaker.peek(run.state, run.now_us - 50).retry_after_us == PROBE_TIMEOUT_US
    assert run.breaker.peek(run.state, run.now_us + PROBE_TIMEOUT_US).allowed
    assert kept == run.state


def test_a_clock_that_steps_back_does_not_keep_a_breaker_open_any_longer() -> None:
    run = Run(now_us=10**6)
    run.calls("failure", "failure", "failure", "failure")
    run.now_us += 100
    run.ask()
    run.now_us = 7  # back by almost a second
    assert run.refused_for() == OPEN_FOR_US - 100
    assert run.breaker.snapshot(run.state, 7).opened_at == (7 - 100) / 1_000_000


def test_a_clock_that_steps_back_keeps_the_age_of_outcomes() -> None:
    run = Run(now_us=10**6)
    run.calls("failure", "failure")
    run.now_us = 0
    assert run.breaker.snapshot(run.state, 0).calls == 2
    run.ask()
    for now_us, calls in (999, 2), (1000, 0):
        assert run.breaker.snapshot(run.state, now_us).calls == calls


def test_a_clock_that_steps_back_keeps_the_age_of_probes_and_calls() -> None:
    run = Run.about_to_probe(half_open_calls=1, slow_call_us=50, slow_rate=Fraction(1))
    probe = run.enter()
    run.now_us += 51
    run.ask()
    run.now_us -= 200
    assert run.refused_for() == PROBE_TIMEOUT_US - 51
    reopened = run.end(probe, "success")
    assert reopened is not None
    assert (reopened.to_state, reopened.at_us) == ("open", run.now_us)


def test_a_call_during_which_the_clock_stepped_back_took_no_time_for_it() -> None:
    run = Run(now_us=1000, slow_call_us=10, slow_rate=Fraction(1))
    ticket = run.enter()
    run.now_us = 0
    run.end(ticket, "success")
    assert (run.state.window.calls, run.state.window.slow) == (1, 0)


@pytest.mark.parametrize("window", [{"window_us": 1000, "window_calls": None}, {"window_us": None, "window_calls": 9}])
def test_a_copy_goes_its_own_way(window: dict[str, int | None]) -> None:
    run = Run.about_to_probe(**window)
    run.enter()
    kept = run.state.copy()
    assert kept == run.state
    run.enter()
    assert kept != run.state
    run.breaker.reset(run.state, run.now_us)
    kept = run.state.copy()
    run.calls("success")
    assert kept.window == run.breaker.empty_window(run.now_us)
