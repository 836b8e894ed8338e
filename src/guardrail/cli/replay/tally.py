"""What is counted while calls are replayed.

Law: memory is bounded, however many calls, keys and hours there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guardrail.cli.replay.call import SECOND_US
from guardrail.telemetry.sketch import Sketch

if TYPE_CHECKING:
    from guardrail.cli.replay.call import Call
    from guardrail.rules.model import Rule

MOST_SLOTS = 1_000


class Timeline:
    """Count calls by time. Slots begin as seconds and are joined in pairs when there are too many."""

    def __init__(self) -> None:
        self.width_us = SECOND_US
        self._slots: dict[int, list[int]] = {}

    def add(self, at_us: int, allowed: bool) -> None:
        """Count one call."""
        slot = self._slots.get(at_us // self.width_us)
        if slot is None:
            slot = self._slot(at_us)
        slot[0 if allowed else 1] += 1

    def slots(self) -> list[tuple[int, int, int]]:
        """Return the time, allowed and refused of every slot from the first to the last, empty ones too."""
        if not self._slots:
            return []
        numbers = range(min(self._slots), max(self._slots) + 1)
        empty = [0, 0]
        found = ((number, self._slots.get(number, empty)) for number in numbers)
        return [(number * self.width_us, allowed, refused) for number, (allowed, refused) in found]

    def widen(self, width_us: int) -> None:
        """Join slots until they are as wide as those of another timeline."""
        while self.width_us < width_us:
            self._join()

    def _slot(self, at_us: int) -> list[int]:
        number = at_us // self.width_us
        while self._slots and max(*self._slots, number) - min(*self._slots, number) >= MOST_SLOTS:
            self._join()
            number = at_us // self.width_us
        return self._slots.setdefault(number, [0, 0])

    def _join(self) -> None:
        self.width_us *= 2
        joined: dict[int, list[int]] = {}
        for number, (allowed, refused) in self._slots.items():
            slot = joined.setdefault(number // 2, [0, 0])
            slot[0] += allowed
            slot[1] += refused
        self._slots = joined


class RuleTally:
    """Count what one rule said.

    Attributes:
        allowed: Calls it let pass.
        refused: Calls it refused, alone or together with others.
        would_refuse: Calls it only watched, and would have refused.
        callers: The keys that called most; None: it has no key.
        turned_away: The keys that were refused most, or would have been.
    """

    __slots__ = ("allowed", "callers", "refused", "rule", "turned_away", "would_refuse")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.allowed = self.refused = self.would_refuse = 0
        self.callers = Sketch() if rule.key else None
        self.turned_away = Sketch() if rule.key else None

    @property
    def asked(self) -> int:
        """How many calls it was asked about."""
        return self.allowed + self.refused + self.would_refuse

    def add(self, key: str, *, allowed: bool, watching: bool) -> None:
        """Count one verdict."""
        if allowed:
            self.allowed += 1
        elif watching:
            self.would_refuse += 1
        else:
            self.refused += 1
        if self.callers is not None and self.turned_away is not None:
            self.callers.add(key)
            if not allowed:
                self.turned_away.add(key)


class Decided(NamedTuple):
    """Hold what became of one call."""

    call: Call
    resource: str
    allowed: bool


class Comparison:
    """Hold the decisions under two sets of rules against each other, call by call.

    Attributes:
        newly_refused: Calls that the old rules let in and the new ones refuse.
        clients: Whom these are from; `resources`: to what.
    """

    def __init__(self) -> None:
        self.both_allowed = self.both_refused = self.newly_allowed = self.newly_refused = 0
        self.clients = Sketch()
        self.resources = Sketch()
        self._open: dict[int, tuple[bool, Decided]] = {}  # one of the two has still to decide: the call waits there

    def hear_new(self, decided: Decided) -> None:
        """Take in what the new rules said."""
        self._hear(True, decided)

    def hear_old(self, decided: Decided) -> None:
        """Take in what the old rules said."""
        self._hear(False, decided)

    def _hear(self, is_new: bool, decided: Decided) -> None:
        other = self._open.pop(decided.call.number, None)
        if other is None:
            self._open[decided.call.number] = (is_new, decided)
            return
        new, old = (decided, other[1]) if is_new else (other[1], decided)
        if new.allowed and old.allowed:
            self.both_allowed += 1
        elif new.allowed:
            self.newly_allowed += 1
        elif old.allowed:
            self.newly_refused += 1
            self.clients.add(new.call.client or "")
            self.resources.add(new.resource)
        else:
            self.both_refused += 1
