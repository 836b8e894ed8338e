"""One decision is a straight line: breakers are asked, places taken, limits charged, breakers asked again."""

import asyncio

import pytest

from guardrail import BulkheadFull, RateLimited
from guardrail.testing import FakeClock
from tests.admission.scene import (
    DECIDED,
    START_US,
    ByHand,
    S,
    aheld,
    breaker,
    bulkhead,
    decided,
    guard_of,
    held,
    inside,
    left,
    limit,
    queued,
    shown,
)
from tests.locks import is_locked

SPACED = limit("1/s", burst=1, max_wait="10s")  # the second call sleeps a second
HALF_A_SECOND = limit("10/s", max_wait="10s")  # 10 tokens after 5 sleep that long
FRAGILE = breaker(consecutive_failures=1, half_open_calls=1, open_for="1s")

both = pytest.mark.parametrize("decided", DECIDED)


class WatchedClock(FakeClock):
    """A clock that lets a test look around while somebody sleeps."""

    def __init__(self):
        super().__init__(START_US)
        self.meanwhile = lambda: None
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.meanwhile()
        super().sleep(seconds)

    async def asleep(self, seconds):
        self.slept.append(seconds)
        self.meanwhile()
        await super().asleep(seconds)


@pytest.fixture
def watched():
    return WatchedClock()


# -- what each step may take, and in which order -----------------------------------------------------------------------


def test_a_breaker_that_refuses_leaves_places_and_tokens_alone(clock):
    guard = guard_of(clock, limit(), bulkhead(), breaker())
    guard.breakers["r/breaker"].force_open()
    assert [("r/breaker", False, "breaker_forced", None)] == shown(decided(guard))
    guard.breakers["r/breaker"].reset()
    assert decided(guard).allowed


def test_a_full_bulkhead_costs_no_tokens_and_no_probe(clock):
    guard = guard_of(clock, limit("2/min"), bulkhead(), FRAGILE)
    holder = held(guard, cost=0)
    guard.breakers["r/breaker"].force_closed()
    assert "bulkhead_full" == decided(guard).reason
    guard.breakers["r/breaker"].reset()
    holder.exit()
    held(guard, cost=0).exit(ValueError())
    clock.advance(1)
    probe = held(guard, cost=0)
    assert "breaker_probing" == decided(guard).reason
    probe.exit()
    assert (2, 0) == (left(guard), inside(guard))


def test_a_limit_that_refuses_keeps_no_place_and_no_probe(clock):
    guard = guard_of(clock, limit(), bulkhead(), FRAGILE)
    held(guard).exit(ValueError())
    clock.advance(1)
    for _ in range(3):
        assert "rate" == decided(guard).reason
    assert (0, "open") == (inside(guard), guard.breakers["r/breaker"].state)  # the probe is still to be had
    assert decided(guard, cost=0).allowed


def test_all_limits_are_charged_or_none(clock):
    guard = guard_of(clock, limit("5/min", name="wide"), limit("2/min", name="narrow"), limit("9/min", name="wider"))
    assert decided(guard, cost=2).allowed
    for cost in (1, 2):
        assert [("wide", True, None, 3), ("narrow", False, "rate", 0), ("wider", True, None, 7)] == shown(
            decided(guard, cost=cost)
        )


def test_a_decision_takes_all_its_states_at_one_instant():
    """The clock is read once for each turn; one that runs on between two reads would tell."""

    class Running(FakeClock):
        def now_us(self):
            self._now_us += 1
            return self._now_us

    guard = guard_of(Running(), limit("1/s", name="one"), limit("1/s", name="other"))
    decided(guard)
    one, other = decided(guard).verdicts
    assert one.retry_after == other.retry_after


def test_the_clock_is_read_inside_the_lock(clock):
    guard = guard_of(clock, limit(), bulkhead(), breaker())
    locked, now_us = [], clock.now_us
    clock.now_us = lambda: locked.append(is_locked(guard.ledger.lock)) or now_us()
    decided(guard)
    guard.peek("r")
    guard.reset("r/limit")
    guard.breakers["r/breaker"].force_open()
    assert all(locked)
    assert len(locked) >= 5


