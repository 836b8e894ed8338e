"""A probe has until its timeout: then its slot is free and its vote lost, unless its stream has begun."""

from __future__ import annotations

from tests.core.breaker_run import HALF, OPEN_FOR_US, PROBE_TIMEOUT_US, Run


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
    run = Run.about_to_probe(half_open_calls=1, slow_call_us=10, slow_rate=HALF)
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


def test_retry_after_foresees_the_doubling() -> None:
    """The only probe will vote slow at its timeout, and the breaker will then stay open twice as long as before."""
    run = Run.about_to_probe(half_open_calls=1, open_for_max_us=10_000, slow_call_us=10, slow_rate=HALF)
    probe = run.enter()
    run.now_us += 11
    run.begin(probe)
    assert run.refused_for() == PROBE_TIMEOUT_US - 11 + 2 * OPEN_FOR_US
