"""What a guard tells the demo: refusals, moves of the breaker, rule files that cannot be used."""

from __future__ import annotations

import time
from collections import Counter
from typing import NamedTuple

from guardrail import RuleError
from guardrail.cli.demo.service import Supplier
from guardrail.errors import Problem
from guardrail.telemetry.events import BreakerMoved, CallRefused, Event, RulesRejected


class Move(NamedTuple):
    """Hold one move of the breaker, and how often the supplier had been called and stood in for by then."""

    at: float
    from_state: str
    to_state: str
    reason: str
    supplier_calls: int
    stood_in: int


class Hearing:
    """Hear what the guard tells: refusals, moves of the breaker, rule files that cannot be used."""

    never_waits = True

    def __init__(self, supplier: Supplier) -> None:
        self.refused: Counter[str] = Counter()
        self.moves: list[Move] = []
        self.problems: list[Problem] = []
        self._supplier = supplier

    def __call__(self, event: Event) -> None:
        match event:
            case CallRefused():
                self.refused[event.rule] += 1
            case BreakerMoved():
                counts = self._supplier.calls, self._supplier.stood_in
                self.moves.append(Move(time.monotonic(), event.from_state, event.to_state, event.reason, *counts))
            case RulesRejected(error=RuleError() as error):
                self.problems.extend(error.problems)
            case _:
                pass
