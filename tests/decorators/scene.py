"""What tests of decorated callables ask again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from guardrail import Guard, Refused

START_US = 1_700_000_000_000_000


def refusal(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Refused:
    """The refusal that a call meets; a coroutine is run."""
    with pytest.raises(Refused) as refused:
        result(call, *args, **kwargs)
    return refused.value


def result(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call comes to: a coroutine is run, a stream is read to its end."""
    answer = call(*args, **kwargs)
    if isinstance(answer, Coroutine):
        return asyncio.run(answer)
    if hasattr(answer, "__anext__"):
        return asyncio.run(items(answer))
    return list(answer) if hasattr(answer, "__next__") else answer


async def items(stream: Any) -> list[Any]:
    return [item async for item in stream]


def inside(guard: Guard) -> int:
    """How many calls hold a place of any bulkhead."""
    with guard.ledger:
        return sum(state.in_use for one in guard.ledger.bulkheads.values() for state in one.states.values())


def left(guard: Guard, resource: str, rule: str | None = None) -> int | None:
    """What is left of a limit or bulkhead, by the decision on a call that costs nothing."""
    verdicts = guard.peek(resource, cost=0).verdicts
    return next(verdict.remaining for verdict in verdicts if rule in (None, verdict.rule))


def failures(guard: Guard, breaker: str) -> int:
    return guard.breakers[breaker].snapshot().failures
