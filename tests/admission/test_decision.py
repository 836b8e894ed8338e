"""What a decision says: every rule that was asked, to the microsecond, and after a refusal as if nobody had called."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.testing import FakeClock
from tests.admission.scene import (
    START_US,
    ByHand,
    S,
    adecided,
    breaker,
    bulkhead,
    decided,
    guard_of,
    held,
    limit,
    shown,
)

# -- verdicts ----------------------------------------------------------------------------------------------------------


def test_verdicts_stand_in_the_order_of_the_rules_whatever_is_asked_first(clock):
    rules = limit("9/min", name="a"), breaker(name="b"), bulkhead(name="c"), limit("8/min", name="d"), breaker(name="e")
    assert ["a", "b", "c", "d", "e"] == [one.rule for one in decided(guard_of(clock, *rules)).verdicts]


def test_only_rules_that_were_asked_have_a_verdict(clock):
    guard = guard_of(clock, limit(name="a"), bulkhead(name="b"), bulkhead(name="c"), breaker(name="d"))
    decided(guard)
    assert ["a", "b", "c", "d"] == [one.rule for one in decided(guard).verdicts]
    held(guard, cost=0)
    assert ["b", "d"] == [one.rule for one in decided(guard).verdicts]
    guard.breakers["d"].force_open()
    assert ["d"] == [one.rule for one in decided(guard).verdicts]


def test_a_rule_that_does_not_apply_is_not_asked(clock):
    guard = guard_of(clock, limit("1/min", when={"plan": "free"}), limit("9/min", name="all", when={"plan": "!vip"}))
    asked = [
        [one.rule for one in decided(guard, attributes={"plan": plan}).verdicts] for plan in ("free", "pro", "vip")
    ]
    assert [["r/limit", "all"], ["all"], []] == asked


def test_a_condition_on_what_is_missing_is_met_by_not_only(clock):
    guard = guard_of(clock, limit(when={"plan": "free"}, name="is"), limit(when={"plan": "!free"}, name="is not"))
    assert ["is not"] == [one.rule for one in decided(guard).verdicts]


def test_a_condition_compares_texts(clock):
    guard = guard_of(clock, limit(when={"size": "7"}))
    assert [1, 0] == [len(decided(guard, attributes={"size": size}).verdicts) for size in (7, 8)]


def test_a_verdict_names_the_rate_of_its_key(clock):
    guard = guard_of(clock, limit("1/min", key="user", overrides={"vip": "2/s"}))
    texts = [decided(guard, attributes={"user": user}).verdicts[0].text for user in ("u1", "vip")]
    assert ["1/min", "2/s"] == texts


def test_a_refusal_by_a_limit_shows_the_places_as_they_are_without_it(clock):
    guard = guard_of(clock, limit(), bulkhead(3))
    decided(guard)
    held(guard, cost=0)
    assert [("r/limit", False, "rate", 0), ("r/bulkhead", True, None, 2)] == shown(decided(guard))


def test_a_refusal_by_a_bulkhead_shows_the_other_places_as_they_are_without_it(clock):
    guard = guard_of(clock, bulkhead(3, name="wide"), bulkhead(1, name="narrow"))
    held(guard)
    assert [("wide", True, None, 2), ("narrow", False, "bulkhead_full", 0)] == shown(decided(guard))


def test_a_refusal_after_a_sleep_shows_the_limits_without_what_it_had_taken(clock):
    """The breaker opened while it slept. 5 of its tokens came back with the time, the other 5 because it is refused."""
    guard = guard_of(clock, limit("10/s", max_wait="10s"), limit("20/h", name="hourly"), bulkhead(3), breaker())
    decided(guard, cost=5)
    sleeper = ByHand(guard, cost=10)
    guard.breakers["r/breaker"].force_open()
    clock.advance(0.5)
    assert [
        ("r/limit", True, None, 5),
        ("hourly", True, None, 15),
        ("r/bulkhead", True, None, 3),
        ("r/breaker", False, "breaker_forced", None),
    ] == shown(sleeper.go_on().attempt.decision())


def test_a_refusal_after_waiting_for_a_place_shows_it_free(clock):
    guard = guard_of(clock, bulkhead(max_wait="10s"), breaker())
    holder, waiting = held(guard), ByHand(guard)
    guard.breakers["r/breaker"].force_open()
    holder.exit()
    assert [("r/bulkhead", True, None, 1), ("r/breaker", False, "breaker_forced", None)] == shown(
        waiting.go_on().attempt.decision()
    )


def test_a_decision_does_not_change_afterwards(clock):
    guard = guard_of(clock, limit("9/min"), bulkhead(2))
    permit = held(guard, cost=3)
    before = permit.decision
    permit.settle(9)
    permit.exit()
    assert before is permit.decision
    assert 6 == before.verdicts[0].remaining


def test_a_call_that_nothing_applies_to_is_allowed(clock):
    decision = decided(guard_of(clock))
    assert (True, None, None, ()) == (decision.allowed, decision.rule, decision.remaining, decision.verdicts)


# -- costs -------------------------------------------------------------------------------------------------------------


def test_cost_0_is_always_allowed_and_charges_nothing(clock):
    guard = guard_of(clock, limit("2/min"))
    decided(guard, cost=2)
    assert [("r/limit", True, None, 0)] == shown(decided(guard, cost=0))
    clock.advance(30)
    assert [("r/limit", True, None, 1)] == shown(decided(guard, cost=0))


@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window", "fixed_window", "sliding_log"])
def test_a_cost_above_the_capacity_is_too_large_for_ever(clock, algorithm):
    guard = guard_of(clock, limit("5/min", algorithm=algorithm))
    decision = decided(guard, cost=6)
    assert ("cost_too_large", None, 5) == (decision.reason, decision.retry_after, decision.remaining)
    assert decided(guard, cost=5).allowed


@pytest.mark.parametrize(("cost", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError), ("2", TypeError)])
def test_what_is_no_cost_is_refused_where_it_is_written(clock, cost, error):
    guard = guard_of(clock, limit())
    for call in (guard.enter, guard.try_enter, guard.peek):
        with pytest.raises(error, match="cost must be"):
            call("r", cost=cost)
    with pytest.raises(error, match="cost must be"):
        held(guard).settle(cost)


@pytest.mark.parametrize(
    ("attribute", "cost"),
    [
        ("3", 3),
        (3, 3),
        ("003", 3),
        ("0", 0),
        # no whole number: the call's own cost
        (None, 2),
        ("", 2),
        ("-1", 2),
        ("+3", 2),
        (" 3", 2),
        ("3.0", 2),
        (3.0, 2),
        ("1_000", 2),
        ("1e3", 2),
        ("0x10", 2),
        ("٣", 2),
        ("²", 2),
        (True, 2),
        (b"3", 2),
        ([3], 2),
    ],
)
def test_a_cost_from_an_attribute(clock, attribute, cost):
    guard = guard_of(clock, limit("100/min", cost="tokens"))
    assert 100 - cost == decided(guard, attributes={"tokens": attribute}, cost=2).remaining


@pytest.mark.parametrize("digits", [3, 15, 16, 17, 5_000])
@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window", "fixed_window", "sliding_log"])
def test_a_cost_of_many_digits_is_only_too_large(clock, algorithm, digits):
    guard = guard_of(clock, limit("100/min", cost="tokens", algorithm=algorithm))
    assert "cost_too_large" == decided(guard, attributes={"tokens": "9" * digits}).reason


def test_a_cost_that_is_written_holds_whatever_the_call_says(clock):
    guard = guard_of(clock, limit("100/min", cost=7), limit("100/min", name="calls"))
    assert [93, 98] == [one.remaining for one in decided(guard, cost=2).verdicts]


# -- retry_after -------------------------------------------------------------------------------------------------------

WINDOWS = st.builds(
    lambda algorithm, rate: limit(rate, algorithm=algorithm),
    st.sampled_from(["token_bucket", "sliding_window", "fixed_window", "sliding_log"]),
    st.sampled_from(["3/s", "5/7s", "2/100ms", "4/min"]),
)
BUCKETS = st.builds(
    lambda rate, burst, max_wait: limit(rate, burst=burst, max_wait=max_wait),
    st.sampled_from(["3/s", "7/11s", "5/min"]),
    st.integers(1, 6),
    st.sampled_from([0, "1s"]),
)
LIMITS = st.lists(WINDOWS | BUCKETS, min_size=1, max_size=3)


@pytest.mark.parametrize("how", [decided, adecided])
@settings(max_examples=60)
@given(
    LIMITS,
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 1_000, 333_333, S, -700_000])), max_size=15),
    st.integers(1, 4),
    st.sampled_from([None, 0, 0.5]),
)
def test_retry_after_is_exact_to_the_microsecond_over_several_rules(how, rules, history, cost, max_wait):
    """A retry then succeeds if nobody intervened, and one microsecond earlier it does not."""
    clock = FakeClock(START_US)
    guard = guard_of(clock, *({**rule, "name": str(place)} for place, rule in enumerate(rules)))
    for spent, step_us in history:
        decided(guard, cost=spent)
        clock.set_us(clock.now_us() + step_us)
    decision = guard.peek("r", cost=cost, max_wait=max_wait)
    if decision.allowed or decision.reason == "cost_too_large":
        return
    assert decision == how(guard, cost=cost, max_wait=max_wait)
    now_us = clock.now_us()
    clock.advance(decision.retry_after)
    clock.set_us(clock.now_us() - 1)
    assert clock.now_us() >= now_us
    assert not how(guard, cost=cost, max_wait=max_wait).allowed
    clock.set_us(clock.now_us() + 1)
    assert how(guard, cost=cost, max_wait=max_wait).allowed


@pytest.mark.parametrize("steps", [["open"], ["open", "reopen"], ["probing"]])
def test_retry_after_of_a_breaker_is_exact(clock, steps):
    guard = guard_of(
        clock,
        breaker(consecutive_failures=1, open_for="3s", open_for_max="60s", half_open_calls=1, probe_timeout="7s"),
    )
    held(guard).exit(OSError())
    if steps[-1] != "open":
        clock.advance(3)
        probe = held(guard)
        if steps[-1] == "reopen":
            probe.exit(OSError())
    decision = decided(guard)
    assert {"open": 3.0, "reopen": 6.0, "probing": 7.0}[steps[-1]] == decision.retry_after
    clock.advance(decision.retry_after - 0.000_001)
    assert not decided(guard).allowed
    clock.advance(0.000_001)
    assert decided(guard).allowed


def test_of_several_refusals_the_longest_retry_after_counts(clock):
    guard = guard_of(clock, limit("1/s", name="short"), limit("1/h", name="long"), limit("9/min", name="none"))
    decided(guard)
    decision = decided(guard)
    assert ("long", 3600.0, 1, 0, 3600.0) == (
        decision.rule,
        decision.retry_after,
        decision.limit,
        decision.remaining,
        decision.reset_after,
    )


def test_never_is_longer_than_any_time(clock):
    guard = guard_of(clock, limit("3/h", name="hourly"), limit("2/s", name="small"))
    decided(guard, cost=2)
    decision = decided(guard, cost=3)
    assert ("small", "cost_too_large", None) == (decision.rule, decision.reason, decision.retry_after)


def test_of_an_admission_the_smallest_remaining_counts(clock):
    guard = guard_of(clock, limit("9/min", name="wide"), limit("3/min", name="narrow"), breaker(), bulkhead(5))
    decision = decided(guard)
    assert ("narrow", "limit", 3, 2, None) == (
        decision.rule,
        decision.kind,
        decision.limit,
        decision.remaining,
        decision.retry_after,
    )
