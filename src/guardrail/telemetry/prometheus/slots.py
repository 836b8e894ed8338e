"""Slots: where one number stands in a file, and what was written there last.

Law: a counter grows by what was counted since the last time, so that what an earlier process of the same id has left there
stays counted. What has not changed costs a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from guardrail.telemetry.histogram import Distribution
from guardrail.telemetry.prometheus.buckets import BOUNDS, counts_of
from guardrail.telemetry.prometheus.families import GUARD

if TYPE_CHECKING:
    from guardrail.telemetry.prometheus.bound import Place
    from guardrail.telemetry.prometheus.metrics import Metric

Label: TypeAlias = "tuple[str, str]"


class Value(Protocol):
    """Be one number in a file."""

    def inc(self, amount: float, /) -> None: ...
    def set(self, value: float, /) -> None: ...


class Slot(Protocol):
    """Take the numbers of one place, each time they are looked at."""

    def put(self, value: float | Distribution, /) -> None: ...
    def begin(self) -> None:
        """Forget what was written, because from here on it goes to another file."""


class GaugeSlot:
    """Hold what is now."""

    __slots__ = ("_last", "_value")

    def __init__(self, value: Value) -> None:
        self._value = value
        self.begin()

    def begin(self) -> None:
        self._last: float | None = None  # in the file there may be what an earlier process has left

    def put(self, value: float | Distribution) -> None:
        assert not isinstance(value, Distribution)
        if value != self._last:
            self._value.set(value)
            self._last = value


class CounterSlot:
    """Hold what was counted by all processes that had this file."""

    __slots__ = ("_last", "_value")

    def __init__(self, value: Value) -> None:
        self._value = value
        self.begin()

    def begin(self) -> None:
        self._last: float = 0

    def put(self, value: float | Distribution) -> None:
        assert not isinstance(value, Distribution)
        if value != self._last:
            began_anew = value < self._last  # as for a rule that was taken out and is back
            self._value.inc(value if began_anew else value - self._last)
            self._last = value


class HistogramSlot:
    """Hold what fell into each bucket, and the sum."""

    __slots__ = ("_buckets", "_last", "_total")

    def __init__(self, buckets: Iterable[Value], total: Value) -> None:
        self._buckets = list(map(CounterSlot, buckets))
        self._total = CounterSlot(total)
        self._last: Distribution | None = None

    def begin(self) -> None:
        self._last = None
        for slot in (*self._buckets, self._total):
            slot.begin()

    def put(self, value: float | Distribution) -> None:
        assert isinstance(value, Distribution)
        if value != self._last:
            for slot, count in zip(self._buckets, counts_of(value), strict=True):
                slot.put(count)
            self._total.put(value.total)
            self._last = value


def slot_of(make: Callable[..., Value], place: Place, guard: str) -> Slot:
    """Return the slot of a place.

    Args:
        make: A class of prometheus_client's.
        guard: The name it was given, or nothing.
    """
    metric, texts = place
    labels = [*zip(metric.labels, texts, strict=True), *([(GUARD, guard)] if guard else [])]
    if metric.merge is not None:
        return GaugeSlot(_value(make, metric, metric.name, labels))
    if metric.kind == "counter":
        return CounterSlot(_value(make, metric, f"{metric.name}_total", labels))
    buckets = [_value(make, metric, f"{metric.name}_bucket", [*labels, ("le", bound)]) for bound in BOUNDS]
    return HistogramSlot(buckets, _value(make, metric, f"{metric.name}_sum", labels))


def _value(make: Callable[..., Value], metric: Metric, sample: str, labels: Iterable[Label]) -> Value:
    texts = dict(labels)
    mode = {"multiprocess_mode": metric.merge} if metric.merge else {}
    return make(metric.kind, metric.name, sample, tuple(texts), tuple(texts.values()), metric.text, **mode)
