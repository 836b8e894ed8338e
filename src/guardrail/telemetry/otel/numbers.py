"""Numbers: the readings of several guards made one, and told as observations.

Law: sums of several guards are sums, whatever their attributes; what cannot be added up is the largest. Quantiles are of
what came since the numbers before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.metrics import Observation

from guardrail.telemetry.histogram import Distribution
from guardrail.telemetry.otel.instruments import QUANTILE, QUANTILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from guardrail.telemetry.otel.instruments import Instrument
    from guardrail.telemetry.otel.readings import Reading

Attributes = tuple[tuple[str, str], ...]
Numbers = dict[tuple["Instrument", Attributes], "float | Distribution"]


def add_up(numbers: Numbers, readings: Iterable[Reading], own: Mapping[str, str]) -> None:
    """Add the readings of one guard, under attributes of its own besides theirs."""
    for instrument, attributes, value in readings:
        place = instrument, tuple({**attributes, **own}.items())
        there = numbers.get(place)
        numbers[place] = value if there is None else _joined(instrument, there, value)


def observations(numbers: Numbers, before: Numbers) -> dict[str, list[Observation]]:
    """Return what each instrument of the API is told.

    Args:
        before: The numbers of the collection before.
    """
    told: dict[str, list[Observation]] = {}
    for (instrument, place), value in numbers.items():
        attributes = dict(place)
        if isinstance(value, Distribution):
            earlier = before.get((instrument, place))
            recent = since(value, earlier) if isinstance(earlier, Distribution) else value
            told.setdefault(f"{instrument.name}.count", []).append(Observation(value.count, attributes))
            told.setdefault(f"{instrument.name}.sum", []).append(Observation(value.total, attributes))
            told.setdefault(f"{instrument.name}.quantile", []).extend(_quantiles(recent, attributes))
        else:
            told.setdefault(instrument.name, []).append(Observation(value, attributes))
    return told


def since(now: Distribution, before: Distribution) -> Distribution:
    """Return what came between two views of a histogram; all of it where it was begun anew."""
    buckets = tuple(count - earlier for count, earlier in zip(now.buckets, before.buckets, strict=True))
    if min(buckets) < 0:
        return now
    return Distribution(sum(buckets), now.total - before.total, buckets)


def _joined(instrument: Instrument, one: float | Distribution, other: float | Distribution) -> float | Distribution:
    if isinstance(one, Distribution):
        assert isinstance(other, Distribution)  # both are of the same instrument
        buckets = tuple(map(sum, zip(one.buckets, other.buckets, strict=True)))
        return Distribution(one.count + other.count, one.total + other.total, buckets)
    assert not isinstance(other, Distribution)
    return max(one, other) if instrument.kind == "gauge" else one + other


def _quantiles(times: Distribution, attributes: dict[str, str]) -> Iterator[Observation]:
    for share in QUANTILES:
        seconds = times.quantile(share)
        if seconds is not None:
            yield Observation(seconds, {**attributes, QUANTILE: str(share)})