# -- whoever sleeps holds nothing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [held, aheld])
def test_a_sleeper_holds_no_place(watched, held):
    guard = guard_of(watched, SPACED, bulkhead())
    decided(guard)
    seen = []
    watched.meanwhile = lambda: seen.append(inside(guard))
    permit = held(guard)
    assert ([1.0], [0], 1, 1.0) == (watched.slept, seen, inside(guard), permit.decision.wait)
    permit.exit()
    assert 0 == inside(guard)


@both
def test_somebody_else_may_have_the_place_of_a_sleeper(watched, decided):
    """It is gone when the sleeper is back, and the tokens it had are not kept for nothing."""
    guard = guard_of(watched, HALF_A_SECOND, bulkhead(resource=["r", "other"], name="places"))
    decided(guard, cost=5)
    watched.meanwhile = lambda: held(guard, "other")
    decision = decided(guard, cost=10)
    assert ("bulkhead_full", "places", [0.5]) == (decision.reason, decision.rule, watched.slept)
    assert 5 == left(guard)  # 5 of the 10 have gone by with the time, whether it kept them or not


@both
def test_the_longest_of_several_waits_is_slept(watched, decided):
    guard = guard_of(
        watched, limit("1/s", max_wait="9s", name="short"), limit("1/min", max_wait="2min", name="long"), bulkhead()
    )
    decided(guard)
    decision = decided(guard)
    assert ([60.0], 60.0) == (watched.slept, decision.wait)
    assert [1.0, 60.0, 0.0] == [verdict.wait for verdict in decision.verdicts]


def test_a_sleep_that_ends_a_little_early_is_slept_to_its_end():
    class Hasty(FakeClock):
        def sleep(self, seconds):
            self.advance(max(0.000_001, seconds - 0.0004))

    clock = Hasty(START_US)
    guard = guard_of(clock, SPACED)
    decided(guard)
    assert decided(guard).allowed
    assert START_US + S == clock.now_us()


def test_a_clock_that_steps_back_under_a_sleeper_does_not_keep_it_asleep():
    class Stepping(FakeClock):
        def sleep(self, seconds):
            self.set_us(self.now_us() - 3600 * S)

    guard = guard_of(Stepping(START_US), SPACED)
    decided(guard)
    assert decided(guard).allowed


# -- whoever waited is asked by the breaker again ----------------------------------------------------------------------


@both
def test_a_breaker_that_opens_meanwhile_refuses_a_sleeper_and_its_tokens_come_back(watched, decided):
    guard = guard_of(watched, HALF_A_SECOND, bulkhead(), breaker())
    decided(guard, cost=5)
    watched.meanwhile = guard.breakers["r/breaker"].force_open
    assert "breaker_forced" == decided(guard, cost=10).reason
    guard.breakers["r/breaker"].reset()
    assert (0, 5) == (inside(guard), left(guard))


def test_a_breaker_that_opens_meanwhile_refuses_who_queued_and_the_place_goes_on(clock):
    guard = guard_of(clock, limit("9/min"), bulkhead(max_wait="10s"), breaker())
    holder, first = held(guard), ByHand(guard)
    guard.breakers["r/breaker"].force_open()
    holder.exit()
    assert first.waiter.granted
    assert "breaker_forced" == first.go_on().reason
    guard.breakers["r/breaker"].reset()
    assert (0, 8) == (inside(guard), left(guard))


def test_a_probe_is_sent_out_only_when_the_waiting_is_over(clock):
    guard = guard_of(clock, SPACED, FRAGILE)
    health = guard.breakers["r/breaker"]
    held(guard).exit(ValueError())
    clock.advance(1)
    held(guard).exit(KeyboardInterrupt())  # a probe without a vote: half-open from now on
    sleeper = ByHand(guard)
    assert (1.0, "half_open", 0) == (sleeper.needs.seconds, health.state, health.snapshot().probes_out)
    probe = held(guard, cost=0)
    assert 1 == health.snapshot().probes_out
    clock.advance(1)
    assert "breaker_probing" == sleeper.go_on().reason
    probe.exit()
    assert "closed" == health.state


