"""The closures of the compiled path: the arithmetic of `core`, written out.

Law: between `acquire` and `release` nothing but integers is made, so no finalizer can run there. A closure that cannot
decide answers `SLOW` before it has touched anything. `tests/admission/test_compiled.py` holds them against the flow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from guardrail.admission.limit_states import DEBT_BITS, DEBT_MASK, KeyedStates, OneState
from guardrail.clock import SystemClock
from guardrail.core.breaker_state import NOT_CALM_US
from guardrail.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from guardrail.admission.bulkhead_gate import BulkheadGate
    from guardrail.admission.call import KeyReader
    from guardrail.admission.ledger import Ledger
    from guardrail.admission.limit_gate import LimitGate
    from guardrail.admission.waiter import Waiter
    from guardrail.core.breaker import Breaker
    from guardrail.core.breaker_state import BreakerState
    from guardrail.core.bulkhead import BulkheadState


class Slow:
    """Mark the answer of a closure that leaves the decision to the flow."""


SLOW: Final = Slow()
COST_OF_A_CALL: Final = 1

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Stamp = tuple[int, int]  # the breaker's generation, and the time of the grant where something can be slow
Admit = Callable[[Args, Kwargs], "Stamp | Slow | None"]
Leave = Callable[[Stamp], None]
SlowLeave = Callable[[Stamp, "BaseException | None"], None]


def ticks_of(ledger: Ledger) -> tuple[Callable[[], int], int]:
    """Return a clock in nanoseconds and what to add to it: a system clock is read without a call in between."""
    clock = ledger.clock
    if type(clock) is SystemClock:
        return time.monotonic_ns, clock.anchor_ns
    return (lambda: clock.now_us() * 1000), 0


def numbers_of(gate: LimitGate) -> tuple[int, int, int]:
    """Return the drain in a microsecond, the full debt and the debt of one call."""
    limit = gate.terms.limit
    assert isinstance(limit, TokenBucket)
    return limit.r, limit.capacity_debt, (gate.cost if isinstance(gate.cost, int) else COST_OF_A_CALL) * limit.p


def one_limit(gate: LimitGate, ledger: Ledger) -> Admit:
    """Return the closure for one limit without a key."""
    states = gate.states
    assert isinstance(states, OneState)
    cell = states.cell
    rate, full, spend = numbers_of(gate)
    acquire, release, deferred, drain = ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain
    ticks, anchor = ticks_of(ledger)

    def admit(_args: Args, _kwargs: Kwargs) -> Slow | None:
        acquire()
        try:
            now_us = (ticks() + anchor) // 1000
            debt, last_us = cell
            if now_us < last_us:
                return SLOW
            debt -= (now_us - last_us) * rate
            debt = debt + spend if debt > 0 else spend
            if debt > full:
                return SLOW
            cell[0] = debt
            cell[1] = now_us
        finally:
            release()
        if deferred:
            drain()
        return None

    return admit


def one_keyed_limit(gate: LimitGate, ledger: Ledger, reader: KeyReader) -> Admit:
    """Return the closure for one limit with a key. Keys that are new go the slow way, which makes room for them."""
    states = gate.states
    assert isinstance(states, KeyedStates)
    main = cast("dict[str, int]", states.main)  # a token bucket's states are packed
    find = main.get
    position, read = reader
    rate, full, spend = numbers_of(gate)
    acquire, release, deferred, drain = ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain
    ticks, anchor = ticks_of(ledger)

    def admit(args: Args, kwargs: Kwargs) -> Slow | None:
        try:
            key = args[position] if position is not None else None
        except IndexError:
            key = None
        if type(key) is not str:
            key = str(key) if type(key) is int else read(args, kwargs)
        acquire()
        try:
            packed = find(key)
            if packed is None:
                return SLOW
            now_us = (ticks() + anchor) // 1000
            elapsed_us = now_us - (packed >> DEBT_BITS)
            if elapsed_us < 0:
                return SLOW
            debt = (packed & DEBT_MASK) - elapsed_us * rate
            debt = debt + spend if debt > 0 else spend
            if debt > full:
                return SLOW
            main[key] = now_us << DEBT_BITS | debt
        finally:
            release()
        if deferred:
            drain()
        return None

    return admit


def one_breaker(health: BreakerState) -> Admit:
    """Return the closure for one breaker that knows no slow calls: while it is closed, entering it is one read."""

    def admit(_args: Args, _kwargs: Kwargs) -> Stamp | Slow:
        generation = health.generation  # read first: if the breaker moves now, the stamp is of the past and has no vote
        return (generation, 0) if health.calm_until_us != NOT_CALM_US else SLOW

    return admit


def stack_admit(
    limit: LimitGate | None,
    health: BreakerState | None,
    slow_call_us: int | None,
    bulkhead: BulkheadGate | None,
    places: BulkheadState[Waiter] | None,
    ledger: Ledger,
    reader: KeyReader,
) -> Admit:
    """Return the closure that asks a breaker, a bulkhead and a limit, as far as they are there."""
    most = 0 if bulkhead is None else bulkhead.states.bulkhead.max_concurrent
    states = None if limit is None else limit.states
    cell = states.cell if isinstance(states, OneState) else None
    main = cast("dict[str, int]", states.main) if isinstance(states, KeyedStates) else None
    rate, full, spend = (0, 0, 0) if limit is None else numbers_of(limit)
    timed = limit is not None or slow_call_us is not None
    read = reader.read
    acquire, release, deferred, drain = ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain
    ticks, anchor = ticks_of(ledger)

    def admit(args: Args, kwargs: Kwargs) -> Stamp | Slow:
        key = "" if main is None else read(args, kwargs)
        now_us = 0
        acquire()
        try:
            if health is not None and health.calm_until_us == NOT_CALM_US:
                return SLOW
            if places is not None and (places.in_use >= most or places.returning or places.arriving):
                return SLOW
            if timed:
                now_us = (ticks() + anchor) // 1000
                if cell is not None:
                    debt, last_us = cell
                    if now_us < last_us:
                        return SLOW
                    debt -= (now_us - last_us) * rate
                    debt = debt + spend if debt > 0 else spend
                    if debt > full:
                        return SLOW
                    cell[0] = debt
                    cell[1] = now_us
                elif main is not None:
                    packed = main.get(key)
                    if packed is None:
                        return SLOW
                    elapsed_us = now_us - (packed >> DEBT_BITS)
                    if elapsed_us < 0:
                        return SLOW
                    debt = (packed & DEBT_MASK) - elapsed_us * rate
                    debt = debt + spend if debt > 0 else spend
                    if debt > full:
                        return SLOW
                    main[key] = now_us << DEBT_BITS | debt
            if places is not None:
                places.in_use += 1
            generation = 0 if health is None else health.generation
        finally:
            release()
        if deferred:
            drain()
        return generation, now_us

    return admit


def stack_leave(
    breaker: Breaker | None,
    health: BreakerState | None,
    places: BulkheadState[Waiter] | None,
    ledger: Ledger,
    slow_leave: SlowLeave,
) -> Leave:
    """Return the closure that ends a call which went well, where nobody waits and the breaker stays closed."""
    slow_call_us = None if breaker is None else breaker.slow_call_us
    failure_rate = None if breaker is None else breaker.failure_rate
    top, bottom = (1, 0) if failure_rate is None else failure_rate.as_integer_ratio()  # no rate: failures do not matter
    acquire, release, deferred, drain = ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain
    ticks, anchor = ticks_of(ledger)

    def leave(stamp: Stamp) -> None:
        if not acquire(False):
            slow_leave(stamp, None)
            return
        calm = False
        try:
            if places is None or not (places.returning or places.arriving):
                if health is None:
                    calm = True
                else:
                    now_us = (ticks() + anchor) // 1000
                    window = health.window
                    generation, started_us = stamp
                    calm = (
                        health.seen_us <= now_us < health.calm_until_us
                        and health.generation == generation
                        and (not window.failures or window.failures * bottom < top * window.calls)
                        and (slow_call_us is None or (now_us - started_us <= slow_call_us and not window.slow))
                    )
                    if calm:
                        health.seen_us = now_us
                        health.row = 0
                        health.total_successes += 1
                        window.calls += 1
                if calm and places is not None:
                    places.in_use -= 1
        finally:
            release()
        if not calm:
            slow_leave(stamp, None)
        elif deferred:
            drain()

    return leave
