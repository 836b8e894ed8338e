"""One rule, asked alone: what it would say now to a call with a certain key, whatever other rules there are.

Law: nothing is taken and nothing is counted, and the rule's `when:` is not asked.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from guardrail.admission.attempt import Attempt
from guardrail.admission.call import Call, meant_by
from guardrail.admission.flow import adrive, drive, looking
from guardrail.admission.limit_gate import AskedLimit
from guardrail.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from guardrail.admission.call import Get, KeyParts
    from guardrail.admission.in_force import Effective
    from guardrail.admission.stock import Stock
    from guardrail.core.verdict import Verdict


def asked_alone(stock: Stock, effective: Effective, values: Sequence[object]) -> Verdict:
    """Ask the rule about the values of its key. Where a part of it has alternative names, the strictest verdict counts.

    Raises:
        StoreError: It is shared, and its store cannot be asked.
    """
    attempts = _attempts(stock, effective, values)
    for attempt in attempts:
        drive(attempt, looking(attempt))
    return _strictest(attempts)


async def aasked_alone(stock: Stock, effective: Effective, values: Sequence[object]) -> Verdict:
    """Ask as `asked_alone` does, from a task."""
    attempts = _attempts(stock, effective, values)
    for attempt in attempts:
        await adrive(attempt, looking(attempt))
    return _strictest(attempts)


def _attempts(stock: Stock, effective: Effective, values: Sequence[object]) -> list[Attempt]:
    gate = replace(stock.gate(effective), applies=None)
    resource = effective.rule.resource[0]
    return [Attempt((gate,), Call(resource, get), stock.ledger) for get in _gets(effective.rule.key, values)]


def _gets(parts: KeyParts, values: Sequence[object]) -> list[Get]:
    choices = [meant_by(part, value) for part, value in zip(parts, values, strict=True)]
    return [dict(some).get for some in product(*choices)]


def _strictest(attempts: Iterable[Attempt]) -> Verdict:
    verdicts: list[Verdict] = []
    for attempt in attempts:
        verdict = attempt.decision().verdicts[0]
        if any(isinstance(asked, AskedLimit) and asked.by_policy for asked in attempt.asked()):
            raise StoreError(f"the store behind rule '{verdict.rule}' cannot be asked")
        verdicts.append(verdict)
    return min(verdicts, key=lambda one: (one.allowed, one.remaining is None, one.remaining))
