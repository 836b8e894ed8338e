"""A half-open breaker lets a few probes through and judges by their votes, as early as it can and no earlier."""

from __future__ import annotations

from fractions import Fraction

import pytest

from guardrail.core.breaker_state import BreakerRuling, Transition
from guardrail.core.verdict import Outcome
from tests.core.breaker_run import HALF, OPEN_FOR_US, PROBE_TIMEOUT_US, Run


def test_no_more_probes_are_out_than_half_open_calls() -> None:
    run = Run.about_to_probe()
    for _ in range(3):
        run.enter()
    assert run.ask() == BreakerRuling(False, "breaker_probing", PROBE_TIMEOUT_US)


def test_a_probe_that_has_voted_keeps_its_slot() -> None:
    """Slots are for probes out or done: 3 calls in all, not 3 at a time."""
    run = Run.about_to_probe(half_open_calls=3, failure_rate=Fraction(2, 3))
    first = run.enter()
    run.enter()
    run.enter()
    assert run.end(first, "failure") is None
    assert run.ask().reason == "breaker_probing"


@pytest.mark.parametrize(
    ("size", "rate", "votes", "ends"),
    [
        (3, Fraction(1, 2), "s s", "closed"),  # 1 of 3 at most
        (3, Fraction(1, 2), "f f", "open"),  # 2 of 3 at least
        (3, Fraction(1, 2), "f s", None),
        (3, Fraction(1, 2), "f s s", "closed"),
        (3, Fraction(1, 2), "s f f", "open"),
        (4, Fraction(1, 2), "f f", "open"),  # 2 of 4 are half: >= opens
        (4, Fraction(1, 2), "f s s s", "closed"),
        (4, Fraction(1, 2), "s s s", "closed"),
        (4, Fraction(1, 2), "s s", None),
        (1, Fraction(1), "s", "closed"),
        (1, Fraction(1), "f", "open"),
        (3, Fraction(1), "s", "closed"),  # 3 of 3 are out of reach
        (3, Fraction(1), "f f", None),
        (3, Fraction(1, 3), "f", "open"),
        (3, Fraction(1, 3), "s s", None),
        (10, Fraction(1, 10), "s s s s s s s s s", None),
        (10, Fraction(1, 10), "s s s s s s s s s s", "closed"),
        (3, Fraction(333, 1000), "f", "open"),
        (3, Fraction(334, 1000), "f", None),
    ],
)
def test_the_verdict_falls_with_the_first_vote_that_settles_it(
    size: int, rate: Fraction, votes: str, ends: str | None
) -> None:
    run = Run.about_to_probe(half_open_calls=size, failure_rate=rate)
    probes = [run.enter() for _ in range(size)]
    words: dict[str, Outcome] = {"s": "success", "f": "failure"}
    transitions = [run.end(probe, words[vote]) for probe, vote in zip(probes, votes.split(), strict=False)]
    assert transitions[:-1] == [None] * (len(transitions) - 1)
    assert ends == (transitions[-1] and transitions[-1].to_state)
    assert run.state.phase == (ends or "half_open")


def test_slow_probes_open_it_again_and_fast_ones_close_it() -> None:
    for took_us, ends in (11, "open"), (10, "closed"):
        run = Run.about_to_probe(slow_call_us=10, slow_rate=HALF, half_open_calls=1)
        probe = run.enter()
        run.now_us += took_us
        decided = run.end(probe, "success")
        assert decided is not None
        assert ends == decided.to_state


def test_what_one_rate_allows_the_other_may_still_prevent() -> None:
    """Two fast successes rule out failures, but slowness of 2/3 is still open."""
    run = Run.about_to_probe(failure_rate=Fraction(1), slow_call_us=10, slow_rate=Fraction(1, 3))
    probes = [run.enter() for _ in range(3)]
    assert [run.end(probe, "success") for probe in probes[:2]] == [None, None]
    run.now_us += 11
    reopened = run.end(probes[2], "success")
    assert reopened is not None
    votes = "0 failed and 1 slow of 3 probes back, 3 in all: a rate has reached its threshold"
    assert Transition("half_open", "open", votes, run.now_us) == reopened


def test_half_open_does_not_look_at_failures_in_a_row() -> None:
    run = Run.about_to_probe(consecutive_failures=1, failure_rate=Fraction(1))
    probes = [run.enter() for _ in range(3)]
    assert run.end(probes[0], "failure") is None
    closed = run.end(probes[1], "success")
    assert closed is not None
    assert closed.to_state == "closed"


