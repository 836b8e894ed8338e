"""Numbers: the readings of several guards made one, and told as observations.

Law: sums of several guards are sums, whatever their attributes; what cannot be added up is the largest.
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
Place = tuple["Instrument", Attributes]
Numbers = dict[Place, "float | Distribution"]


def numbers_of(readings: Iterable[Reading], own: Mapping[str, str]) -> Numbers:
    """Return the readings of one guard, under attributes of its own besides theirs."""
    numbers: Numbers = {}
    for instrument, attributes, value in readings:
        _put(numbers, (instrument, tuple({**attributes, **own}.items())), value)
    return numbers


def add_up(numbers: Numbers, others: Numbers) -> None:
    """Add the numbers of one more guard."""
    for place, value in others.items():
        _put(numbers, place, value)


def added(instrument: Instrument, one: float | Distribution, other: float | Distribution) -> float | Distribution:
    """Return two numbers of an instrument as one."""
    if isinstance(one, Distribution):
        assert isinstance(other, Distribution)  # both are of the same instrument
        buckets = tuple(map(sum, zip(one.buckets, other.buckets, strict=True)))
        return Distribution(one.count + other.count, one.total + other.total, buckets)
    assert not isinstance(other, Distribution)
    return max(one, other) if instrument.kind == "gauge" else one + other


def grown(now: float | Distribution, before: float | Distribution | None) -> float | Distribution:
    """Return what came between two looks at what grows; all of it where it was begun anew, or there was none before."""
    if before is None:
        return now
    if isinstance(now, Distribution):
        assert isinstance(before, Distribution)  # both are of the same instrument
        return since(now, before)
    assert not isinstance(before, Distribution)
    return now - before if now >= before else now


def since(now: Distribution, before: Distribution) -> Distribution:
    """Return what came between two views of a histogram; all of it where it was begun anew."""
    buckets = tuple(count - earlier for count, earlier in zip(now.buckets, before.buckets, strict=True))
    if min(buckets) < 0 or now.total < before.total:
        return now
    return Distribution(sum(buckets), now.total - before.total, buckets)


def observations(numbers: Numbers, recent: Mapping[Place, Distribution]) -> dict[str, list[Observation]]:
    """Return what each instrument of the API is told.

    Args:
        recent: What quantiles are taken of.
    """
    told: dict[str, list[Observation]] = {}
    for place, value in numbers.items():
        instrument, attributes = place[0], dict(place[1])
        if isinstance(value, Distribution):
            told.setdefault(f"{instrument.name}.count", []).append(Observation(value.count, attributes))
            told.setdefault(f"{instrument.name}.sum", []).append(Observation(value.total, attributes))
            told.setdefault(f"{instrument.name}.quantile", []).extend(_quantiles(recent[place], attributes))
        else:
            told.setdefault(instrument.name, []).append(Observation(value, attributes))
    return told


def _put(numbers: Numbers, place: Place, value: float | Distribution) -> None:
    there = numbers.get(place)
    numbers[place] = value if there is None else added(place[0], there, value)


def _quantiles(times: Distribution, attributes: dict[str, str]) -> Iterator[Observation]:
    for share in QUANTILES:
        seconds = times.quantile(share)
        if seconds is not None:
            yield Observation(seconds, {**attributes, QUANTILE: str(share)})
