"""Replay: logs read from end to end, under one set of rules or two at once.

Law: both sets of rules see the same calls at the same times.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrail.cli.replay.lines import blocks
from guardrail.cli.replay.rehearsal import Rehearsal
from guardrail.cli.replay.tally import Comparison

if TYPE_CHECKING:
    from guardrail.cli.replay.call import Call
    from guardrail.cli.replay.order import Order
    from guardrail.cli.replay.reading import Reading
    from guardrail.rules.model import Rule
    from guardrail.rules.ruleset import RuleSet

_YOUNG = 50_000  # objects between two looks for garbage: a call makes some dozens, and no cycles
_BATCH = 2_000  # calls between two reports of how far it is


@dataclass(frozen=True)
class Replayed:
    """Hold what came of it.

    Attributes:
        old: The same calls under the rules that are compared with.
    """

    logs: Sequence[str]
    reading: Reading
    order: Order
    new: Rehearsal
    old: Rehearsal | None
    comparison: Comparison | None

    @property
    def unmet(self) -> list[Rule]:
        """Rules that no call in the log was about."""
        return [one.rule for one in self.new.tallies.values() if not one.asked and one.rule.mode != "off"]

    def untold(self, rule: Rule) -> list[str]:
        """Return the attributes that *rule* looks at, and of which the log says nothing."""
        names = [*rule.when, *(name for part in rule.key for name in part)]
        if rule.kind == "limit" and isinstance(rule.cost, str):
            names.append(rule.cost)
        return [name for name in dict.fromkeys(names) if not self.reading.tells(name)]


def replay(
    logs: Sequence[str],
    rules: RuleSet,
    against: RuleSet | None,
    reading: Reading,
    order: Order,
    heard: Callable[[int, int], None],
) -> Replayed:
    """Replay *logs*.

    Args:
        heard: Is told how many bytes and how many lines are done.

    Raises:
        Unreadable: A log cannot be read.
    """
    comparison = None if against is None else Comparison()
    new = Rehearsal(rules, None if comparison is None else comparison.hear_new)
    old = None if against is None or comparison is None else Rehearsal(against, comparison.hear_old)
    position = 0

    def read(byte: int) -> None:
        nonlocal position
        position = byte

    with _seldom_collecting():
        for calls in _in_order(logs, reading, order, read):
            for start in range(0, len(calls), _BATCH):
                _take(calls[start : start + _BATCH], new, old)
                heard(position, reading.lines)
        new.finish()
        if old is not None:
            old.finish()
            old.timeline.widen(new.timeline.width_us)
            new.timeline.widen(old.timeline.width_us)
    return Replayed(logs, reading, order, new, old, comparison)


def _in_order(logs: Sequence[str], reading: Reading, order: Order, read: Callable[[int], None]) -> Iterator[list[Call]]:
    for block in blocks(logs, read):
        yield order.put(reading.read(block))
    yield order.rest()


def _take(calls: Sequence[Call], new: Rehearsal, old: Rehearsal | None) -> None:
    if old is None:
        for call in calls:
            new.take(call)
    else:
        for call in calls:
            new.take(call)
            old.take(call)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
