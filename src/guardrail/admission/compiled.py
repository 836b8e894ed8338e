"""The compiled path: one closure for each shape of plan that is wholly local and need not wait.

Law: a closure decides as the flow would, or leaves the call to the flow and has touched nothing. A plan of one rule has
a closure of its own (`single.py`), any stack of at most one of each kind another (`closures.py`). Here is when they may
stand in for the flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guardrail.admission.attempt import Attempt
from guardrail.admission.breaker_gate import AskedBreaker, BreakerGate
from guardrail.admission.bulkhead_gate import AskedBulkhead, BulkheadGate
from guardrail.admission.call import Call, KeyParts, KeyReader, bounded
from guardrail.admission.closures import (
    ATTEMPT,
    COST_OF_A_CALL,
    HELD,
    Admit,
    Args,
    Kwargs,
    Leave,
    SlowLeave,
    Stamp,
    cells_of,
    numbers_of,
    ratio_of,
    stack_admit,
    stack_leave,
)
from guardrail.admission.limit_gate import LimitGate
from guardrail.admission.single import Numbers, Shape, limited, limited_by_key, placed, watched
from guardrail.admission.stack import stack_of
from guardrail.admission.stock import BY_RESOURCE
from guardrail.clock import SystemClock
from guardrail.core.breaker_state import BreakerState, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guardrail.admission.gate import Gate
    from guardrail.admission.ledger import Ledger
    from guardrail.admission.waiter import Waiter
    from guardrail.core.breaker import Breaker
    from guardrail.core.bulkhead import BulkheadState
    from guardrail.core.verdict import Outcome

NO_KEY = KeyReader(None, lambda _args, _kwargs: "")


class Compiled(NamedTuple):
    """Hold the closures of one plan.

    Attributes:
        admit: Decides over the arguments of a call. None: granted, and nothing to hand back.
        leave: Ends a call that went well.
        fail: Ends a call with an error.
        shape: The closure of `single.py` that a plan of one rule is worth, and the numbers it works with.
    """

    admit: Admit
    leave: Leave
    fail: SlowLeave
    shape: Shape | None = None
    numbers: Numbers = ()


def compile_gates(
    gates: Sequence[Gate], ledger: Ledger, resource: str, reader_of: Callable[[KeyParts], KeyReader]
) -> Compiled | None:
    """Return the closures for these gates, or None where only the flow can decide. Takes a turn of the ledger."""
    if ledger.counts.measures_latency:
        return None
    if not gates:
        return Compiled(_everybody, _nothing_to_leave, _nothing_to_leave)
    with ledger as now_us:  # one turn: what is captured here belongs to the numbers that were looked at
        stack = stack_of(gates)
        if stack is None or not all(_fits(gate) for gate in gates):
            return None
        limit, gate, bulkhead = stack
        breaker = None if gate is None else gate.states.breaker
        health_key = bounded(resource) if gate is not None and gate.key else ""
        health = None if gate is None else gate.states.pin(health_key, now_us)
        places = None if bulkhead is None else bulkhead.states.pin("", now_us)
        reader = reader_of(limit.key) if limit is not None and limit.key else NO_KEY
        slow_leave = _slow_leave(resource, gate, health, health_key, bulkhead, places, ledger)
        slow_call_us = None if breaker is None else breaker.slow_call_us
        tallies = [one.tally for one in gates]
        admit = stack_admit(limit, health, slow_call_us, bulkhead, places, ledger, reader, tallies, slow_leave)
        shape: Shape | None = None
        numbers: Numbers = ()
        if len(gates) == 1:
            shape, numbers = _single(limit, breaker, health, bulkhead, places, slow_leave, ledger, reader)
            numbers = (gates[0].tally, *numbers)
        if gate is None and bulkhead is None:
            return Compiled(admit, _nothing_to_leave, _nothing_to_leave, shape, numbers)
        return Compiled(admit, stack_leave(breaker, health, places, ledger, slow_leave), slow_leave, shape, numbers)


def _single(
    limit: LimitGate | None,
    breaker: Breaker | None,
    health: BreakerState | None,
    bulkhead: BulkheadGate | None,
    places: BulkheadState[Waiter] | None,
    slow_leave: SlowLeave,
    ledger: Ledger,
    reader: KeyReader,
) -> tuple[Shape | None, Numbers]:
    """Return the shape and the numbers of a plan of one rule, where one of them fits."""
    lock = (ledger.lock.acquire, ledger.lock.release, ledger.deferred, ledger.drain)
    if bulkhead is not None:
        return placed, (places, bulkhead.states.bulkhead.max_concurrent, slow_leave, *lock)
    if type(ledger.clock) is not SystemClock:
        return None, ()  # its time may step back, which these closures do not look for
    anchor = ledger.clock.anchor_ns
    if limit is not None:
        cell, find = cells_of(limit)
        if cell is None:
            return limited_by_key, (find, *reader, *numbers_of(limit), *lock, anchor)
        return limited, (cell, *numbers_of(limit), *lock, anchor)
    if breaker is not None and breaker.slow_call_us is None:
        return watched, (health, *ratio_of(breaker), slow_leave, *lock, anchor)
    return None, ()


def _fits(gate: Gate) -> bool:
    """Tell whether a closure can stand in for this gate of a stack."""
    if isinstance(gate, LimitGate):
        bucket = gate.bucket_here()
        return gate.is_plain and bucket is not None and gate.fixed_cost(COST_OF_A_CALL) <= bucket.burst
    if isinstance(gate, BreakerGate):
        return gate.key in ((), BY_RESOURCE) and gate.states.breaker.window_us is not None
    return gate.key == ()  # of a bulkhead


def _slow_leave(
    resource: str,
    breaker: BreakerGate | None,
    health: BreakerState | None,
    health_key: str,
    bulkhead: BulkheadGate | None,
    places: BulkheadState[Waiter] | None,
    ledger: Ledger,
) -> SlowLeave:
    """Return how a call of these closures ends when it is not plain: an error, a waiter, a lock that is held.

    It may be cut short by a signal and called again with the same stamp: the call ends once.
    """
    forks = ledger.forks

    def made_up(stamp: Stamp) -> Attempt:
        attempt = Attempt((), Call(resource, lambda _: None), ledger)
        attempt.granted = True
        if breaker is not None and health is not None:
            attempt.breakers.append(AskedBreaker(breaker, health_key))
            attempt.breakers[0].was_admitted(health, Ticket(stamp[0], stamp[1]))
        if bulkhead is not None and places is not None:
            attempt.bulkheads.append(AskedBulkhead(bulkhead, ""))
            attempt.bulkheads[0].was_taken(places, 0, 0, forks)
        return attempt

    def slow_leave(stamp: Stamp, error: BaseException | None) -> None:
        attempt = stamp[ATTEMPT]
        if attempt is None:
            attempt = stamp[ATTEMPT] = made_up(stamp)
        outcomes: list[Outcome] = [asked.gate.outcome_of(error, False, None) for asked in attempt.breakers]
        ledger.soon(lambda: attempt.leave("ignored", outcomes))
        stamp[HELD] = False

    return slow_leave


def _everybody(_args: Args, _kwargs: Kwargs) -> None:
    """Let every call through: no rule applies."""


def _nothing_to_leave(*_: object) -> None:
    """Hand nothing back: a limit alone holds nothing."""
