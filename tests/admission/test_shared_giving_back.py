"""What a call has taken from the store is given back there, however it comes about that it does not go ahead."""

import asyncio

import pytest

from guardrail.telemetry.events import Immediate
from guardrail.testing import FakeClock
from tests.admission.fake_store import FakeStore
from tests.admission.scene import (
    START_US,
    ByHand,
    breaker,
    bulkhead,
    decided,
    guard_of,
    held,
    inside,
    left,
    limit,
    queued,
)


class Stop(BaseException):
    """What ends a program."""


class StoppingClock(FakeClock):
    """A clock that somebody presses Ctrl-C at."""

    stops = False

    def now_us(self):
        if self.stops:
            self.stops = False
            raise KeyboardInterrupt
        return super().now_us()


def raising(error):
    def meanwhile():
        raise error

    return meanwhile


# -- calls that end before they begin ----------------------------------------------------------------------------------


RULES = [
    limit("10/min", name="a"),
    limit("10/min", name="b", key="user"),
    limit("10/min", name="watched", mode="shadow"),
    limit("10/min", name="here", scope="local"),
    bulkhead(2),
]


def untouched(guard, store):
    """Nothing is taken of anything."""
    return (
        {10} == {store.left(key) for key in store.kept}
        and 10 == left(guard, "here")
        and (0, 0) == (inside(guard), queued(guard))
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), Stop()])
def test_a_thread_that_is_interrupted_while_the_store_is_asked(store, shared, error):
    guard = shared(*RULES)
    store.meanwhile = raising(error)
    with pytest.raises(type(error)):
        guard.try_enter("r", cost=3)
    assert untouched(guard, store)
    assert 3 == len(store.kept)


def test_a_thread_that_is_interrupted_when_the_answer_has_come_but_is_not_heard():
    clock = StoppingClock(START_US)
    store = FakeStore(clock)
    guard = guard_of(clock, *RULES, store=store)

    def soon():
        clock.stops = True

    store.meanwhile = soon
    with pytest.raises(KeyboardInterrupt):
        guard.try_enter("r", cost=3)
    assert untouched(guard, store)
    assert {"a", "b", "watched"} == {refund.key.partition(":")[2] for refund in store.refunds}
    with pytest.raises(KeyboardInterrupt):
        guard.peek("r", cost=3)
    assert 3 == len(store.refunds)


def test_a_task_that_is_interrupted_when_the_answer_has_come_but_is_not_heard():
    clock = StoppingClock(START_US)
    store = FakeStore(clock)
    guard = guard_of(clock, *RULES, store=store)
    store.meanwhile = lambda: setattr(clock, "stops", True)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(guard.atry_enter("r", cost=3))
    assert untouched(guard, store)
    assert 3 == len(store.refunds)


def test_a_refusal_that_is_not_heard_gives_nothing_back():
    clock = StoppingClock(START_US)
    store = FakeStore(clock)
    guard = guard_of(clock, limit("10/min"), limit("99/min", name="here", scope="local"), store=store)
    store.meanwhile = lambda: setattr(clock, "stops", True)
    with pytest.raises(KeyboardInterrupt):
        guard.try_enter("r", cost=11)
    assert ([], 99) == (store.refunds, left(guard, "here"))


def test_a_listener_that_ends_the_program_as_the_answer_is_heard(clock, store):
    """What was heard is given back once."""

    def listener(event):
        raise Stop

    small = limit("5/min", name="small", mode="shadow")
    guard = guard_of(clock, *RULES, small, store=store, listeners=[Immediate(listener)])
    decided(guard, cost=4)
    with pytest.raises(Stop):
        guard.try_enter("r", cost=3)
    assert [3, 3, 3] == [refund.cost for refund in store.refunds]
    assert (6, 0) == (left(guard, "here"), inside(guard))


def test_a_task_that_is_cancelled_while_the_store_is_asked(store, shared):
    guard = shared(*RULES)

    async def cancelled():
        store.answers_when = asyncio.Event()
        task = asyncio.create_task(guard.atry_enter("r", cost=3))
        while not store.asked:
            await asyncio.sleep(0)
        assert 1 == inside(guard)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert untouched(guard, store)


def test_a_task_whose_store_takes_its_time_gets_its_answer(store, shared):
    guard = shared(*RULES)

    async def call():
        store.answers_when = asyncio.Event()
        task = asyncio.create_task(guard.atry_enter("r", cost=3))
        while not store.asked:
            await asyncio.sleep(0)
        store.answers_when.set()
        async with asyncio.timeout(20):
            permit = await task
        await permit.aexit()
        return permit.decision.remaining

    assert 1 == asyncio.run(call())


# -- calls that are refused after the store has let them in ------------------------------------------------------------


WAITS = limit("10/s", burst=10, max_wait="10s")


def to_its_sleep(guard, store, **options):
    """A call by hand that the store has granted with a wait."""
    call = ByHand(guard, **options)
    question = call.needs
    with guard.ledger:
        call.needs = call.steps.send(store.admit(question.checks))
    return call


def test_a_place_that_is_not_to_be_had_after_the_wait(clock, store, shared):
    """What 50 ms have brought back of the 5 tokens is not given back twice."""
    guard = shared(WAITS, limit("99/min", name="b"), bulkhead(1))
    local = guard_of(clock, WAITS, limit("99/min", name="b"), bulkhead(1))
    rows = []
    for one in (guard, local):
        decided(one, cost=9)
        clock.set_us(START_US)
        call = to_its_sleep(one, store, cost=5) if one is guard else ByHand(one, cost=5)
        clock.advance(0.05)
        other = held(one, cost=0)
        call.go_on()
        assert "bulkhead_full" == call.reason
        rows.append(call.attempt.decision())
        other.exit()
        clock.set_us(START_US)
    assert [5, 5] == [refund.cost for refund in store.refunds]
    assert rows[0] == rows[1]


def test_a_breaker_that_opens_during_the_wait(clock, store, shared):
    guard = shared(WAITS, breaker())
    decided(guard, cost=9)
    call = to_its_sleep(guard, store, cost=5)
    guard.breakers["r/breaker"].force_open()
    call.go_on()
    assert ("breaker_forced", 1) == (call.reason, store.only_left())


def test_a_wait_that_is_cancelled(store, shared):
    guard = shared(WAITS, limit("99/min", name="b"), limit("99/min", name="here", scope="local"))
    decided(guard, cost=9)
    call = to_its_sleep(guard, store, cost=9)
    call.cancel()
    assert {1, 90} == {store.left(key) for key in store.kept}
    assert 90 == left(guard, "here")
