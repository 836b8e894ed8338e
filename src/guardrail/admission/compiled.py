"""The compiled path: one closure for each shape of plan that is wholly local and need not wait.

Law: a closure decides as the flow would, or answers `SLOW` and has touched nothing; the flow then decides. The four
shapes: one limit, one limit with a key, one breaker, and any stack of at most one of each.

The closures are in `closures.py`; here is when which of them may stand in for the flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guardrail.admission.breaker_gate import BreakerGate
from guardrail.admission.bulkhead_gate import BulkheadGate
from guardrail.admission.call import KeyParts, KeyReader, bounded
from guardrail.admission.closures import (
    COST_OF_A_CALL,
    Admit,
    Args,
    Kwargs,
    Leave,
    SlowLeave,
    Stamp,
    one_breaker,
    one_keyed_limit,
    one_limit,
    stack_admit,
    stack_leave,
)
from guardrail.admission.limit_gate import LimitGate
from guardrail.admission.stock import BY_RESOURCE
from guardrail.core.breaker_state import BreakerState, Ticket
from guardrail.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guardrail.admission.gate import Gate
    from guardrail.admission.ledger import Ledger
    from guardrail.admission.waiter import Waiter
    from guardrail.core.bulkhead import BulkheadState

NO_KEY = KeyReader(None, lambda _args, _kwargs: "")


class Compiled(NamedTuple):
    """Hold the closures of one plan.

    Attributes:
        admit: Decides over the arguments of a call. None: granted, and nothing to hand back.
        leave: Ends a call that went well.
        fail: Ends a call with an error.
    """

    admit: Admit
    leave: Leave
    fail: SlowLeave


def compile_gates(
    gates: Sequence[Gate], ledger: Ledger, resource: str, reader_of: Callable[[KeyParts], KeyReader]
) -> Compiled | None:
    """Return the closures for these gates, or None where only the flow can decide. Takes a turn of the ledger."""
    with ledger as now_us:  # one turn: what is captured here belongs to the numbers that were looked at
        if not all(_fits(gate) for gate in gates):
            return None
        limits = [gate for gate in gates if isinstance(gate, LimitGate)]
        breakers = [gate for gate in gates if isinstance(gate, BreakerGate)]
        bulkheads = [gate for gate in gates if isinstance(gate, BulkheadGate)]
        if max(len(limits), len(breakers), len(bulkheads)) > 1:
            return None
        if not gates:
            return Compiled(_everybody, _nothing_to_leave, _nothing_to_leave)
        limit = limits[0] if limits else None
        reader = reader_of(limit.key) if limit is not None and limit.key else NO_KEY
        if limit is not None and len(gates) == 1:
            admit = one_keyed_limit(limit, ledger, reader) if limit.key else one_limit(limit, ledger)
            return Compiled(admit, _nothing_to_leave, _nothing_to_leave)
        gate = breakers[0] if breakers else None
        breaker = None if gate is None else gate.states.breaker
        bulkhead = bulkheads[0] if bulkheads else None
        health_key = bounded(resource) if gate is not None and gate.key else ""
        health = None if gate is None else gate.states.pin(health_key, now_us)
        places = None if bulkhead is None else bulkhead.states.pin("", now_us)
        slow_leave = _slow_leave(gate, health, health_key, bulkhead, places, ledger)
        slow_call_us = None if breaker is None else breaker.slow_call_us
        if health is not None and slow_call_us is None and len(gates) == 1:
            admit = one_breaker(health)
        else:
            admit = stack_admit(limit, health, slow_call_us, bulkhead, places, ledger, reader)
        return Compiled(admit, stack_leave(breaker, health, places, ledger, slow_leave), slow_leave)


def _fits(gate: Gate) -> bool:
    """Tell whether a closure can stand in for this gate."""
    if gate.applies is not None or gate.enforced != 1:
        return False
    match gate:
        case LimitGate():
            limit, cost = gate.terms.limit, COST_OF_A_CALL if gate.cost is None else gate.cost
            return (
                isinstance(limit, TokenBucket)
                and gate.states.limit == limit
                and limit.max_wait_us == 0
                and not gate.overrides
                and gate.lookup is None
                and not gate.on_failure_only
                and isinstance(cost, int)
                and cost <= limit.burst
            )
        case BreakerGate():
            return gate.key in ((), BY_RESOURCE) and gate.states.breaker.window_us is not None
        case _:
            return gate.key == ()


def _slow_leave(
    breaker: BreakerGate | None,
    health: BreakerState | None,
    health_key: str,
    bulkhead: BulkheadGate | None,
    places: BulkheadState[Waiter] | None,
    ledger: Ledger,
) -> SlowLeave:
    """Return how a call of these closures ends when it is not plain: an error, a waiter, a lock that is held."""
    forks = ledger.forks

    def slow_leave(stamp: Stamp, error: BaseException | None) -> None:
        outcome = "success" if breaker is None else breaker.outcome_of(error, False)

        def step() -> None:
            if bulkhead is not None and places is not None and forks == ledger.forks:
                waiter = bulkhead.states.release(places)
                if waiter is not None:
                    ledger.wake(waiter)
            if breaker is not None and health is not None:
                transition = breaker.states.breaker.record(health, Ticket(*stamp), outcome, ledger.now_us)
                ledger.moved(breaker.label(health_key), transition)

        ledger.soon(step)

    return slow_leave


def _everybody(_args: Args, _kwargs: Kwargs) -> None:
    """Let every call through: no rule applies."""


def _nothing_to_leave(*_: object) -> None:
    """Hand nothing back: a limit alone holds nothing."""
