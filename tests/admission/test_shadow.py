"""Rules that only watch decide and charge by themselves, and never refuse, wait or fall back."""

import asyncio

import pytest

from guardrail.telemetry.events import BreakerMoved, CallRefused, Immediate
from tests.admission.scene import (
    ByHand,
    breaker,
    bulkhead,
    decided,
    guard_of,
    held,
    inside,
    left,
    limit,
    shown,
)
from tests.locks import is_locked

WATCHED_LIMIT = limit("2/min", mode="shadow", name="watched")
WATCHED_PLACES = bulkhead(1, mode="shadow", name="watched")
WATCHED_HEALTH = breaker(consecutive_failures=1, open_for="5s", mode="shadow", name="watched")


def shadows(news):
    return [(event.rule, event.kind, event.reason) for event in news.of(CallRefused) if event.shadow]


# -- each kind ---------------------------------------------------------------------------------------------------------


def test_a_shadow_limit_charges_while_it_has_room_and_refuses_nobody(clock, news):
    guard = guard_of(clock, WATCHED_LIMIT, listeners=[news])
    decisions = [decided(guard) for _ in range(4)]
    assert all(decision.allowed for decision in decisions)
    assert [(True, 1), (True, 0), (False, 0), (False, 0)] == [
        (one.verdicts[0].allowed, one.verdicts[0].remaining) for one in decisions
    ]
    assert [("watched", "limit", "rate")] * 2 == shadows(news)
    clock.advance(30)
    assert decided(guard).verdicts[0].allowed


def test_a_shadow_limit_never_waits(clock, news):
    guard = guard_of(clock, limit("1/min", mode="shadow", max_wait="1h"), listeners=[news])
    before = clock.now_us()
    assert [0.0, 0.0] == [decided(guard).wait for _ in range(2)]
    assert (before, [("r/limit", "limit", "rate")]) == (clock.now_us(), shadows(news))


def test_a_shadow_bulkhead_counts_while_it_has_room(clock, news):
    guard = guard_of(clock, WATCHED_PLACES, listeners=[news])
    first, second = held(guard), held(guard)
    assert (True, True, 1) == (bool(first), bool(second), inside(guard, "watched"))
    assert [("watched", "bulkhead", "bulkhead_full")] == shadows(news)
    second.exit()
    assert 1 == inside(guard, "watched")
    first.exit()
    assert 0 == inside(guard, "watched")


def test_a_shadow_bulkhead_never_waits(clock):
    guard = guard_of(clock, bulkhead(1, mode="shadow", max_wait="1h"))
    held(guard)
    assert ByHand(guard).is_in


def test_a_shadow_breaker_moves_and_lets_all_pass(clock, news):
    guard = guard_of(clock, WATCHED_HEALTH, listeners=[news])
    held(guard).exit(OSError())
    assert "open" == guard.breakers["watched"].state
    assert decided(guard).allowed
    assert [("watched", "breaker", "breaker_open")] == shadows(news)
    clock.advance(5)
    for _ in range(3):
        decided(guard)
    assert "closed" == guard.breakers["watched"].state
    assert ["open", "half_open", "closed"] == [event.to_state for event in news.of(BreakerMoved)]


@pytest.mark.parametrize("outcome", [None, OSError()])
def test_while_a_shadow_breaker_is_open_outcomes_do_not_vote(clock, outcome):
    guard = guard_of(clock, WATCHED_HEALTH)
    early = held(guard)
    held(guard).exit(OSError())
    late = held(guard)
    early.exit(outcome)
    late.exit(outcome)
    seen = guard.breakers["watched"].snapshot()
    assert ("open", 1 if outcome is None else 2) == (seen.state, seen.total_failures)  # only the one from before
    clock.advance(5)
    assert 0 == guard.breakers["watched"].snapshot().probes_voted


def test_a_stream_that_begins_is_noted_by_a_shadow_breaker_too(clock):
    guard = guard_of(clock, breaker(slow_call="1s", mode="shadow"))
    permit = held(guard)
    clock.advance(1)
    permit.begin()
    clock.advance(60)
    permit.exit()
    assert 0 == guard.breakers["r/breaker"].snapshot().total_slow


# -- among others ------------------------------------------------------------------------------------------------------


def test_shadow_rules_count_for_nothing_in_the_decision(clock):
    guard = guard_of(clock, limit("9/min", name="real"), WATCHED_LIMIT)
    decided(guard)
    decided(guard)
    decision = decided(guard)
    assert (True, "real", 9, 6) == (decision.allowed, decision.rule, decision.limit, decision.remaining)
    assert (None, 20.0) == (decision.retry_after, decision.reset_after)
    assert [("real", True, None, 6), ("watched", False, "rate", 0)] == shown(decision)
    assert [False, True] == [verdict.shadow for verdict in decision.verdicts]


def test_shadow_rules_are_asked_about_calls_that_are_admitted_only(clock, news):
    guard = guard_of(clock, limit("1/min", name="real"), WATCHED_LIMIT, listeners=[news])
    decided(guard)
    assert [("real", False, "rate", 0)] == shown(decided(guard))
    assert (1, []) == (left(guard, "watched"), shadows(news))


