"""The true cost, once it is known, and costs that only failures have to pay."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.testing import FakeClock
from tests.admission.scene import START_US, S, bulkhead, decided, guard_of, held, left, limit

ALGORITHMS = ["token_bucket", "sliding_window", "fixed_window", "sliding_log"]
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


# -- settling ----------------------------------------------------------------------------------------------------------


@every_algorithm
def test_a_surplus_is_given_back(clock, algorithm):
    guard = guard_of(clock, limit("100/min", algorithm=algorithm))
    held(guard, cost=60).settle(45)
    assert 55 == left(guard)


@every_algorithm
def test_a_deficit_is_charged_and_later_calls_wait_for_it(clock, algorithm):
    guard = guard_of(clock, limit("100/min", algorithm=algorithm))
    permit = held(guard, cost=60)
    permit.settle(250)
    decision = decided(guard)
    assert (0, 0, "rate") == (left(guard), decision.remaining, decision.reason)
    clock.advance(decision.retry_after)
    assert decided(guard).allowed


def test_a_deficit_of_a_token_bucket_takes_its_time(clock):
    guard = guard_of(clock, limit("100/min"))
    held(guard, cost=60).settle(250)
    assert 90.6 == decided(guard).retry_after


def test_only_limits_that_took_the_calls_own_cost_are_corrected(clock):
    guard = guard_of(
        clock,
        limit("100/min", name="calls", cost=1),
        limit("100/min", name="bytes", cost="size"),
        limit("100/min", name="tokens"),
    )
    permit = held(guard, attributes={"size": 20}, cost=30)
    assert [99, 80, 70] == [left(guard, rule) for rule in ("calls", "bytes", "tokens")]
    permit.settle(10)
    assert [99, 80, 90] == [left(guard, rule) for rule in ("calls", "bytes", "tokens")]
    permit.settle(50)
    assert [99, 80, 50] == [left(guard, rule) for rule in ("calls", "bytes", "tokens")]


@pytest.mark.parametrize(
    ("first", "settled", "remaining"),
    [
        (10, [10], 90),
        (10, [4], 96),
        (10, [4, 4], 96),
        (10, [4, 10], 90),
        (10, [25], 75),
        (10, [25, 10], 90),
        (10, [25, 5], 95),
        (10, [25, 12, 40, 0], 100),
        (10, [0], 100),
        (10, [0, 7], 93),
        (0, [7], 93),
        (0, [0], 100),
        (0, [7, 0, 3], 97),
    ],
)
@every_algorithm
def test_the_last_settlement_counts(clock, algorithm, first, settled, remaining):
    guard = guard_of(clock, limit("100/min", algorithm=algorithm))
    permit = held(guard, cost=first)
    for cost in settled:
        permit.settle(cost)
    assert remaining == left(guard)


def test_it_may_be_settled_after_the_exit(clock):
    """The length of an answer may be known when it has been sent."""
    guard = guard_of(clock, limit("100/min"), bulkhead())
    permit = held(guard, cost=10)
    permit.exit()
    permit.settle(30)
    assert (70, True) == (left(guard), decided(guard, cost=0).allowed)


def test_a_call_that_was_refused_has_nothing_to_settle(clock):
    guard = guard_of(clock, limit("10/min"))
    held(guard, cost=8)
    held(guard, cost=8).settle(1)
    assert 2 == left(guard)


def test_a_shadow_limit_that_had_no_room_for_the_call_has_nothing_to_settle(clock):
    guard = guard_of(clock, limit("10/min", mode="shadow", name="watched"), limit("100/min"))
    held(guard, cost=8)
    permit = held(guard, cost=8)
    for cost in (0, 5, 9):
        permit.settle(cost)
    assert (2, 100 - 8 - 9) == (left(guard, "watched"), left(guard))


def test_a_shadow_limit_that_took_the_cost_is_corrected_too(clock):
    guard = guard_of(clock, limit("10/min", mode="shadow"))
    held(guard, cost=8).settle(3)
    assert 7 == left(guard)


def test_a_surplus_that_time_has_given_back_already_is_not_given_back_again(clock):
    guard = guard_of(clock, limit("60/min"))
    permit = held(guard, cost=30)
    held(guard, cost=30)
    clock.advance(20)
    permit.settle(0)  # of the 30, 20 have come back by themselves
    assert 30 == left(guard)


@pytest.mark.parametrize(("after", "remaining"), [(59, 100), (60, 100), (66, 100)])
def test_what_a_window_has_forgotten_is_not_given_back(clock, after, remaining):
    guard = guard_of(clock, limit("100/min", algorithm="fixed_window"))
    permit = held(guard, cost=30)
    clock.set_us(START_US - START_US % (60 * S) + after * S)
    permit.settle(0)
    assert remaining == left(guard)


def test_a_surplus_of_a_call_that_waited_comes_back_only_if_nobody_called_since(clock):
    guard = guard_of(clock, limit("10/s", max_wait="1h"))
    decided(guard, cost=10)
    first = held(guard, cost=10)
    first.settle(5)  # nobody has: but the second of its wait has brought all ten back
    assert 0 == left(guard)
    second = held(guard, cost=10)
    third = held(guard, cost=10)
    second.settle(0)
    assert (1.0, 0) == (third.decision.wait, left(guard))


@given(
    st.sampled_from(ALGORITHMS),
    st.lists(
        st.tuples(st.integers(0, 12), st.lists(st.integers(0, 12), max_size=3), st.sampled_from([0, 1, 90_000, S])),
        max_size=12,
    ),
)
def test_settling_never_lets_more_in_than_was_settled_for(algorithm, history):
    """In any one microsecond, the true costs of what was admitted stay within the capacity, overdrafts aside."""
    clock = FakeClock(START_US)
    guard = guard_of(clock, limit("10/s", algorithm=algorithm))
    true_costs = 0
    for cost, settled, step_us in history:
        if step_us:
            clock.set_us(clock.now_us() + step_us)
            true_costs = 0
        permit = guard.try_enter("r", cost=cost)
        if permit:
            assert not cost or true_costs + cost <= 10
            for true_cost in settled:
                permit.settle(true_cost)
            true_costs += settled[-1] if settled else cost
        permit.exit()


# -- what makes a charge past giving back ------------------------------------------------------------------------------


@every_algorithm
@pytest.mark.parametrize("key", [{}, {"key": "resource"}])
def test_a_charge_from_before_a_reset_is_not_given_back(clock, algorithm, key):
    """What there is now was charged by others."""
    guard = guard_of(clock, limit("10/s", algorithm=algorithm, **key))
    permit = held(guard, cost=10)
    guard.reset("r/limit", "r" if key else None)
    held(guard, cost=10)
    permit.settle(0)
    assert "rate" == decided(guard).reason


@every_algorithm
@pytest.mark.parametrize("key", [{}, {"key": "resource"}])
def test_a_charge_from_before_a_change_of_the_rate_is_not_given_back(clock, algorithm, key):
    """It was rescaled, and what was cut off on the way is not known: 10 of 10, then 2 of 2, then 10 of 10."""
    guard = guard_of(clock, limit("10/s", algorithm=algorithm, **key))
    permit = held(guard, cost=10)
    guard.apply([limit("2/s", algorithm=algorithm, **key)])
    guard.apply([limit("10/s", algorithm=algorithm, **key)])
    before = guard.peek("r", cost=0).remaining
    permit.settle(0)
    assert before == guard.peek("r", cost=0).remaining


def test_a_charge_in_the_numbers_of_another_rate_is_not_given_back(clock):
    """The key's own rate has changed meanwhile, and another call has written the state in it."""
    rates = {"u1": "10/s"}
    guard = guard_of(clock, limit("100/s", key="user"), overrides={"r/limit": rates.get})
    permit = held(guard, attributes={"user": "u1"}, cost=10)
    rates["u1"] = "20/s"
    clock.advance(60)
    held(guard, attributes={"user": "u1"}, cost=20)
    permit.settle(0)
    assert "rate" == decided(guard, attributes={"user": "u1"}).reason


