"""The compiled path: one closure for each shape of plan that is wholly local and need not wait.

Law: a closure decides as the flow would, or answers `SLOW` and has touched nothing; the flow then decides. The four
shapes: one limit, one limit with a key, one bulkhead, and any stack of at most one of each.

The closures are in `closures.py`; here is when which of them may stand in for the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from guardrail.admission.breaker_gate import BreakerGate
from guardrail.admission.bulkhead_gate import BulkheadGate
from guardrail.admission.call import bounded
from guardrail.admission.closures import Admit, Leave, SlowLeave, Stamp, one_bulkhead, one_limit, stack_admit, stack_leave
from guardrail.admission.limit_gate import LimitGate
from guardrail.admission.limit_states import KeyedStates
from guardrail.core.breaker_state import BreakerState, Ticket
from guardrail.core.bulkhead import BulkheadState
from guardrail.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from guardrail.admission.gate import Gate
    from guardrail.admission.ledger import Ledger
    from guardrail.admission.waiter import Waiter



class Compiled(NamedTuple):
    """Hold the closures of one plan.

    Attributes:
        admit: Takes the key of the plan's keyed limit. None: granted, and nothing to hand back.
        leave: Ends a call that went well.
        fail: Ends a call with an error.
        keyed: The limit whose key `admit` wants, if there is one.
    """

    admit: Admit
    leave: Leave
    fail: Callable[[Stamp, BaseException], None]
    keyed: LimitGate | None


def compile_gates(gates: Sequence[Gate], ledger: Ledger, resource: str, cost: int) -> Compiled | None:
    """Return the closures for these gates, or None where only the flow can decide. Takes a turn of the ledger."""
    if not all(_fits(gate, cost) for gate in gates):
        return None
    limits = [gate for gate in gates if isinstance(gate, LimitGate)]
    breakers = [gate for gate in gates if isinstance(gate, BreakerGate)]
    bulkheads = [gate for gate in gates if isinstance(gate, BulkheadGate)]
    if max(len(limits), len(breakers), len(bulkheads)) > 1:
        return None
    limit = limits[0] if limits else None
    keyed = limit if limit is not None and isinstance(limit.states, KeyedStates) else None
    if not gates:
        return Compiled(lambda _: None, _nothing_to_leave, _nothing_to_leave, None)
    if limit is not None and len(gates) == 1:
        return Compiled(one_limit(limit, ledger, cost), _nothing_to_leave, _nothing_to_leave, keyed)
    with ledger as now_us:
        breaker = breakers[0] if breakers else None
        bulkhead = bulkheads[0] if bulkheads else None
        health_key = bounded(resource) if breaker is not None and breaker.key else ""
        health = None if breaker is None else breaker.states.pin(health_key, now_us)
        places = None if bulkhead is None else bulkhead.states.pin("", now_us)
    slow_leave = _slow_leave(breaker, health, health_key, bulkhead, places, ledger)
    if bulkhead is not None and places is not None and len(gates) == 1:
        admit, leave = one_bulkhead(bulkhead, places, ledger, slow_leave)
    else:
        admit = stack_admit(limit, health, bulkhead, places, ledger, cost)
        leave = stack_leave(breaker, health, places, ledger, slow_leave)
    return Compiled(admit, leave, slow_leave, keyed)


def _fits(gate: Gate, cost: int) -> bool:
    """Tell whether a closure can stand in for this gate."""
    if gate.applies is not None or gate.enforced != 1:
        return False
    match gate:
        case LimitGate():
            limit = gate.terms.limit
            return (
                isinstance(limit, TokenBucket)
                and limit.max_wait_us == 0
                and not gate.overrides
                and gate.lookup is None
                and not gate.on_failure_only
                and not isinstance(gate.cost, str)
                and (cost if gate.cost is None else gate.cost) <= limit.burst
                and isinstance(gate.states, OneState | KeyedStates)
            )
        case BreakerGate():
            return gate.key in ((), (("resource",),)) and gate.states.breaker.window_us is not None
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


def _nothing_to_leave(*_: object) -> None:
    """Hand nothing back: a limit alone holds nothing."""