@pytest.mark.parametrize(("took", "slow"), [(1.000_001, 1), (1, 0)])
def test_the_duration_runs_from_the_grant_without_the_waits(clock, took, slow):
    guard = guard_of(clock, limit("1/min", max_wait="1h"), breaker(slow_call="1s"))
    decided(guard)
    permit = held(guard)
    assert 60.0 == permit.decision.wait
    clock.advance(took)
    permit.exit()
    assert slow == guard.breakers["r/breaker"].snapshot().total_slow


def test_the_generation_is_that_of_the_grant(clock):
    """Its result counts although the breaker was reset while it waited."""
    guard = guard_of(clock, bulkhead(max_wait="10s"), breaker())
    holder, waiting = held(guard), ByHand(guard)
    guard.breakers["r/breaker"].reset()
    holder.exit(ValueError())
    waiting.go_on().permit().exit(ValueError())
    seen = guard.breakers["r/breaker"].snapshot()
    assert (1, 2) == (seen.calls, seen.total_failures)


# -- the call's own max_wait -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("never", [0, "0s"])
@both
def test_max_wait_0_never_waits(watched, decided, never):
    guard = guard_of(watched, SPACED, bulkhead(max_wait="10s"))
    holder = held(guard, max_wait=never)
    assert "bulkhead_full" == decided(guard, max_wait=never).reason
    holder.exit()
    decision = decided(guard, max_wait=never)
    assert ("rate", 1.0, []) == (decision.reason, decision.retry_after, watched.slept)


@both
def test_retry_after_is_the_first_instant_at_which_the_call_would_be_queued(watched, decided):
    guard = guard_of(watched, SPACED)
    decided(guard)
    assert 0.75 == decided(guard, max_wait="250ms").retry_after
    watched.advance(0.749_999)
    assert not decided(guard, max_wait="250ms").allowed
    watched.advance(0.000_001)
    assert 0.25 == decided(guard, max_wait="250ms").wait


def test_max_wait_caps_all_waits_together(clock):
    """It queues 6 s for a place, has 4 left for a limit that wants 5, and hears when 4 will do."""
    guard = guard_of(clock, limit("1/11s", max_wait="1h"), bulkhead(max_wait="1h"))
    holder, call = held(guard), ByHand(guard, max_wait="10s")
    assert 10.0 == call.needs.seconds
    clock.advance(6)
    holder.exit()
    decision = call.go_on().attempt.decision()
    assert ("rate", 1.0) == (decision.reason, decision.retry_after)


def test_max_wait_caps_the_queues_of_several_bulkheads_together(clock):
    guard = guard_of(
        clock,
        bulkhead(max_wait="1h", name="first", resource=["r", "one"]),
        bulkhead(max_wait="1h", name="second", resource=["r", "two"]),
    )
    first, _ = held(guard, "one"), held(guard, "two")
    call = ByHand(guard, max_wait="10s")
    clock.advance(7)
    first.exit()
    assert 3.0 == call.go_on().needs.seconds
    clock.advance(3)
    assert ("bulkhead_timeout", "second") == (call.go_on().reason, call.attempt.decision().rule)
    assert (0, 1) == (inside(guard, "first"), inside(guard, "second"))


def test_a_rule_grants_its_own_max_wait_once_however_often_a_call_queues(clock):
    """Half a second in the queue, a sleep for the limit, then only what is left of the 5."""
    guard = guard_of(clock, SPACED, bulkhead(max_wait="5s"))
    holder, call = held(guard), ByHand(guard)
    clock.advance(0.5)
    holder.exit()
    assert 0.5 == call.go_on().needs.seconds
    held(guard, cost=0)
    clock.advance(0.5)
    assert 4.5 == call.go_on().needs.seconds
    clock.advance(4.5)
    decision = call.go_on().attempt.decision()
    assert ("bulkhead_timeout", 5.0 + 0.5) == (decision.reason, decision.wait)


def test_a_clock_that_steps_back_does_not_prolong_max_wait(clock):
    guard = guard_of(clock, limit("1/min", max_wait="1h"), bulkhead(max_wait="1h"))
    holder, call = held(guard), ByHand(guard, max_wait="10s")
    clock.advance(-1800)
    holder.exit()
    assert ("rate", 50.0) == (call.go_on().reason, call.attempt.decision().retry_after)


