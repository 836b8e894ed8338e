"""The true cost of a call is settled in the store, and what only failures pay is given back there."""

import asyncio

import pytest

from guardrail.core.limit import Charge
from tests.admission.scene import (
    START_US,
    S,
    breaker,
    decided,
    held,
    limit,
)
from tests.admission.shared_scene import alone_or_not, every_algorithm

# -- settling ----------------------------------------------------------------------------------------------------------


@alone_or_not
@every_algorithm
def test_a_surplus_is_given_back(store, shared, others, algorithm):
    guard = shared(limit("100/min", algorithm=algorithm), *others)
    permit = held(guard, cost=60)
    permit.settle(45)
    assert 55 == store.only_left()
    permit.settle(0)
    assert (100, [15, 45]) == (store.only_left(), [refund.cost for refund in store.refunds])


@alone_or_not
@every_algorithm
def test_a_deficit_is_charged_also_where_there_is_no_room(clock, store, shared, others, algorithm):
    guard = shared(limit("100/min", algorithm=algorithm), *others)
    held(guard, cost=60).settle(250)
    assert (0, 190) == (store.only_left(), store.owed[0].cost)
    clock.advance(decided(guard).retry_after)
    assert decided(guard).allowed


@alone_or_not
@every_algorithm
def test_a_deficit_can_be_corrected_downwards(store, shared, others, algorithm):
    """Estimated at 10, seen to become 50, in the end 20."""
    guard = shared(limit("100/min", algorithm=algorithm), *others)
    permit = held(guard, cost=10)
    for cost in (50, 20):
        permit.settle(cost)
    assert 80 == store.only_left()
    permit.settle(0)
    assert 100 == store.only_left()


@every_algorithm
@pytest.mark.parametrize(("failed", "remaining"), [(False, 100), (True, 50)])
def test_what_was_settled_is_given_back_with_the_rest(clock, store, shared, algorithm, failed, remaining):
    guard = shared(limit("100/h", algorithm=algorithm, charge="failure"))
    permit = held(guard, cost=10)
    permit.settle(50)
    permit.exit(failed=failed)
    assert remaining == store.only_left()


def test_a_deficit_of_later_on_is_given_back_as_of_then(clock, store, shared):
    """10 s bring 10 tokens back; of the 40 that were charged after that, none have come back yet."""
    guard = shared(limit("60/min"), breaker())
    permit = held(guard, cost=20)
    clock.advance(10)
    permit.settle(60)
    assert 10 == store.only_left()
    permit.settle(20)
    assert 50 == store.only_left()
    permit.settle(0)
    assert 60 == store.only_left()


def test_what_a_clock_that_has_stepped_back_meanwhile_says_is_not_believed(clock, store, shared):
    guard = shared(limit("60/min"), breaker())
    permit = held(guard, cost=20)
    clock.advance(-10)
    permit.settle(40)
    permit.settle(20)
    assert (20, START_US) == (store.only_left(), store.refunds[0].charge.at_us)


@alone_or_not
def test_only_the_calls_own_cost_is_settled(store, shared, others):
    guard = shared(limit("100/min", cost=1), *others)
    permit = held(guard, cost=60)
    permit.settle(0)
    permit.settle(90)
    assert (99, [], []) == (store.only_left(), store.refunds, store.owed)


@alone_or_not
def test_a_call_that_cost_nothing_may_turn_out_to_have_cost_something(store, shared, others):
    guard = shared(limit("100/min"), *others)
    permit = held(guard, cost=0)
    permit.settle(30)
    permit.settle(10)
    assert 90 == store.only_left()


@alone_or_not
def test_rules_that_only_watch_are_settled_too(store, shared, others):
    guard = shared(limit("100/min", mode="shadow"), *others)
    held(guard, cost=60).settle(20)
    held(guard, cost=90).settle(20)  # would have been refused, and has taken nothing
    assert 80 == store.only_left()


@alone_or_not
def test_nothing_is_given_back_to_another_life_of_the_state(store, shared, others):
    guard = shared(limit("100/min"), *others)
    permit = held(guard, cost=60)
    guard.reset("r/limit")
    store.clock.advance(1)
    held(guard, cost=50)
    permit.settle(0)
    assert (50, START_US) == (store.only_left(), store.refunds[0].era)


def test_the_store_is_told_which_charge_it_was(clock, store, shared):
    guard = shared(limit("1/s", burst=4, max_wait="9s"), breaker())
    decided(guard, cost=3)
    held(guard, cost=3).settle(2)
    (refund,) = store.refunds
    assert (1, Charge(3, START_US, (6_000_000, START_US), waited=True), START_US) == (
        refund.cost,
        refund.charge,
        refund.era,
    )
    assert S * 2 + START_US == clock.now_us()


# -- charge: failure ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "remaining"), [({}, 10), ({"failed": True}, 7), ({"error": asyncio.CancelledError()}, 10)]
)
@pytest.mark.parametrize("in_task", [False, True])
def test_a_charge_for_failures_is_given_back_unless_the_call_failed(store, shared, ends, remaining, in_task):
    guard = shared(limit("10/min", charge="failure"))
    permit = held(guard, cost=3)
    if in_task:
        asyncio.run(permit.aexit(**ends))
    else:
        permit.exit(**ends)
    assert remaining == store.only_left()
