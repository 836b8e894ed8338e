"""Histograms of times: how many fell into each of a fixed row of buckets, one for each doubling.

Law: a quantile is too high by less than a factor of 2, and never too low, unless it lies past the last bucket.
"""

from __future__ import annotations

from dataclasses import dataclass

# The upper bounds in microseconds: 1, 2, 4 ... us up to 67 s, and one bucket beyond.
BOUNDS_US = tuple(1 << power for power in range(27))


@dataclass(frozen=True, slots=True)
class Distribution:
    """Show a histogram as it stood at one moment. Times are seconds.

    Attributes:
        total: All times together.
        buckets: How many fell into each bucket, not cumulated; their upper bounds are `BOUNDS_US`, and the last has none.
    """

    count: int
    total: float
    buckets: tuple[int, ...]

    def quantile(self, share: float) -> float | None:
        """Return the upper bound of the bucket in which this share of all times is reached; None: there are none.

        Past the last bound, that is returned.
        """
        if not self.count:
            return None
        least = share * self.count
        reached = 0
        for bound_us, count in zip(BOUNDS_US, self.buckets, strict=False):
            reached += count
            if reached >= least and reached:
                return bound_us / 1_000_000
        return BOUNDS_US[-1] / 1_000_000


class Histogram:
    """Count times by buckets. One writer at a time; whoever reads meanwhile sees some of what is being written."""

    __slots__ = ("_buckets", "_total_us")

    def __init__(self) -> None:
        self._buckets = [0] * (len(BOUNDS_US) + 1)
        self._total_us = 0

    def add(self, time_us: int) -> None:
        """Count one time. One below 0, which only a clock that has stepped back gives, counts as 0."""
        time_us = max(0, time_us)
        bucket = max(0, time_us - 1).bit_length()
        self._buckets[min(bucket, len(BOUNDS_US))] += 1
        self._total_us += time_us

    def view(self) -> Distribution:
        """Return the histogram as it stands."""
        buckets = tuple(self._buckets)
        return Distribution(sum(buckets), self._total_us / 1_000_000, buckets)