@every_algorithm
def test_a_charge_from_before_a_step_of_the_clock_is_not_given_back(clock, algorithm):
    """How long ago it was is not known any more."""
    guard = guard_of(clock, limit("10/s", algorithm=algorithm))
    permit = held(guard, cost=10)
    clock.advance(-5)
    permit.settle(0)
    assert 0 == left(guard)


@pytest.fixture
def compiled(clock):
    """A guard of a function whose calls take no turn, called once."""
    guard = guard_of(clock)

    @guard.limit("10/s", name="f")
    def call():
        pass

    call()
    return guard, call


def test_a_charge_from_before_a_step_that_only_the_compiled_path_has_seen_is_not_given_back(clock, compiled):
    """It wrote the state at 0.5 s, where no turn was; by then, the 4 of the first call were back with the time."""
    guard, call = compiled
    permit = held(guard, "f", cost=4)
    clock.advance(0.5)
    for _ in range(10):
        call()
    clock.advance(-0.4)
    permit.settle(0)
    assert "rate" == decided(guard, "f").reason


def test_nor_after_others_have_moved_the_state_to_the_new_time(clock, compiled):
    guard, call = compiled
    permit = held(guard, "f", cost=4)
    clock.advance(0.5)
    for _ in range(10):
        call()
    clock.advance(-0.4)
    assert "rate" == decided(guard, "f").reason
    permit.settle(0)
    assert "rate" == decided(guard, "f").reason


