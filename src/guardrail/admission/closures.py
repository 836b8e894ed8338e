"""The closures of a stack: one that admits a call, one that ends it. The arithmetic of `core`, written out.

Law: between `acquire` and `release` nothing but integers is made, so no finalizer can run there. A closure that cannot
decide answers `SLOW` before it has touched anything. `tests/admission/test_compiled.py` holds them against the flow.

What a call takes is written into its stamp with nothing called in between, and so is what it gives back. Wherever a signal
raises, the stamp says whether there is something to hand back; whoever has it looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from guardrail.admission.limit_states import Cell, KeyedStates, OneState
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
    from guardrail.telemetry.counts import Tally


class Slow:
    """Mark the answer of a closure that leaves the decision to the flow."""


SLOW: Final = Slow()
COST_OF_A_CALL: Final = 1

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
# The breaker's generation; the time of the grant, where something can be slow; whether the call is still to be ended; the
# attempt that ends it, where that takes the flow.
Stamp = list[Any]
HELD: Final = 2  # their places in a stamp
ATTEMPT: Final = 3
GONE: Final = GeneratorExit("cut short by a signal")  # nobody's fault: breakers ignore it
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


def ratio_of(breaker: Breaker) -> tuple[int, int]:
    """Return the failure rate as a ratio; where there is none, one that is never reached."""
    return (1, 0) if breaker.failure_rate is None else breaker.failure_rate.as_integer_ratio()


def cells_of(gate: LimitGate) -> tuple[Cell | None, Callable[[str], Any]]:
    """Return the one cell of a rule without a key, and what finds a cell by its key."""
    states = gate.states
    if isinstance(states, OneState):
        assert isinstance(states.kept, Cell)
        return states.kept, _no_cell
    assert isinstance(states, KeyedStates)
    return None, states.main.get


def _no_cell(_key: str) -> None:
    """Find nothing: the rule has no key."""


def stack_admit(
    limit: LimitGate | None,
    health: BreakerState | None,
    slow_call_us: int | None,
    bulkhead: BulkheadGate | None,
    places: BulkheadState[Waiter] | None,
    ledger: Ledger,
    reader: KeyReader,
    tallies: Sequence[Tally],
    slow_leave: SlowLeave,
) -> Admit:
    """Return the closure that asks a breaker, a bulkhead and a limit, as far as they are there."""
    most = 0 if bulkhead is None else bulkhead.states.bulkhead.max_concurrent
    one_cell, find = (None, _no_cell) if limit is None else cells_of(limit)
    keyed = limit is not None and one_cell is None
    rate, full, spend = (0, 0, 0) if limit is None else numbers_of(limit)
    limited = limit is not None
    holds = health is not None or places is not None
    timed = limited or slow_call_us is not None
    read = reader.read
    acquire, release, deferred, drain = ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain
    ticks, anchor = ticks_of(ledger)
    first, second, third = (*tallies, None, None)[:3]
    assert first is not None
    counted = limit.tally if limit is not None and keyed else None

    def admit(args: Args, kwargs: Kwargs) -> Stamp | Slow | None:
        key = read(args, kwargs) if keyed else ""
        stamp: Stamp = [0, 0, False, None]
        now_us, cell = 0, one_cell
        try:
            try:
                acquire()
                if keyed:
                    cell = find(key)
                if timed:
                    now_us = (ticks() + anchor) // 1000
                # From here on nothing is called: a signal's handler may call, too, and take the place.
                if health is not None and health.calm_until_us == NOT_CALM_US:
                    return SLOW
                if places is not None and (places.in_use >= most or places.returning or places.arriving):
                    return SLOW
                if timed:
                    if limited:
                        if cell is None:  # a new key: the flow makes room for it
                            return SLOW
                        elapsed_us = now_us - cell.last_us
                        debt = cell.debt - elapsed_us * rate
                        debt = debt + spend if debt > 0 else spend
                        if elapsed_us < 0 or debt > full:
                            return SLOW
                        cell.debt = debt
                        cell.last_us = now_us
                    stamp[1] = now_us
                if health is not None:
                    stamp[0] = health.generation
                if places is not None:
                    places.in_use += 1
                stamp[HELD] = True
                first.allowed += 1
                if second is not None:
                    second.allowed += 1
                    if third is not None:
                        third.allowed += 1
            finally:
                try:
                    release()
                except RuntimeError:  # the signal struck while this waited for the lock
                    stamp[HELD] = False
            if counted is not None and counted.allowed >= counted.due:
                counted.sample(key)
            if deferred:
                drain()
        except BaseException:
            if stamp[HELD]:
                slow_leave(stamp, GONE)
            raise
        return stamp if holds else None

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
    top, bottom = (1, 0) if breaker is None else ratio_of(breaker)
    acquire, release, deferred, drain = ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain
    ticks, anchor = ticks_of(ledger)
    may_step = type(ledger.clock) is not SystemClock  # back, so that the breaker has to look for it

    def leave(stamp: Stamp) -> None:
        calm = False
        try:
            if acquire(False) and (places is None or not (places.returning or places.arriving)):
                if health is None:
                    calm = True
                else:
                    now_us = (ticks() + anchor) // 1000
                    window = health.window
                    calm = (
                        now_us < health.calm_until_us
                        and (not may_step or health.seen_us <= now_us)
                        and health.generation == stamp[0]
                        and (not window.failures or window.failures * bottom < top * window.calls)
                        and (slow_call_us is None or (now_us - stamp[1] <= slow_call_us and not window.slow))
                    )
                    if calm:
                        if may_step:
                            health.seen_us = now_us
                        health.row = 0
                        health.total_successes += 1
                        window.calls += 1
                if calm:
                    if places is not None:
                        places.in_use -= 1
                    stamp[HELD] = False
        finally:
            try:
                release()
            except RuntimeError:  # it is somebody else's: leaving never waits
                calm = False
            if not calm:
                slow_leave(stamp, None)
        if deferred:
            drain()

    return leave
