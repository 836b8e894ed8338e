"""All state is under one lock; what must not happen under it happens right after it."""

import logging

import pytest

from guardrail.admission.ledger import Ledger
from guardrail.telemetry.events import BreakerMoved, CallRefused, Immediate
from tests.admission.scene import (
    ByHand,
    breaker,
    bulkhead,
    decided,
    guard_of,
    held,
    inside,
    limit,
)
from tests.locks import is_locked


@pytest.fixture
def ledger(clock):
    return Ledger(clock, 10, ())


# -- listeners ---------------------------------------------------------------------------------------------------------


def test_a_listener_may_call_the_guard(clock):
    """It is told once the lock is free; it may wait, decide, look, reset."""
    heard = []

    def listener(event):
        assert not is_locked(guard.ledger.lock)
        heard.append(type(event))
        if len(heard) < 5:
            decided(guard, "s")
            guard.peek("r")
            guard.reset("s/limit")
            assert guard.breakers["r/breaker"].state in ("open", "closed")

    rules = limit(), limit(resource="s"), breaker(consecutive_failures=1)
    guard = guard_of(clock, *rules, listeners=[Immediate(listener)])
    held(guard).exit(OSError())
    decided(guard)
    assert [BreakerMoved, CallRefused] == heard


def test_a_listener_that_raises_changes_nothing_but_a_log_line(clock, news, caplog):
    def broken(event):
        raise RuntimeError("no network")

    guard = guard_of(clock, limit(), bulkhead(), listeners=[Immediate(broken), news])
    assert decided(guard).allowed
    assert "rate" == decided(guard).reason
    assert (0, 1) == (inside(guard), len(news.of(CallRefused)))
    assert [("guardrail.listeners", logging.ERROR)] == [(one.name, one.levelno) for one in caplog.records]


def test_every_event_is_told_once_and_in_order(clock, news):
    guard = guard_of(clock, breaker(consecutive_failures=1, open_for="1s", half_open_calls=1), listeners=[news])
    held(guard).exit(OSError())
    decided(guard)
    clock.advance(1)
    decided(guard)
    assert [
        ("closed", "open"),
        "breaker_open",
        ("open", "half_open"),
        ("half_open", "closed"),
    ] == [one.reason if isinstance(one, CallRefused) else (one.from_state, one.to_state) for one in news.events]


def test_a_listener_does_not_hear_what_comes_of_its_own_calls(clock, news):
    """Else one refusal would be told for ever. Everybody else hears of it."""
    heard = []

    def calls(event):
        heard.append(event.resource)
        decided(guard, "s")

    guard = guard_of(clock, limit(), limit(resource="s"), listeners=[Immediate(calls), news])
    decided(guard, "s")
    decided(guard)
    decided(guard)
    assert (["r"], ["s", "r"]) == (heard, [event.resource for event in news.events])
    decided(guard)
    assert ["r", "r"] == heard


@pytest.mark.parametrize("others", [(), (bulkhead(99),)], ids=["alone", "beside others"])
def test_a_call_refused_in_the_middle_of_a_turn_is_told_of_when_the_lock_is_free(clock, others):
    """A finalizer or a signal handler may make one. The service's listener may want a lock that a caller holds."""
    locked = []
    listener = Immediate(lambda event: locked.append(is_locked(guard.ledger.lock)))
    guard = guard_of(clock, limit(), *others, listeners=[listener])
    decided(guard)
    with guard.ledger:
        assert not decided(guard).allowed
        assert not guard.try_enter("r")
        assert [] == locked
    assert [False, False] == locked


def test_a_call_refused_in_the_middle_of_a_quick_way_is_told_of_by_the_next(clock, news):
    """Such a way takes the lock, and no turn."""
    guard = guard_of(clock, limit(), limit("9/min", resource="s"), listeners=[news])
    for resource in "rs":
        decided(guard, resource)
    with guard.ledger.lock:
        assert not decided(guard).allowed
    assert [] == news.events
    assert decided(guard, "s").allowed
    assert 1 == len(news.events)


def test_what_a_listener_cuts_short_is_done_by_the_next_turn(clock, news):
    def ends(event):
        raise KeyboardInterrupt

    ledger = Ledger(clock, 10, (ends,))
    ledger.say(BreakerMoved("b", "closed", "open", "first"))
    ledger.say(BreakerMoved("b", "open", "closed", "second"))
    with pytest.raises(KeyboardInterrupt):
        ledger.tell()
    ledger.listeners = (news,)
    ledger.run(lambda _: None, None)
    assert ["second"] == [event.reason for event in news.events]


def test_a_waiter_whose_waking_is_cut_short_is_woken_by_the_next_turn(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    holder, waiting = held(guard), ByHand(guard)
    woken, strikes = [], [KeyboardInterrupt]

    def wake():
        if strikes:
            raise strikes.pop()
        woken.append(waiting.waiter.granted)

    waiting.waiter.wake = wake
    with pytest.raises(KeyboardInterrupt):
        holder.exit()
    assert [] == woken
    guard.ledger.tell()
    assert [True] == woken
    waiting.cancel()


def test_a_refusal_is_told_with_its_decision(clock, news):
    guard = guard_of(clock, limit(), listeners=[news])
    decided(guard)
    decision = decided(guard)
    assert [CallRefused("r", "r/limit", "limit", "rate", decision, shadow=False)] == news.events
