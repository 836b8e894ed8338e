"""Stack: at most one rule of each kind, which is what the ways past the flow are made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from guardrail.admission.breaker_gate import BreakerGate
from guardrail.admission.bulkhead_gate import BulkheadGate
from guardrail.admission.limit_gate import LimitGate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.admission.gate import Gate

G = TypeVar("G", bound="Gate")


class Stack(NamedTuple):
    """Hold the gates of a resource by their kind."""

    limit: LimitGate | None
    breaker: BreakerGate | None
    bulkhead: BulkheadGate | None


def stack_of(gates: Sequence[Gate]) -> Stack | None:
    """Return the gates as a stack; None: there are two of a kind, or one of another kind, or one with a condition."""
    stack = Stack(_only(LimitGate, gates), _only(BreakerGate, gates), _only(BulkheadGate, gates))
    is_whole = len(gates) == sum(gate is not None for gate in stack)
    return stack if is_whole and all(gate.is_unconditional for gate in gates) else None


def _only(kind: type[G], gates: Sequence[Gate]) -> G | None:
    found = [gate for gate in gates if isinstance(gate, kind)]
    return found[0] if len(found) == 1 else None
