"""A half-open breaker lets a few probes through and judges by their votes, as early as it can and no earlier."""

from __future__ import annotations

from fractions import Fraction

import pytest

from guardrail.core.breaker import Breaker
from guardrail.core.breaker_state import NOT_CALM_US, BreakerRuling, BreakerState, Transition
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


def test_open_for_doubles_with_each_reopening_up_to_its_maximum() -> None:
    run = Run.about_to_probe(half_open_calls=1, open_for_max_us=1800)
    spans: list[int] = []
    for _ in range(4):
        run.end(run.enter(), "failure")
        spans.append(run.refused_for())
        run.now_us += spans[-1]
    assert spans == [1000, 1800, 1800, 1800]


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


# -- a signal handler that raises cuts a method short ------------------------------------------------------------------


def test_a_trial_whose_last_vote_was_the_last_thing_that_happened_is_decided_by_whoever_looks_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run.about_to_probe(half_open_calls=1)
    probe = run.enter()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Breaker, "_end_trial", _struck)
        run.end(probe, "success")
    assert run.ask().allowed
    assert run.state.phase == "closed"


def test_a_breaker_that_has_just_become_half_open_has_its_trial_with_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run.about_to_probe(half_open_calls=1)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("guardrail.core.breaker.Trial", _struck)
        run.enter()
    assert run.state.phase == "half_open"
    run.enter()
    assert run.ask().reason == "breaker_probing"


def test_a_breaker_that_has_just_opened_is_not_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the quick ways would let calls in."""
    run = Run(min_calls=1)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(BreakerState, "calm", _struck)
        run.calls("failure")
    assert (run.state.phase, run.state.calm_until_us) == ("open", NOT_CALM_US)


def _struck(*_: object) -> None:
    raise KeyboardInterrupt