def test_nor_after_others_have_done_so_by_owing(clock, compiled):
    guard, call = compiled
    permit, other = held(guard, "f", cost=4), held(guard, "f", cost=0)
    clock.advance(0.5)
    for _ in range(9):
        call()
    clock.advance(-0.4)
    other.settle(1)
    permit.settle(0)
    assert "rate" == decided(guard, "f").reason


def test_a_state_that_is_gone_takes_nothing_back(clock):
    """It was full again and made room for others."""
    guard = guard_of(clock, limit("10/s", key="user"), max_keys=1)
    permit = held(guard, attributes={"user": "u1"}, cost=5)
    clock.advance(60)
    decided(guard, attributes={"user": "u2"})
    permit.settle(0)
    permit.settle(3)
    assert decided(guard, attributes={"user": "u2"}, cost=9).allowed


def test_what_was_charged_to_the_shared_state_comes_back_there(clock):
    """A deficit later on, when the key has a state of its own, is charged there as well."""
    guard = guard_of(clock, limit("10/min", key="user"), max_keys=1)
    decided(guard, attributes={"user": "u1"})
    permit = held(guard, attributes={"user": "new"}, cost=9)
    clock.advance(6)  # the first user makes room
    assert decided(guard, attributes={"user": "new"}, cost=10).allowed
    permit.settle(10)
    permit.settle(0)
    assert "rate" == decided(guard, attributes={"user": "new"}).reason


# -- what only failures pay --------------------------------------------------------------------------------------------


@every_algorithm
@pytest.mark.parametrize(
    ("exit_with", "remaining"),
    [
        ({}, 10),
        ({"error": None, "failed": False}, 10),
        ({"error": OSError()}, 7),
        ({"failed": True}, 7),
        ({"error": asyncio.CancelledError()}, 10),
        ({"error": KeyboardInterrupt()}, 10),
        ({"error": GeneratorExit()}, 10),
    ],
)
def test_a_charge_for_failures_is_given_back_unless_the_call_failed(clock, algorithm, exit_with, remaining):
    guard = guard_of(clock, limit("10/min", charge="failure", algorithm=algorithm))
    permit = held(guard, cost=3)
    assert 7 == left(guard)
    permit.exit(**exit_with)
    assert remaining == left(guard)


def test_a_refusal_of_guardrails_own_is_no_failure(clock):
    guard = guard_of(clock, limit("10/min", charge="failure"), limit("1/min", resource="inner", name="inner"))
    decided(guard, "inner")
    refused = guard.try_enter("inner").refusal()
    held(guard).exit(refused)
    assert 10 == left(guard)


def test_guesses_at_a_password_are_limited_and_logins_are_not(clock):
    guard = guard_of(clock, limit("3/min", charge="failure", key="user"))
    for _ in range(10):
        held(guard, attributes={"user": "ann"}).exit()
    for _ in range(3):
        held(guard, attributes={"user": "bob"}).exit(failed=True)
    assert [True, False] == [decided(guard, attributes={"user": user}).allowed for user in ("ann", "bob")]


def test_many_at_once_are_limited_while_it_is_not_known_how_they_end(clock):
    guard = guard_of(clock, limit("3/min", charge="failure"))
    permits = [held(guard) for _ in range(3)]
    assert "rate" == decided(guard).reason
    for permit in permits:
        permit.exit()
    assert 3 == left(guard)


def test_a_shadow_charge_for_failures_is_given_back_too(clock):
    guard = guard_of(clock, limit("10/min", charge="failure", mode="shadow"))
    held(guard, cost=3).exit()
    assert 10 == left(guard)
    held(guard, cost=3).exit(OSError())
    assert 7 == left(guard)


@pytest.mark.parametrize(("failed", "remaining"), [(False, 10), (True, 5)])
def test_what_was_settled_is_given_back_with_the_rest(clock, failed, remaining):
    guard = guard_of(clock, limit("10/min", charge="failure"))
    permit = held(guard, cost=1)
    permit.settle(5)
    permit.exit(failed=failed)
    assert remaining == left(guard)


@pytest.mark.parametrize(("failed", "remaining"), [(False, 10), (True, 5)])
@pytest.mark.parametrize("cost", [0, 1])
def test_what_is_settled_after_the_exit_is_paid_by_failures_only(clock, cost, failed, remaining):
    guard = guard_of(clock, limit("10/min", charge="failure"))
    permit = held(guard, cost=cost)
    permit.exit(failed=failed)
    permit.settle(5)
    assert remaining == left(guard)
