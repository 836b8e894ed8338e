"""A turn holds the lock and reads the clock; whatever cuts it short, the lock is free and nothing is lost."""

import pytest

from guardrail.admission.ledger import Ledger
from guardrail.admission.object_states import BreakerStates
from guardrail.core.breaker import Breaker
from guardrail.core.breaker_trial import Trial
from guardrail.telemetry.events import BreakerMoved
from guardrail.testing import FakeClock
from tests.admission.scene import (
    ByHand,
    breaker,
    bulkhead,
    decided,
    ended,
    guard_of,
    held,
    inside,
    left,
    limit,
    locked_elsewhere,
    started,
)
from tests.locks import is_locked


@pytest.fixture
def ledger(clock):
    return Ledger(clock, 10, ())


def test_a_turn_holds_the_lock_and_knows_the_time(clock, ledger):
    with ledger as now_us:
        assert (True, clock.now_us(), now_us) == (is_locked(ledger.lock), now_us, ledger.now_us)
    assert not is_locked(ledger.lock)


def test_turns_and_steps_of_the_clock_are_counted(clock, ledger):
    for now_us in (5, 5, 9, 8, 8, 3):
        clock.set_us(now_us)
        with ledger:
            pass
    assert (6, 3) == (ledger.turn, ledger.steps)  # the first was one too: the clock began later than that


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_clock_that_fails_leaves_the_lock_free(clock, ledger, error):
    def broken():
        raise error

    clock.now_us, now_us = broken, clock.now_us
    with pytest.raises(error):
        with ledger:
            pytest.fail("there is no time")
    clock.now_us = now_us
    with ledger:
        pass


@pytest.mark.parametrize("turn", [Ledger.__enter__, Ledger.drain, lambda ledger: ledger.run(pytest.fail, "not begun")])
def test_a_signal_that_strikes_on_the_way_to_the_lock_is_what_is_raised(ledger, turn):
    """Not that the lock cannot be released."""

    class Interrupted:
        """A lock for which somebody waits who is struck."""

        def acquire(self, blocking=True):
            raise KeyboardInterrupt

        def release(self):
            raise RuntimeError("cannot release un-acquired lock")

    lock, ledger.lock = ledger.lock, Interrupted()
    ledger.deferred.append(lambda: None)
    with pytest.raises(KeyboardInterrupt):
        turn(ledger)
    ledger.lock = lock
    ledger.drain()
    assert ([], False) == ([*ledger.deferred], is_locked(lock))


def test_what_fails_inside_a_turn_leaves_the_lock_free(ledger):
    with pytest.raises(ValueError, match="inside"):
        with ledger:
            raise ValueError("inside")
    assert not is_locked(ledger.lock)


def test_ways_out_are_run_at_once_where_the_lock_is_free(clock, ledger):
    ran = []
    clock.advance(1)
    ledger.soon(lambda: ran.append((is_locked(ledger.lock), ledger.now_us)))
    assert [(True, clock.now_us())] == ran


def test_a_probe_that_is_sent_as_a_signal_strikes_takes_no_slot(clock, monkeypatch):
    """It has no ticket yet, with which it could come back; another one has, and keeps its own."""
    guard = guard_of(clock, breaker(consecutive_failures=1, open_for="1s", half_open_calls=2, probe_timeout="1d"))
    held(guard).exit(OSError())
    clock.advance(1)
    send = Trial.send

    def struck(trial, probe):
        send(trial, probe)
        raise KeyboardInterrupt

    for out in (0, 1):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Trial, "send", struck)
            held(guard)
        assert out == guard.breakers["r/breaker"].snapshot().probes_out
        assert held(guard)


def test_a_call_that_is_struck_as_a_closed_breaker_lets_it_in_leaves_nothing(clock, monkeypatch):
    def struck(*_):
        raise KeyboardInterrupt

    guard = guard_of(clock, breaker(), bulkhead())
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Breaker, "admit", struck)
        held(guard)
    assert (0, 0) == (inside(guard), guard.breakers["r/breaker"].snapshot().total_ignored)


def test_ways_out_never_wait_for_the_lock_and_are_run_by_whoever_holds_it(ledger):
    ran = []
    with locked_elsewhere(ledger):
        ledger.soon(lambda: ran.append("first"))
        ledger.soon(lambda: ran.append("second"))
        assert [] == ran
    assert ["first", "second"] == ran


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("by", ["turn", "drain", "run"])
def test_a_way_out_that_is_interrupted_leaves_the_others_and_the_lock_in_order(ledger, error, by):
    """It is tried once more, and no further."""
    turns = {"drain": ledger.drain, "run": lambda: ledger.run(pytest.fail, "not begun"), "turn": lambda: _turn(ledger)}

    def interrupted():
        ran.append("tried")
        raise error

    ran = []
    ledger.deferred.extend([interrupted, lambda: ran.append("next")])
    while len(ran) < 2:
        with pytest.raises(error):
            turns[by]()
        assert not is_locked(ledger.lock)
    ledger.soon(lambda: ran.append("last"))
    assert ["tried", "tried", "next", "last"] == ran


def _turn(ledger):
    with ledger:
        pytest.fail("not begun")


