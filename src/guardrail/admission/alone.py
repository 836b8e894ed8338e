"""One rule, asked alone: what it would say now to a call with a certain key, whatever other rules there are.

Law: nothing is taken and nothing is counted, and the rule's `when:` is not asked.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from guardrail.admission.call import Call
from guardrail.admission.permit import apeek, peek
from guardrail.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from guardrail.admission.call import Get, KeyParts
    from guardrail.admission.gate import Gate
    from guardrail.admission.in_force import Effective
    from guardrail.admission.stock import Stock
    from guardrail.core.verdict import Decision, Verdict


def asked_alone(stock: Stock, effective: Effective, values: Sequence[object]) -> Verdict:
    """Ask the rule about the values of its key. Where a part of it has alternative names, the strictest verdict counts.

    Raises:
        StoreError: It is shared, and its store cannot be asked.
    """
    gate = _gate(stock, effective)
    return _strictest(peek((gate,), call, stock.ledger) for call in _calls(effective, values))


async def aasked_alone(stock: Stock, effective: Effective, values: Sequence[object]) -> Verdict:
    """Ask as `asked_alone` does, from a task."""
    gate = _gate(stock, effective)
    return _strictest([await apeek((gate,), call, stock.ledger) for call in _calls(effective, values)])


def _gate(stock: Stock, effective: Effective) -> Gate:
    return replace(stock.gate(effective), applies=None)


def _calls(effective: Effective, values: Sequence[object]) -> list[Call]:
    resource = effective.rule.resource[0]
    return [Call(resource, get) for get in _gets(effective.rule.key, values)]


def _gets(parts: KeyParts, values: Sequence[object]) -> list[Get]:
    names = product(*parts)
    return [dict(zip(some, values, strict=True)).get for some in names]


def _strictest(decisions: Iterable[Decision]) -> Verdict:
    verdicts = [decision.verdicts[0] for decision in decisions]
    strictest = min(verdicts, key=lambda one: (one.allowed, one.remaining is None, one.remaining))
    if strictest.reason == "store_unavailable":
        raise StoreError(f"the store behind rule '{strictest.rule}' cannot be asked")
    return strictest
