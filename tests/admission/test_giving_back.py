"""Whatever a call has taken is given back when it does not go ahead, however that comes about."""

import asyncio
import gc
import threading

import pytest

from guardrail.admission import flow
from guardrail.telemetry.events import BreakerMoved, CallRefused
from guardrail.testing import FakeClock
from tests.admission.scene import (
    START_US,
    ByHand,
    Interrupting,
    Line,
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

WAITED_FOR = limit("10/s", max_wait="10s")  # 10 tokens after 5 take half a second


class InterruptedClock(FakeClock):
    """A clock whose sleep ends with what a test throws into it, a tenth of a second later."""

    error: BaseException = KeyboardInterrupt()

    def sleep(self, seconds):
        self.advance(0.1)
        raise self.error

    async def asleep(self, seconds):
        self.advance(0.1)
        raise self.error


class Stop(BaseException):
    """What ends a program."""


# -- cancelled while it waits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), Stop(), OSError("no timer"), GeneratorExit()])
def test_a_sleep_that_is_interrupted_gives_the_rest_of_the_tokens_back(error):
    clock = InterruptedClock(START_US)
    clock.error = error
    guard = guard_of(clock, WAITED_FOR, bulkhead())
    decided(guard, cost=5)
    with pytest.raises(type(error)):
        guard.try_enter("r", cost=10)
    assert (5, 0) == (left(guard), inside(guard))


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Stop(), OSError("no timer")])
def test_a_task_that_is_cancelled_in_its_sleep_gives_the_rest_of_the_tokens_back(error):
    clock = InterruptedClock(START_US)
    clock.error = error
    guard = guard_of(clock, WAITED_FOR, bulkhead())
    decided(guard, cost=5)

    async def call():
        async with guard.enter("r", cost=10):
            pytest.fail("it got in")

    with pytest.raises(type(error)):
        asyncio.run(call())
    assert (5, 0) == (left(guard), inside(guard))


def test_every_limit_gets_its_tokens_back(clock):
    guard = guard_of(
        clock, limit("10/s", max_wait="10s", name="a"), limit("20/min", name="b"), limit("30/min", name="c")
    )
    decided(guard, cost=5)
    call = ByHand(guard, cost=10)
    assert (5, 15) == (left(guard, "b"), left(guard, "c"))
    call.cancel()
    assert (5, 15, 25) == (left(guard, "a"), left(guard, "b"), left(guard, "c"))


def test_tokens_that_others_already_wait_behind_are_not_given_back(clock):
    """Whoever waits behind them was promised a time that took them into account."""
    guard = guard_of(clock, WAITED_FOR)
    decided(guard, cost=10)
    first, second = ByHand(guard, cost=5), ByHand(guard, cost=5)
    assert (0.5, 1.0) == (first.needs.seconds, second.needs.seconds)
    first.cancel()
    third = ByHand(guard, cost=5)
    assert 1.5 == third.needs.seconds
    third.cancel()  # the last one of the row gives back
    assert 1.5 == ByHand(guard, cost=5).needs.seconds


def test_a_thread_that_is_interrupted_in_the_queue_leaves_it(clock, monkeypatch):
    monkeypatch.setattr(flow, "Event", Interrupting)
    guard = guard_of(clock, limit("9/min"), bulkhead(max_wait="10s"))
    holder = held(guard)
    with pytest.raises(KeyboardInterrupt):
        guard.try_enter("r")
    assert (1, 0, 8) == (inside(guard), queued(guard), left(guard))
    holder.exit()
    assert 0 == inside(guard)


def test_a_thread_that_is_interrupted_as_it_is_handed_the_place_passes_it_on(clock, monkeypatch):
    class Handed(Interrupting):
        def wait(self, timeout=None):
            holder.exit()
            return super().wait(timeout)

    monkeypatch.setattr(flow, "Event", Handed)
    guard = guard_of(clock, bulkhead(max_wait="10s"))
    holder = held(guard)
    with pytest.raises(KeyboardInterrupt):
        guard.try_enter("r")
    assert (0, 0) == (inside(guard), queued(guard))


def test_a_task_that_is_cancelled_in_the_queue_leaves_it(clock):
    guard = guard_of(clock, bulkhead(max_wait="10s"))
    holder = held(guard)

    async def main():
        task = asyncio.create_task(guard.atry_enter("r"))
        await asyncio.sleep(0)
        assert 1 == queued(guard)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (1, 0) == (inside(guard), queued(guard))
    holder.exit()
    assert 0 == inside(guard)


def test_a_task_that_is_cancelled_as_it_is_handed_the_place_passes_it_on(clock):
    guard = guard_of(clock, bulkhead(max_wait="10s"))
    holder = held(guard)

    async def main():
        first, second = (asyncio.create_task(guard.atry_enter("r")) for _ in range(2))
        await asyncio.sleep(0)
        holder.exit()
        first.cancel()
        permit = await second
        assert first.cancelled()
        assert (1, 0) == (inside(guard), queued(guard))
        permit.exit()

    asyncio.run(main())
    assert 0 == inside(guard)


@pytest.mark.parametrize("then", ["goes on", "is dropped"])
def test_a_call_abandoned_in_the_queue_leaves_it(clock, then):
    guard = guard_of(clock, bulkhead(max_wait="10s"))
    holder, call = held(guard), ByHand(guard)
    if then == "is dropped":
        del call
        gc.collect()
    else:
        call.cancel()
    holder.exit()
    assert (0, 0, 0) == (inside(guard), queued(guard), len(guard.ledger.waiting))