def test_a_way_out_that_is_interrupted_goes_on_where_it_was(clock, monkeypatch):
    """The place is free, the ticket is handed in, and nothing is done twice."""
    guard = guard_of(clock, bulkhead(), breaker(consecutive_failures=3))
    permit, find, strikes = held(guard), BreakerStates.find, [KeyboardInterrupt]

    def struck(states, key, now_us):
        if strikes:
            raise strikes.pop()
        return find(states, key, now_us)

    monkeypatch.setattr(BreakerStates, "find", struck)
    with pytest.raises(KeyboardInterrupt):
        permit.exit(OSError())
    assert (0, 1) == (inside(guard), guard.breakers["r/breaker"].snapshot().failures)
    permit.exit(OSError())
    assert (0, 1) == (inside(guard), guard.breakers["r/breaker"].snapshot().failures)


def test_what_was_put_off_in_a_turn_is_done_although_a_listener_ends_the_program(clock):
    def interrupts(event):
        raise KeyboardInterrupt

    ledger, ran = Ledger(clock, 10, (interrupts,)), []
    with pytest.raises(KeyboardInterrupt):
        with ledger:
            ledger.say(BreakerMoved("b", "closed", "open", "by hand"))
            ledger.soon(lambda: ran.append(1))
    assert [1] == ran


def test_a_turn_inside_of_a_turn_does_not_wait_for_itself(clock):
    """A finalizer may call the guard in the middle of a turn, on the thread that holds the lock."""
    guard = guard_of(clock, bulkhead())
    permit = held(guard)
    with guard.ledger:
        permit.exit()
        assert "bulkhead_full" == decided(guard).reason  # what it gave back waits for the end of the turn
        assert is_locked(guard.ledger.lock)
    assert (0, False) == (inside(guard), is_locked(guard.ledger.lock))


def test_breakers_moved_in_an_inner_turn_are_told_when_the_lock_is_free(clock, news):
    guard = guard_of(clock, breaker(), listeners=[news])
    with guard.ledger:
        guard.breakers["r/breaker"].force_open()
        assert [] == news.events
    assert ["forced_open"] == [event.to_state for event in news.of(BreakerMoved)]


def test_a_quiet_turn_is_told_of_later(clock, news):
    """Its caller holds a lock of its own, which a listener may want."""
    guard = guard_of(clock, breaker(), listeners=[news])
    with guard.ledger.quietly() as now_us:
        guard.breakers["r/breaker"].force_open()
        assert (clock.now_us(), True) == (now_us, is_locked(guard.ledger.lock))
    assert ([], False) == (news.events, is_locked(guard.ledger.lock))
    guard.ledger.tell()
    assert 1 == len(news.events)


def test_a_quiet_turn_that_fails_leaves_the_lock_free(clock, ledger):
    with pytest.raises(OSError, match="inside"):
        with ledger.quietly():
            raise OSError("inside")
    ran = []
    ledger.soon(lambda: ran.append(1))
    assert ([1], False) == (ran, is_locked(ledger.lock))


def test_what_is_put_off_while_others_are_run_is_run_too(ledger):
    ran = []
    ledger.soon(lambda: (ran.append("outer"), ledger.soon(lambda: ran.append("inner"))))
    assert ["outer", "inner"] == ran


def test_what_was_put_off_is_done_before_the_next_decision(clock):
    """A place whose exit waited for the lock is free for whoever gets the lock next."""
    guard = guard_of(clock, bulkhead())
    permit, decisions = held(guard), []
    with locked_elsewhere(guard.ledger):
        permit.exit()
        [places] = guard.ledger.bulkheads["r/bulkhead"].states.values()
        assert 1 == places.in_use
        next_one = started(lambda: decisions.append(decided(guard)))
    assert ended(next_one)
    assert decisions[0].allowed


def test_waiters_are_woken_once_the_lock_is_free(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    holder, waiting = held(guard), ByHand(guard)
    locked = []
    waiting.waiter.wake = lambda: locked.append(is_locked(guard.ledger.lock))
    holder.exit()
    assert [False] == locked
    waiting.cancel()


def test_moving_the_clock_wakes_those_whose_time_is_up_and_no_others(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    held(guard)
    woken = []
    for seconds in (5, 10, 15):
        waiting = ByHand(guard, max_wait=seconds)
        waiting.waiter.wake = lambda seconds=seconds: woken.append(seconds)
        everybody.append(waiting)
    clock.advance(10)
    assert [5, 10] == sorted(woken)


everybody: list[ByHand] = []  # who waits is not collected meanwhile


@pytest.fixture(autouse=True)
def nobody_waits():
    yield
    everybody.clear()


def test_states_are_read_and_written_by_many_threads_at_once():
    """Not one token too many, whoever comes when."""
    clock = FakeClock()
    guard = guard_of(clock, limit("1000/s", algorithm="sliding_log"), limit("900/s", name="narrow"))
    admitted = []

    def calls():
        admitted.append(sum(decided(guard).allowed for _ in range(200)))

    assert ended(*[started(calls) for _ in range(6)])
    assert (900, 100, 0) == (sum(admitted), left(guard), left(guard, "narrow"))
