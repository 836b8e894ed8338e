"""Watched: one guard that is reported, and what was last seen of it.

Law: a guard is kept by somebody else; here are only numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from guardrail.telemetry.otel.numbers import Numbers, numbers_of
from guardrail.telemetry.otel.readings import readings
from guardrail.telemetry.otel.totals import GROWING, MOST_PLACES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrail.telemetry.otel.reporter import Observed
    from guardrail.telemetry.otel.totals import Totals


class Watched:
    """Hold a guard, as long as somebody else does.

    Attributes:
        attributes: What its numbers are told under besides.
        turn: Stands for being reported now; None: it was closed, and may come back with what it has counted.
        seen: Its numbers at the last look that succeeded.
    """

    __slots__ = ("_grown", "attributes", "guard", "seen", "turn")

    def __init__(self, guard: Observed) -> None:
        self.guard = ref(guard)
        self.attributes: Mapping[str, str] = {}
        self.turn: object | None = None
        self.seen: Numbers = {}
        self._grown: Numbers = {}  # also of rules that have gone, because they may come back with what they had

    def end(self, turn: object) -> None:
        """End a turn, unless it is another one by now."""
        if self.turn is turn:
            self.turn, self.seen = None, {}

    def look(self, guard: Observed, totals: Totals) -> None:
        """Look at it once, and add to the totals what has come since the last time. Raises what the guard raises."""
        seen = numbers_of(readings(guard.snapshot()), self.attributes)
        before = self._grown
        kept = before if len(before) <= MOST_PLACES else {}
        self._grown = {**kept, **{place: value for place, value in seen.items() if place[0].kind in GROWING}}
        self.seen = seen
        totals.grow(before, seen)
