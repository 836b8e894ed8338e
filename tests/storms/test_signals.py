"""Signals whose handler raises (Ctrl-C, an alarm, a soft time limit), at any moment of a call: nothing stays taken.

Python runs the handler between two steps of whatever the main thread is at, so that also a `with` can be left without
its `__exit__`. A strike is one signal; whoever was struck goes on, as a worker does that has lost its task.
"""

import logging
import signal
import sys
import time
from contextlib import suppress
from random import Random
from threading import Event

import pytest

from guardrail import Guard, Refused
from tests.admission.scene import ended, started
from tests.locks import is_locked

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals at a given time are of Unix"),
    pytest.mark.filterwarnings("ignore:.* was dropped:ResourceWarning"),  # by the strike
]

STRIKES = 2_000
PATIENCE = 12  # seconds for all of them
CALLS = 30  # in a row, in which a strike has to fall
LIMIT = {"kind": "limit", "resource": "r", "rate": "1000000/s", "name": "rate"}
PLACES = {"kind": "bulkhead", "resource": "r", "name": "places", "max_concurrent": 2, "max_wait": "100ms"}
PROBING = {"open_for": "1ms", "open_for_max": "1ms", "half_open_calls": 1, "probe_timeout": "1d"}
HEALTH = {"kind": "breaker", "resource": "r", "name": "health", "consecutive_failures": 2, **PROBING}


class Struck(BaseException):
    """The handler raises this."""


@pytest.fixture
def armed(monkeypatch):
    """What lets a signal strike in so many seconds; 0: none any more."""

    def strike(*_):
        raise Struck

    logging.disable()  # the locks of its handlers do not survive a strike
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # a strike in a finalizer is lost
    before = signal.signal(signal.SIGALRM, strike)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def switched_often():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def storm(armed, call):
    """Strike at *call*, again and again."""
    chance, strikes, until = Random(1), 0, time.monotonic() + PATIENCE
    while strikes < STRIKES and time.monotonic() < until:
        try:
            try:
                armed(chance.uniform(0.000_02, 0.000_6))
                for turn in range(CALLS):
                    call(turn)
            finally:
                armed(0)
        except Struck:
            strikes += 1
    assert strikes > STRIKES / 20, "there was no storm"


def entered(guard):
    """Call, and fail now and then, so that the breaker opens, and probes."""

    def call(turn):
        with suppress(Refused, OSError), guard.enter("r"):
            if turn % 10 < 3:
                raise OSError

    return call


def nothing_is_taken(guard):
    ledger = guard.ledger
    assert not is_locked(ledger.lock)
    assert not started_and_ended(lambda: is_locked(ledger.lock))
    assert ([], [], set()) == ([*ledger.deferred], [*ledger.woken], ledger.waiting)
    [places] = ledger.bulkheads["places"].states.values()
    assert (0, 0) == (places.in_use, places.waiting)
    assert 0 == guard.breakers["health"].snapshot().probes_out
    return True


def started_and_ended(ask):
    found = []
    assert ended(started(lambda: found.append(ask())))
    return found[0]


def test_wherever_a_signal_strikes_everything_is_free_afterwards(armed):
    guard = Guard([LIMIT, PLACES, HEALTH])
    storm(armed, entered(guard))
    guard.ledger.drain()
    assert nothing_is_taken(guard)


def test_nor_does_anybody_wait_for_ever_who_is_not_struck(armed):
    """Other threads hold places, wait for them, and are handed them by whoever is struck."""
    guard, over = Guard([LIMIT, PLACES, HEALTH]), Event()
    call = entered(guard)

    def others():
        turn = 0
        while not over.is_set():
            call(turn := turn + 1)

    threads = [started(others) for _ in range(3)]
    try:
        storm(armed, call)
    finally:
        over.set()
    assert ended(*threads)
    guard.ledger.drain()
    assert nothing_is_taken(guard)