def test_without_any_rate_half_of_the_probes_failing_opens_again() -> None:
    for second, ends in ("failure", "open"), ("success", "closed"):
        run = Run.about_to_probe(failure_rate=None, consecutive_failures=1, half_open_calls=3)
        probes = [run.enter() for _ in range(3)]
        assert run.end(probes[0], "failure") is None
        run.end(probes[1], "failure" if second == "failure" else "success")
        run.end(probes[2], "success")
        assert ends == run.state.phase


def test_a_late_success_does_not_close_a_half_open_breaker() -> None:
    """Nor does it take a vote or a slot from the probes."""
    run = Run.about_to_probe(half_open_calls=1)
    probe = run.enter()
    assert run.end(run.early, "success") is None
    assert run.state.phase == "half_open"
    assert run.ask().reason == "breaker_probing"
    assert run.end(probe, "failure") is not None


def test_a_late_success_does_not_close_a_reopened_breaker() -> None:
    run = Run.about_to_probe(half_open_calls=2)
    slow, failing = run.enter(), run.enter()
    run.end(failing, "failure")
    assert run.state.phase == "open"
    assert run.end(slow, "success") is None
    assert run.state.phase == "open"


def test_a_late_failure_does_not_open_a_closed_breaker_again() -> None:
    run = Run.about_to_probe(half_open_calls=3)
    probes = [run.enter() for _ in range(3)]
    run.end(probes[0], "success")
    run.end(probes[1], "success")
    assert run.state.phase == "closed"
    assert run.end(probes[2], "failure") is None
    assert run.end(run.early, "failure") is None
    assert (run.state.window.calls, run.state.row) == (0, 0)
    assert run.state.total_failures == 3


def test_a_probe_of_an_earlier_trial_neither_votes_nor_frees_a_slot_in_the_next() -> None:
    run = Run.about_to_probe(half_open_calls=2)
    stale, failing = run.enter(), run.enter()
    run.end(failing, "failure")
    run.now_us += OPEN_FOR_US
    run.enter()
    run.enter()
    assert run.end(stale, "ignored") is None
    assert run.ask().reason == "breaker_probing"


def test_an_ignored_probe_gives_its_slot_back_without_a_vote() -> None:
    """Cancellation neither closes nor opens, and the next caller gets the slot."""
    run = Run.about_to_probe(half_open_calls=1)
    for _ in range(5):
        assert run.end(run.enter(), "ignored") is None
    assert run.state.phase == "half_open"
    closed = run.end(run.enter(), "success")
    assert closed is not None
    assert closed.to_state == "closed"


def test_a_probe_that_ends_twice_votes_once() -> None:
    run = Run.about_to_probe(half_open_calls=3, failure_rate=Fraction(2, 3))
    probe = run.enter()
    run.enter()
    run.enter()
    run.end(probe, "failure")
    assert run.end(probe, "failure") is None
    assert run.state.phase == "half_open"
    assert run.ask().reason == "breaker_probing"


def test_a_probe_not_back_at_its_timeout_loses_slot_and_vote() -> None:
    """A hung probe must not keep everybody out for ever."""
    run = Run.about_to_probe(half_open_calls=1)
    hung = run.enter()
    assert run.refused_for() == PROBE_TIMEOUT_US
    run.now_us += PROBE_TIMEOUT_US
    second = run.enter()
    assert run.end(hung, "failure") is None
    assert run.state.phase == "half_open"
    assert run.end(second, "success") is not None


def test_a_probe_back_one_microsecond_before_its_timeout_votes() -> None:
    for took_us, phase in (PROBE_TIMEOUT_US - 1, "closed"), (PROBE_TIMEOUT_US, "half_open"):
        run = Run.about_to_probe(half_open_calls=1)
        probe = run.enter()
        run.now_us += took_us
        run.end(probe, "success")
        assert phase == run.state.phase


def test_a_stream_that_has_begun_votes_success_at_the_timeout() -> None:
    run = Run.about_to_probe(half_open_calls=1)
    probe = run.begin(run.enter())
    began_us = run.now_us
    assert run.refused_for() == PROBE_TIMEOUT_US
    run.now_us += 2 * PROBE_TIMEOUT_US  # nobody looked at the very moment
    closed = run.breaker.settle(run.state, run.now_us)
    assert closed is not None
    assert (closed.to_state, closed.at_us) == ("closed", began_us + PROBE_TIMEOUT_US)
    assert run.end(probe, "failure") is None
    assert run.state.window.calls == 0


def test_a_stream_that_began_slowly_votes_slow_at_the_timeout() -> None:
    """It reopens at that moment, however late it is noticed; a retry is told when that is over."""
    run = Run.about_to_probe(half_open_calls=1, slow_call_us=10, slow_rate=Fraction(1, 2))
    probe = run.enter()
    run.now_us += 11
    run.begin(probe)
    assert run.refused_for() == PROBE_TIMEOUT_US - 11 + OPEN_FOR_US
    run.now_us += PROBE_TIMEOUT_US
    reopened = run.breaker.settle(run.state, run.now_us)
    assert reopened is not None
    assert reopened.to_state == "open"
    assert run.refused_for() == OPEN_FOR_US - 11


