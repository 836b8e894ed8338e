"""The closures of the compiled path: the arithmetic of `core`, written out.

Law: between `acquire` and `release` nothing but integers is made, so no finalizer can run there. A closure that cannot
decide answers `SLOW` before it has touched anything. `tests/admission/test_compiled.py` holds them against the flow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from guardrail.admission.limit_states import DEBT_BITS, DEBT_MASK, KeyedStates, OneState, Packed
from guardrail.clock import SystemClock
from guardrail.core.breaker_window import NEVER_US, TimeWindow
from guardrail.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from guardrail.admission.breaker_gate import BreakerGate
    from guardrail.admission.bulkhead_gate import BulkheadGate
    from guardrail.admission.ledger import Ledger
    from guardrail.admission.limit_gate import LimitGate
    from guardrail.admission.waiter import Waiter
    from guardrail.core.breaker_state import BreakerState
    from guardrail.core.bulkhead import BulkheadState


class Slow:
    """Mark the answer of a closure that leaves the decision to the flow."""


SLOW: Final = Slow()
NOTHING_STAMPED: Final = (0, 0)

Stamp = tuple[int, int]  # the breaker's generation and the time of the grant
Admit = Callable[[str], "Stamp | Slow | None"]
Leave = Callable[[Stamp], None]
SlowLeave = Callable[[Stamp, "BaseException | None"], None]


def ticks_of(ledger: Ledger) -> tuple[Callable[[], int], int]:
    """Return a clock in nanoseconds and what to add to it: a system clock is read without a call in between."""
    clock = ledger.clock
    if type(clock) is SystemClock:
        return time.monotonic_ns, clock.anchor_ns
    return (lambda: clock.now_us() * 1000), 0


def one_limit(gate: LimitGate, ledger: Ledger, cost: int) -> Admit:
    """Return the closure for one limit."""
    limit = gate.terms.limit
    assert isinstance(limit, TokenBucket)
    rate, full = limit.r, limit.capacity_debt
    spend = (cost if gate.cost is None else gate.cost) * limit.p
    acquire, release, deferred, drain = ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain
    ticks, anchor = ticks_of(ledger)
    states = gate.states

    if isinstance(states, OneState):
        cell = states.cell

        def admit(_key: str) -> Slow | None:
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

    assert isinstance(states, KeyedStates)
    main = states.main

    def admit_key(key: str) -> Slow | None:
        acquire()
        try:
            packed = main.get(key)
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

    return admit_key


def one_bulkhead(
    gate: BulkheadGate, places: BulkheadState[Waiter], ledger: Ledger, slow_leave: SlowLeave
) -> tuple[Admit, Leave]:
    """Return the closures for one bulkhead."""
    most = gate.states.bulkhead.max_concurrent
    acquire, release, deferred, drain = ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain

    def admit(_key: str) -> Stamp | Slow:
        acquire()
        try:
            if places.in_use >= most or places.returning or places.arriving:
                return SLOW
            places.in_use += 1
        finally:
            release()
        if deferred:
            drain()
        return NOTHING_STAMPED

    def leave(stamp: Stamp) -> None:
        if not acquire(False):
            slow_leave(stamp, None)
            return
        try:
            calm = not (places.returning or places.arriving)
            if calm:
                places.in_use -= 1
        finally:
            release()
        if not calm:
            slow_leave(stamp, None)
        elif deferred:
            drain()

    return admit, leave


def stack_admit(
    limit: LimitGate | None,
    health: BreakerState | None,
    bulkhead: BulkheadGate | None,
    places: BulkheadState[Waiter] | None,
    ledger: Ledger,
    cost: int,
) -> Admit:
    """Return the closure that asks a breaker, a bulkhead and a limit, as far as they are there."""
    most = 0 if bulkhead is None else bulkhead.states.bulkhead.max_concurrent
    rate = full = spend = 0
    cell: list[int] | None = None
    main: dict[str, Packed] = {}
    if limit is not None:
        bucket, states = limit.terms.limit, limit.states
        assert isinstance(bucket, TokenBucket)
        rate, full, spend = bucket.r, bucket.capacity_debt, (cost if limit.cost is None else limit.cost) * bucket.p
        if isinstance(states, OneState):
            cell = states.cell
        elif isinstance(states, KeyedStates):
            main = states.main
    keyed = limit is not None and cell is None
    acquire, release, deferred, drain = ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain
    ticks, anchor = ticks_of(ledger)

    def admit(key: str) -> Stamp | Slow:
        debt = 0
        stamp = NOTHING_STAMPED
        acquire()
        try:
            now_us = (ticks() + anchor) // 1000
            if health is not None and not health.seen_us <= now_us < health.calm_until_us:
                return SLOW
            if places is not None and (places.in_use >= most or places.returning or places.arriving):
                return SLOW
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
            elif keyed:
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
            if health is not None:
                health.seen_us = now_us
                stamp = (health.generation, now_us)
        finally:
            release()
        if deferred:
            drain()
        return stamp

    return admit


def stack_leave(
    breaker: BreakerGate | None,
    health: BreakerState | None,
    places: BulkheadState[Waiter] | None,
    ledger: Ledger,
    slow_leave: SlowLeave,
) -> Leave:
    """Return the closure that ends a call which went well, where nobody waits and the breaker is calm."""
    slow_call_us = None if breaker is None else breaker.states.breaker.slow_call_us
    slowest_us = NEVER_US if slow_call_us is None else slow_call_us
    acquire, release, deferred, drain = ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain
    ticks, anchor = ticks_of(ledger)

    def leave(stamp: Stamp) -> None:
        if not acquire(False):
            slow_leave(stamp, None)
            return
        calm = False
        try:
            if places is None or not (places.returning or places.arriving):
                if health is not None:
                    now_us = (ticks() + anchor) // 1000
                    window = health.window
                    generation, started_us = stamp
                    if (
                        health.seen_us <= now_us < health.calm_until_us
                        and health.generation == generation
                        and now_us - started_us <= slowest_us
                        and not window.failures
                        and not window.slow
                        and type(window) is TimeWindow
                    ):
                        health.seen_us = now_us
                        health.row = 0
                        health.total_successes += 1
                        window.calls += 1
                        calm = True
                else:
                    calm = True
                if calm and places is not None:
                    places.in_use -= 1
        finally:
            release()
        if not calm:
            slow_leave(stamp, None)
        elif deferred:
            drain()

    return leave
