"""Histograms of times: how many fell into each of a fixed row of buckets, one for each doubling.

Law: a quantile is never too low, and too high by less than a factor of 2, unless it lies past the last bucket. Times are
whole microseconds; below one of them, all are 1. Whatever number of threads count, nothing is lost: nothing is called
between reading a number and writing it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

# The upper bounds in microseconds: 1, 2, 4 ... us up to 67 s, and one bucket beyond.
BOUNDS_US = tuple(1 << power for power in range(27))
_LAST_US = BOUNDS_US[-1]
_BEYOND = len(BOUNDS_US)


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

        Args:
            share: From 0 to 1, such as 0.95.

        Raises:
            ValueError: It is not.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a share must be from 0 to 1, such as 0.95, got {share!r}")
        rank = max(1, ceil(round(share * self.count, 6)))  # rounded: 0.07 * 100 is a little more than 7
        reached = 0
        for bound_us, count in zip(BOUNDS_US, self.buckets, strict=False):
            reached += count
            if reached >= rank:
                return bound_us / 1_000_000
        return BOUNDS_US[-1] / 1_000_000 if self.count else None


class Histogram:
    """Count times by buckets. Safe from any thread; whoever reads meanwhile sees some of what is being written."""

    __slots__ = ("_buckets", "_total_us")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin at 0."""
        self._buckets = [0] * (_BEYOND + 1)
        self._total_us = 0

    def add(self, time_us: int) -> None:
        """Count one time. One below 0, which only a clock that has stepped back gives, counts as 0."""
        if time_us <= 0:
            self._buckets[0] += 1
            return
        place = (time_us - 1).bit_length() if time_us <= _LAST_US else _BEYOND
        self._buckets[place] += 1
        self._total_us += time_us

    def view(self) -> Distribution:
        """Return the histogram as it stands."""
        buckets = tuple(self._buckets)
        return Distribution(sum(buckets), self._total_us / 1_000_000, buckets)