# -- a timeout in the queue --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rules_wait", "calls_wait", "waited"), [("2s", None, 2.0), ("2s", 1, 1.0), ("2s", "1h", 2.0)])
def test_a_call_gives_up_when_the_rule_or_its_own_patience_says_so(clock, rules_wait, calls_wait, waited):
    guard = guard_of(clock, bulkhead(max_wait=rules_wait))
    held(guard)
    call = ByHand(guard, max_wait=calls_wait)
    assert waited == call.needs.seconds
    clock.advance(waited)
    assert ("bulkhead_timeout", waited, 0) == (call.go_on().reason, call.attempt.decision().wait, queued(guard))


def test_a_driver_that_comes_back_too_early_is_sent_to_sleep_for_the_rest(clock):
    """Its own clock is ahead of the guard's, which says when time is up."""
    guard = guard_of(clock, bulkhead(max_wait="2s"))
    held(guard)
    call = ByHand(guard)
    clock.advance(1.5)
    assert 0.5 == call.go_on().needs.seconds
    clock.advance(0.5)
    assert "bulkhead_timeout" == call.go_on().reason


def test_a_place_that_comes_during_that_rest_is_taken(clock):
    guard = guard_of(clock, bulkhead(max_wait="2s"))
    holder, call = held(guard), ByHand(guard)
    clock.advance(1.5)
    call.go_on()
    holder.exit()
    assert call.go_on().is_in


def test_a_timeout_after_the_sleep_gives_the_rest_of_the_tokens_back(clock):
    """Of its 100 tokens, 50 came back with the time it slept, 10 while it queued, and 40 because it gave up."""
    guard = guard_of(clock, limit("1/s", burst=100, max_wait="1h"), bulkhead(max_wait="10s"))
    decided(guard, cost=50)
    call = ByHand(guard, cost=100)
    held(guard, cost=0)
    assert 50.0 == call.needs.seconds
    clock.advance(50)
    assert 10.0 == call.go_on().needs.seconds
    assert 0 == left(guard)
    clock.advance(10)
    assert ("bulkhead_timeout", 10 + 40) == (call.go_on().reason, left(guard))


def test_a_queue_that_is_full_refuses_at_once(clock):
    guard = guard_of(clock, bulkhead(max_wait="5s", max_queue=1))
    held(guard)
    waiting, refused = ByHand(guard), ByHand(guard)
    assert (None, "bulkhead_full", 1) == (refused.needs, refused.reason, queued(guard))
    waiting.cancel()
    assert 0 == queued(guard)


# -- what callers see --------------------------------------------------------------------------------------------------


def enter_in_thread(guard, **options):
    with guard.enter("r", **options) as permit:
        return permit.decision


def enter_in_task(guard, **options):
    async def call():
        async with guard.enter("r", **options) as permit:
            return permit.decision

    return asyncio.run(call())


@pytest.mark.parametrize("enter", [enter_in_thread, enter_in_task])
def test_enter_raises_what_try_enter_returns(clock, enter):
    guard = guard_of(clock, limit(), bulkhead())
    assert enter(guard).allowed
    with pytest.raises(RateLimited) as caught:
        enter(guard)
    refused = caught.value
    assert ("r", "r/limit", "limit", "rate", 60.0) == (
        refused.resource,
        refused.rule,
        refused.kind,
        refused.reason,
        refused.retry_after,
    )
    held(guard, cost=0)
    with pytest.raises(BulkheadFull):
        enter(guard)


def enter_twice_in_thread(entry):
    with entry, entry:
        pass


def enter_twice_in_task(entry):
    async def call():
        async with entry, entry:
            pass

    asyncio.run(call())


@pytest.mark.parametrize("enter_twice", [enter_twice_in_thread, enter_twice_in_task])
def test_an_entry_serves_one_call(clock, enter_twice):
    guard = guard_of(clock, bulkhead(2))
    with pytest.raises(RuntimeError, match="for each call"):
        enter_twice(guard.enter("r"))
    assert 0 == inside(guard)


def test_an_entry_that_was_not_entered_is_no_answer(clock):
    with pytest.raises(TypeError, match="decides when it is entered"):
        assert guard_of(clock).enter("r")


def test_leaving_an_entry_that_was_never_entered_does_nothing(clock):
    entry = guard_of(clock).enter("r")
    entry.__exit__(None, None, None)
    asyncio.run(entry.__aexit__(None, None, None))
