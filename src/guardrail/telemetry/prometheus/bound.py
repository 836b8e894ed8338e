"""The bound on label values: what has no room keeps its numbers and loses its name.

Law: a metric never has more than so many names, whatever rules and resources are called; further ones are counted
together as `__other__`, so that sums stay true, and the largest the largest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from guardrail.telemetry.counts import OTHER
from guardrail.telemetry.histogram import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardrail.telemetry.prometheus.metrics import Metric
    from guardrail.telemetry.prometheus.points import Point

MOST_NAMES = 2_000  # of one metric; counts.py leaves room for fewer pairs of a resource and a rule
MOST_CHARACTERS = 200  # of one name
MOST_REMEMBERED = 50_000  # places that need not be looked for again

Place: TypeAlias = "tuple[Metric, tuple[str, ...]]"  # a metric, and the values of its labels
Numbers: TypeAlias = "dict[Place, float | Distribution]"


class Bound:
    """Know the names that each metric has by now, and admit no more than there is room for."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._known: dict[Metric, set[tuple[str, ...]]] = {}
        self._places: dict[Place, Place] = {}

    def collected(self, points: Iterable[Point]) -> Numbers:
        """Return the numbers by metric and labels; those that fall together are added up."""
        numbers: Numbers = {}
        for metric, labels, value in points:
            asked = metric, labels
            place = self._places.get(asked) or self._find(asked)
            there = numbers.get(place)
            numbers[place] = value if there is None else added(metric, there, value)
        return numbers

    def _find(self, asked: Place) -> Place:
        metric, labels = asked
        names, words = tuple(map(printable, labels[: metric.names])), labels[metric.names :]
        known = self._known.setdefault(metric, set())
        if names not in known:
            if len(known) >= self._most:
                return metric, (OTHER,) * len(names) + words
            known.add(names)
        place = metric, names + words
        if len(self._places) < MOST_REMEMBERED:
            self._places[asked] = place
        return place


def printable(name: str) -> str:
    """Return a name that can be encoded, and is not endless."""
    short = name if len(name) <= MOST_CHARACTERS else f"{name[: MOST_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
    return short if short.isascii() else short.encode(errors="replace").decode()


def added(metric: Metric, one: float | Distribution, other: float | Distribution) -> float | Distribution:
    """Return two numbers of a metric as one, in the way in which those of several processes become one."""
    if isinstance(one, Distribution):
        assert isinstance(other, Distribution)  # both are of the same metric
        buckets = tuple(map(sum, zip(one.buckets, other.buckets, strict=True)))
        return Distribution(one.count + other.count, one.total + other.total, buckets)
    assert not isinstance(other, Distribution)
    match metric.merge:
        case "livemax" | "max":
            return max(one, other)
        case "livemin":
            return min(one, other)
        case "livesum" | None:
            return one + other
