"""A signal's handler raises, or calls, while the lock is taken or freed, at every such moment of a call: nothing stays taken.

`tests/storms/test_signals.py` strikes anywhere, by chance; here every place where the lock is touched has its turn.
"""

import asyncio
from threading import Thread

import pytest

from guardrail import BulkheadFull, Guard
from tests.admission.scene import PATIENCE, Interrupted, breaker, bulkhead, guard_of, inside, limit

LIMIT, KEYED = limit("1000000/s"), limit("1000000/s", key="user")
HEALTH, PLACES, PLACE = breaker(slow_call="1h"), bulkhead(2), bulkhead(1)
STACKS = {
    "limit": [LIMIT],
    "key": [KEYED],
    "breaker": [breaker()],
    "places": [PLACES],
    "limit and places": [LIMIT, PLACES],
    "key, breaker and places": [KEYED, HEALTH, PLACES],
}
MOMENTS = 12  # more than a call touches the lock


class Struck(BaseException):
    """The handler raises this."""


class StruckLock:
    """The lock of a guard, and a strike at one of the moments at which it is touched."""

    def __init__(self, lock):
        self.lock = lock
        self.countdown = None
        self.waits = False

    def acquire(self, blocking=True):
        if self.waits and self._is_time():
            raise Struck
        got = self.lock.acquire(blocking)
        if not self.waits and self._is_time():
            raise Struck
        return got

    def release(self):
        self.lock.release()
        if self._is_time():
            raise Struck

    def __enter__(self):
        return self.lock.__enter__()

    def __exit__(self, *error):
        self.lock.__exit__(*error)

    def _is_time(self):
        if self.countdown is not None:
            self.countdown -= 1
        return self.countdown == -1


def entered(guard):
    def call(user, error=None):
        with guard.enter("r", {"user": user}):
            if error is not None:
                raise error

    return call


def decorated(guard):
    @guard.guarded("r")
    def call(user, error=None):
        if error is not None:
            raise error

    return call


def in_code(guard):
    """By the decorators of one rule, which have closures of their own."""
    [rule] = guard.rules.rules
    guard.apply([])
    options = {"limit": ["1000000/s"], "breaker": [], "bulkhead": [2]}[rule.kind]
    decorator = getattr(guard, rule.kind)(*options, **({"key": "user"} if rule.key and rule.kind == "limit" else {}))

    @decorator
    def call(user, error=None):
        if error is not None:
            raise error

    return call


def in_a_task(guard):
    @guard.guarded("r")
    async def work(user, error=None):
        if error is not None:
            raise error

    return lambda *args: asyncio.run(work(*args))


def is_free(lock):
    found = []

    def look():
        found.append(lock.acquire(timeout=PATIENCE))
        lock.release()

    looking = Thread(target=look)
    looking.start()
    looking.join()
    return found == [True]


ROWS = [(way, name) for way in (entered, decorated, in_a_task) for name in STACKS]
ROWS += [(in_code, name) for name, stack in STACKS.items() if len(stack) == 1]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the strike dropped a permit
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may strike the permit's finalizer
@pytest.mark.parametrize("waits", [False, True], ids=["once it is had", "while it is waited for"])
@pytest.mark.parametrize("error", [None, OSError("down")], ids=["well", "badly"])
@pytest.mark.parametrize(("way", "name"), ROWS, ids=lambda one: getattr(one, "__name__", one))
def test_wherever_the_lock_is_touched_a_strike_passes_through_and_nothing_stays_taken(way, name, error, waits):
    guard = Guard(STACKS[name])
    lock = guard.ledger.lock = StruckLock(guard.ledger.lock)
    call = way(guard)
    call("u1")
    struck = 0
    for moment in range(MOMENTS):
        lock.countdown, lock.waits = moment, waits
        try:
            call("u1", error)
        except Struck:
            struck += 1
        except OSError:
            pass
        lock.countdown = None
        guard.ledger.drain()
        assert is_free(lock.lock)
        assert [0] == [sum(inside(guard, one) for one in guard.ledger.bulkheads)]
        for one in guard.breakers.values():
            one.reset()
    assert 0 < struck < MOMENTS
    call("u1")


# -- a handler that calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [[LIMIT, PLACE], [KEYED, PLACE], [HEALTH, PLACE], [KEYED, HEALTH, PLACE]], ids=str)
@pytest.mark.parametrize("way", [entered, decorated, in_a_task])
def test_a_handler_that_calls_meanwhile_takes_no_place_that_is_promised(way, rules):
    clock = Interrupted()
    guard = guard_of(clock, *rules)
    call = way(guard)
    for user in ("u1", "u2"):
        call(user)
    inner = []
    clock.first = lambda: inner.append(guard.try_enter("r", {"user": "u2"}))
    with pytest.raises(BulkheadFull):
        call("u1")
    assert 1 == inside(guard)
    inner[0].exit()
    call("u1")
    assert 0 == inside(guard)