def test_a_shadow_refusal_is_told_with_the_whole_decision(clock, news):
    """Also with the verdicts of shadow rules that come later, and once the lock is free."""
    locked = []
    guard = guard_of(
        clock,
        limit("1/min", mode="shadow", name="first"),
        limit("9/min", name="real"),
        limit("8/min", mode="shadow", name="last"),
        listeners=[news, Immediate(lambda _: locked.append(is_locked(guard.ledger.lock)))],
    )
    decided(guard)
    decision = decided(guard)
    [event] = news.of(CallRefused)
    assert (decision, True, [False]) == (event.decision, event.shadow, locked)
    assert ["first", "real", "last"] == [one.rule for one in event.decision.verdicts]


def test_a_call_that_is_cancelled_was_never_seen_by_shadow_rules(clock):
    guard = guard_of(clock, limit("1/s", max_wait="9s"), WATCHED_LIMIT)
    decided(guard)
    ByHand(guard).cancel()
    assert 1 == left(guard, "watched")


# -- a share of the keys -----------------------------------------------------------------------------------------------


def test_a_share_is_enforced_for_some_keys_and_watched_for_the_rest(clock):
    guard = guard_of(clock, limit("1/h", key="user", enforce="10%"))
    users = [f"u{number}" for number in range(1_000)]
    for user in users:
        assert decided(guard, attributes={"user": user}).allowed
    refused = {user for user in users if not decided(guard, attributes={"user": user}).allowed}
    assert 60 < len(refused) < 140
    again = guard_of(clock, limit("1/h", key="user", enforce="10%"))
    for user in users:
        decided(again, attributes={"user": user})
    assert refused == {user for user in users if not decided(again, attributes={"user": user}).allowed}


def test_those_who_are_enforced_stay_so_as_the_share_grows(clock):
    guard = guard_of(clock, limit("1/h", key="user", enforce="10%"))
    users = [f"u{number}" for number in range(500)]
    for user in users:
        decided(guard, attributes={"user": user})
    refused = []
    for share in ("10%", "50%", "100%"):
        guard.apply([limit("1/h", key="user", enforce=share)])
        refused.append({user for user in users if not decided(guard, attributes={"user": user}).allowed})
    assert refused[0] < refused[1] < refused[2] == set(users)


@pytest.mark.parametrize("kind", [breaker(key="user", consecutive_failures=1), bulkhead(key="user")])
def test_a_share_goes_for_breakers_and_bulkheads_too(clock, kind):
    guard = guard_of(clock, {**kind, "enforce": "30%"})
    users = [f"u{number}" for number in range(300)]
    for user in users:
        permit = held(guard, attributes={"user": user})
        if kind["kind"] == "breaker":
            permit.exit(OSError())
    refused = sum(not decided(guard, attributes={"user": user}).allowed for user in users)
    assert 60 < refused < 120


# -- the whole guard ---------------------------------------------------------------------------------------------------


RULES = [limit("1/min"), bulkhead(), breaker()]


def test_a_guard_in_shadow_refuses_nobody_and_goes_on_counting(clock, news):
    guard = guard_of(clock, *RULES, mode="shadow", listeners=[news])
    guard.breakers["r/breaker"].force_open()
    assert held(guard)
    assert held(guard)
    assert {"rate", "bulkhead_full", "breaker_forced"} == {event.reason for event in news.of(CallRefused)}
    guard.breakers["r/breaker"].reset()
    guard.mode = "enforce"
    assert "bulkhead_full" == decided(guard).reason


def test_a_guard_that_is_off_asks_nobody(clock):
    guard = guard_of(clock, *RULES, mode="off")
    for _ in range(3):
        assert () == decided(guard).verdicts
    guard.mode = "enforce"
    assert decided(guard).allowed


def test_the_kill_switch_goes_both_ways_and_keeps_what_was_used(clock):
    guard = guard_of(clock, *RULES)
    holder = held(guard)
    guard.mode = "off"
    assert decided(guard).allowed
    guard.mode = "enforce"
    assert "bulkhead_full" == decided(guard).reason
    holder.exit()
    assert "rate" == decided(guard).reason


@pytest.mark.parametrize("kind", RULES)
def test_a_rule_that_is_off_is_not_asked_and_keeps_its_state(clock, kind):
    guard = guard_of(clock, kind)
    permit = held(guard)
    if kind["kind"] == "breaker":
        guard.breakers["r/breaker"].force_open()
    guard.apply([{**kind, "mode": "off"}])
    assert () == decided(guard).verdicts
    guard.apply([kind])
    assert not decided(guard).allowed
    permit.exit()


def test_a_task_is_watched_like_a_thread(clock, news):
    guard = guard_of(clock, WATCHED_PLACES, listeners=[news])
    held(guard)

    async def call():
        async with guard.enter("r") as permit:
            return permit.decision

    assert asyncio.run(call()).allowed
    assert [("watched", "bulkhead", "bulkhead_full")] == shadows(news)