# -- refused after it has taken something ------------------------------------------------------------------------------


def test_the_first_of_two_bulkheads_is_left_when_the_second_is_full(clock):
    guard = guard_of(clock, bulkhead(2, name="wide"), bulkhead(1, name="narrow"))
    held(guard)
    assert "narrow" == decided(guard).rule
    assert (1, 1) == (inside(guard, "wide"), inside(guard, "narrow"))


def test_a_place_given_back_by_a_refusal_goes_to_who_waits_for_it(clock):
    """The first has the wide place and waits for the narrow one; as it gives up, the second gets the wide one."""
    guard = guard_of(
        clock,
        bulkhead(name="wide", max_wait="1h", resource=["r", "wide"]),
        bulkhead(name="narrow", max_wait="10s", resource=["r", "narrow"]),
    )
    held(guard, "narrow")
    first, second = ByHand(guard), ByHand(guard, "wide")
    clock.advance(10)
    assert "narrow" == first.go_on().attempt.decision().rule
    assert second.waiter.granted
    assert second.go_on().is_in


# -- interrupted when it was in already --------------------------------------------------------------------------------


class Interrupts:
    """A listener that ends the program, once it is armed, at the next event of a kind."""

    never_waits = True

    def __init__(self, kind):
        self.kind = kind
        self.armed = False

    def __call__(self, event):
        if self.armed and isinstance(event, self.kind):
            raise KeyboardInterrupt


def enter_in_thread(guard):
    guard.try_enter("r")


def enter_in_task(guard):
    asyncio.run(guard.atry_enter("r"))


ways_in = pytest.mark.parametrize("enter", [enter_in_thread, enter_in_task])


@ways_in
def test_a_listener_that_ends_the_program_at_a_grant_leaves_nothing_held(clock, enter):
    """The breaker goes half-open in the very turn in which the call is let in, and nobody ever gets the permit."""
    listener = Interrupts(BreakerMoved)
    rules = limit("9/min"), bulkhead(), breaker(consecutive_failures=1, open_for="1s", half_open_calls=2)
    guard = guard_of(clock, *rules, limit("9/min", name="watched", mode="shadow"), listeners=[listener])
    held(guard).exit(OSError())
    clock.advance(1)
    listener.armed = True
    with pytest.raises(KeyboardInterrupt):
        enter(guard)
    health = guard.breakers["r/breaker"].snapshot()
    assert ("half_open", 0, 0) == (health.state, health.probes_out, inside(guard))
    assert (8, 8) == (left(guard), left(guard, "watched"))


@ways_in
def test_a_listener_that_ends_the_program_at_a_refusal_leaves_nothing_held(clock, enter):
    listener = Interrupts(CallRefused)
    guard = guard_of(clock, limit(), bulkhead(), listeners=[listener])
    decided(guard)
    listener.armed = True
    with pytest.raises(KeyboardInterrupt):
        enter(guard)
    assert 0 == inside(guard)


@ways_in
def test_what_was_put_off_is_done_although_a_listener_ends_the_program(clock, enter):
    """A probe that began to stream closes the breaker by its time-out, which the next call sees first. It is refused."""
    listener = Interrupts(BreakerMoved)
    fragile = breaker(consecutive_failures=1, open_for="1s", half_open_calls=1, probe_timeout="5s")
    guard = guard_of(clock, limit(), bulkhead(2), fragile, listeners=[listener])
    held(guard).exit(OSError())
    clock.advance(1)
    held(guard, cost=0).begin()
    clock.advance(5)
    listener.armed = True
    with pytest.raises(KeyboardInterrupt):
        enter(guard)
    [places] = guard.ledger.bulkheads["r/bulkhead"].states.values()  # without a turn, which would do what is put off
    assert 1 == places.in_use


# -- who waits when others leave ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, OSError(), asyncio.CancelledError()])
def test_a_place_goes_to_who_waits_however_the_call_ends(clock, error):
    guard = guard_of(clock, bulkhead(max_wait="10s"))
    holder, waiting = held(guard), ByHand(guard)
    holder.exit(error)
    assert waiting.go_on().is_in
    waiting.permit().exit()
    assert 0 == inside(guard)


def test_a_storm_of_threads_leaves_nothing_behind(clock):
    """Never more than two inside, and nobody waits for ever."""
    guard = guard_of(clock, bulkhead(2, max_wait="1h"), limit("1000000/s"))
    lock, most, now = threading.Lock(), [0], [0]

    def calls():
        for _ in range(100):
            with guard.enter("r"):
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                with lock:
                    now[0] -= 1

    threads = [threading.Thread(target=calls, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert (0, 0, 0) == (inside(guard), queued(guard), len(guard.ledger.waiting))
    assert most[0] <= 2


def test_waiters_are_forgotten_when_they_are_done(clock):
    guard = guard_of(clock, bulkhead(max_wait="10s"))
    line = Line(guard)
    holder, first, second = held(guard), ByHand(guard), ByHand(guard)
    assert 2 == len(line)
    holder.exit()
    first.go_on().permit().exit()
    second.cancel()
    assert 0 == len(line)
