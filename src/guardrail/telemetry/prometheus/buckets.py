"""The buckets that are scraped: those of `telemetry/histogram.py` from 64 us on.

Law: a quantile is too high by less than a factor of 2 from there to 67 s; what is faster is in the first bucket.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.utils import floatToGoString

from guardrail.telemetry.histogram import BOUNDS_US

if TYPE_CHECKING:
    from guardrail.telemetry.histogram import Distribution

FIRST = 6  # the bound of 64 us: below that a wait is none, and each bucket is a series for every name

# The values of the label `le`, in seconds.
_text: Callable[[float], str] = floatToGoString  # it has no types
BOUNDS = tuple(_text(bound_us / 1_000_000) for bound_us in (*BOUNDS_US[FIRST:], float("inf")))


def counts_of(distribution: Distribution) -> tuple[int, ...]:
    """Return how many fell into each of the buckets, not cumulated."""
    buckets = distribution.buckets
    return sum(buckets[: FIRST + 1]), *buckets[FIRST + 1 :]


def cumulated(distribution: Distribution) -> list[tuple[str, float]]:
    """Return the buckets as they are scraped: each holds those before it."""
    return list(zip(BOUNDS, map(float, accumulate(counts_of(distribution))), strict=True))
