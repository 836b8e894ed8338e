"""A program whose main thread is struck by signals, again and again, at any moment of its calls.

    python -m tests.storms.struck THREADS FAILING WAY      prints what is taken afterwards

THREADS are others that call meanwhile; of ten calls FAILING fail. WAY is how they call: `enter`, or a decorated function
that is guarded by a `stack` of rules, or only by the `places` of a bulkhead. Where none fails they need no flow.

Law: a strike is one signal, and the handler raises. Python runs it between two steps of whatever the main thread is at, so
that also a `with` is left without its `__exit__`.
"""

import faulthandler
import logging
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from random import Random
from threading import Event, Thread

from guardrail import Guard, Refused

STRIKES = 2_000
PATIENCE = 12  # seconds for all of them
CALLS = 30  # in a row, in which a strike has to fall
PROBING = {"open_for": "1ms", "open_for_max": "1ms", "half_open_calls": 1, "probe_timeout": "1d"}
RULES = [
    {"kind": "limit", "resource": "r", "rate": "1000000/s", "name": "rate"},
    {"kind": "bulkhead", "resource": "r", "name": "places", "max_concurrent": 2, "max_wait": "100ms"},
    {"kind": "breaker", "resource": "r", "name": "health", "consecutive_failures": 2, **PROBING},
]


class Struck(BaseException):
    """The handler raises this."""


def strike(*_: object) -> None:
    raise Struck


def calls(guard: Guard, way: str) -> Callable[[bool], None]:
    """Return what calls, and fails now and then, so that the breaker opens, and probes."""

    def function(fails: bool) -> None:
        if fails:
            raise OSError

    decorate = guard.bulkhead(2, max_wait="100ms") if way == "places" else guard.guarded("r")
    guarded = decorate(function)

    def call(fails: bool) -> None:
        with suppress(Refused, OSError):
            if way == "enter":
                with guard.enter("r"):
                    function(fails)
            else:
                guarded(fails)

    return call


def storm(call: Callable[[bool], None], failing: int) -> int:
    """Strike, and return how often."""
    chance, strikes, until = Random(1), 0, time.monotonic() + PATIENCE
    while strikes < STRIKES and time.monotonic() < until:
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.000_02, 0.000_6))
                for turn in range(CALLS):
                    call(turn % 10 < failing)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Struck:
            strikes += 1
        except RuntimeError as error:  # of `Event.wait`, whose condition does not survive a strike: it says so instead
            if not isinstance(error.__context__, Struck):
                raise
            strikes += 1
    return strikes


def is_free(guard: Guard) -> bool:
    """Tell whether another thread gets the lock."""
    lock, found = guard.ledger.lock, []

    def look() -> None:
        found.append(lock.acquire(timeout=PATIENCE))
        if found[0]:
            lock.release()

    looking = Thread(target=look)
    looking.start()
    looking.join()
    return found[0]


def main(others: int, failing: int, way: str) -> None:
    faulthandler.dump_traceback_later(10 * PATIENCE, exit=True)  # rather than to hang
    sys.setswitchinterval(1e-5)
    logging.disable()  # the locks of its handlers do not survive a strike
    warnings.simplefilter("ignore", ResourceWarning)  # a permit was dropped: by the strike
    sys.unraisablehook = lambda _: None  # Python drops what is raised in a finalizer
    signal.signal(signal.SIGALRM, strike)
    guard, over = Guard([] if way == "places" else RULES), Event()
    call = calls(guard, way)

    def calling() -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            call(turn % 10 < failing)

    threads = [Thread(target=calling, daemon=True) for _ in range(others)]
    for thread in threads:
        thread.start()
    strikes = storm(call, failing)
    over.set()
    assert is_free(guard), "the lock is taken"
    for thread in threads:
        thread.join()
    ledger = guard.ledger
    ledger.drain()
    assert strikes > STRIKES // 20, f"{strikes} strikes are no storm"
    assert not ledger.lock._is_owned(), "this thread is in a turn for good"
    [bulkhead] = ledger.bulkheads.values()
    [places] = bulkhead.states.values()
    probes = sum(breaker.snapshot().probes_out for breaker in guard.breakers.values())
    print(len(ledger.deferred), len(ledger.waiting), places.in_use, places.waiting, probes)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