def test_a_stream_that_began_fast_votes_fast_however_long_it_lasts() -> None:
    run = Run.about_to_probe(half_open_calls=1, slow_call_us=10, slow_rate=HALF)
    run.begin(run.enter())
    run.now_us += PROBE_TIMEOUT_US
    run.ask()
    assert run.state.phase == "closed"


def test_a_stream_that_fails_before_the_timeout_votes_failure() -> None:
    run = Run.about_to_probe(half_open_calls=1)
    reopened = run.end(run.begin(run.enter()), "failure")
    assert reopened is not None
    assert reopened.to_state == "open"


def test_a_stream_that_begins_at_the_timeout_is_too_late() -> None:
    run = Run.about_to_probe(half_open_calls=1)
    probe = run.enter()
    run.now_us += PROBE_TIMEOUT_US
    run.begin(probe)  # before anybody has settled the breaker
    assert run.ask().allowed
    assert run.state.phase == "half_open"
    run.begin(probe)
    assert run.state.trial is not None
    assert run.state.trial.out == {}


def test_a_stream_of_an_older_generation_does_not_begin_a_probe() -> None:
    run = Run.about_to_probe(half_open_calls=1)
    run.enter()
    run.begin(run.early._replace(probe_id=1))  # whatever it looks like
    run.now_us += PROBE_TIMEOUT_US
    assert run.ask().allowed
    assert run.state.phase == "half_open"


def test_retry_after_is_the_first_deadline_that_really_frees_a_slot() -> None:
    """A stream's vote keeps its slot, so the hung probe behind it is the one to wait for."""
    run = Run.about_to_probe(half_open_calls=3)
    run.begin(run.enter())
    run.now_us += 10
    run.enter()
    run.now_us += 10
    run.enter()
    assert run.refused_for() == PROBE_TIMEOUT_US - 10


def test_retry_after_counts_probes_with_one_deadline_together() -> None:
    """At that moment a slot would come free, but the stream beside it closes the breaker anyway."""
    run = Run.about_to_probe(half_open_calls=3)
    hung, begun, other = run.enter(), run.enter(), run.enter()
    assert hung != begun
    run.begin(begun)
    run.end(other, "success")
    assert run.refused_for() == PROBE_TIMEOUT_US
    run.now_us += PROBE_TIMEOUT_US
    run.ask()
    assert run.state.phase == "closed"


def test_open_for_doubles_with_each_reopening_up_to_its_maximum() -> None:
    run = Run.about_to_probe(half_open_calls=1, open_for_max_us=1800)
    spans: list[int] = []
    for _ in range(4):
        run.end(run.enter(), "failure")
        spans.append(run.refused_for())
        run.now_us += spans[-1]
    assert spans == [1000, 1800, 1800, 1800]


def test_retry_after_foresees_the_doubling() -> None:
    """The only probe will vote slow at its timeout, and the breaker will then stay open twice as long as before."""
    run = Run.about_to_probe(half_open_calls=1, open_for_max_us=10_000, slow_call_us=10, slow_rate=HALF)
    probe = run.enter()
    run.now_us += 11
    run.begin(probe)
    assert run.refused_for() == PROBE_TIMEOUT_US - 11 + 2 * OPEN_FOR_US


def test_open_for_does_not_double_without_a_maximum() -> None:
    run = Run.about_to_probe(half_open_calls=1)
    for _ in range(3):
        run.end(run.enter(), "failure")
        assert run.refused_for() == OPEN_FOR_US
        run.now_us += OPEN_FOR_US


def test_closing_clears_window_row_and_doubling() -> None:
    run = Run(half_open_calls=1, open_for_max_us=10_000, consecutive_failures=3, min_calls=3)
    run.calls("failure", "failure", "failure")
    run.now_us += OPEN_FOR_US
    run.calls("failure")
    run.now_us += run.refused_for()
    run.calls("success")
    state = run.state
    assert (state.phase, state.window.calls, state.row, state.opened_us) == ("closed", 0, 0, None)
    run.calls("failure", "failure")
    assert state.phase == "closed"
    run.calls("failure")
    assert run.refused_for() == OPEN_FOR_US


def test_every_change_of_state_starts_one_new_generation() -> None:
    run = Run.about_to_probe(half_open_calls=1)
    assert run.state.generation == 1  # opened
    probe = run.enter()
    assert probe.generation == run.state.generation == 2
    run.end(probe, "success")
    assert run.state.generation == 3
