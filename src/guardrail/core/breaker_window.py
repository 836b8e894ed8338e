"""What a breaker has in view: how many of the latest calls there were, and how many of them failed or were slow.

Law: of times, bucket i - 9 to bucket i count and no other, where i is now div ceil(window / 10);
of calls, the last `size` count and no other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

BUCKETS = 10
NEVER_US = 1 << 62  # later than any clock will show

Counts = tuple[int, int, int]  # calls, failures, slow
Mark = tuple[bool, bool]  # failed, slow

NOTHING: Counts = (0, 0, 0)
NINE_EMPTY = (NOTHING,) * (BUCKETS - 1)


@dataclass(slots=True)
class TimeWindow:
    """Count the calls of the newest bucket and the nine before it.

    The newest bucket is stored nowhere: it is what the running totals hold beyond the sealed buckets. So counting
    a call touches the totals and nothing else.
    """

    width_us: int
    newest: int  # index of the newest bucket
    calls: int = 0
    failures: int = 0
    slow: int = 0
    sealed: tuple[Counts, ...] = NINE_EMPTY  # oldest first

    @classmethod
    def starting(cls, window_us: int, now_us: int) -> TimeWindow:
        """Return an empty window of ten buckets."""
        width_us = -(-window_us // BUCKETS)
        return cls(width_us, now_us // width_us)

    @property
    def until_us(self) -> int:
        """Return when the newest bucket ends: until then there is nothing to advance."""
        return (self.newest + 1) * self.width_us

    def advance(self, now_us: int) -> None:
        """Drop the buckets that no longer count at *now_us*."""
        index = now_us // self.width_us
        if index == self.newest:
            return
        row = (*self.sealed, self._counts_of_newest(), *(NOTHING,) * min(index - self.newest, BUCKETS))
        self.newest = index
        self.sealed = row[-BUCKETS:-1]
        self.calls, self.failures, self.slow = _sum(self.sealed)

    def count(self, failed: bool, slow: bool) -> None:
        """Count one call in the newest bucket."""
        self.calls += 1
        self.failures += failed
        self.slow += slow

    def clear(self) -> None:
        """Forget every call."""
        self.calls = self.failures = self.slow = 0
        self.sealed = NINE_EMPTY

    def copy(self) -> TimeWindow:
        """Return a window that goes its own way from here."""
        return replace(self)

    def _counts_of_newest(self) -> Counts:
        calls, failures, slow = _sum(self.sealed)
        return self.calls - calls, self.failures - failures, self.slow - slow


@dataclass(slots=True)
class CallWindow:
    """Count the last *size* calls, however long ago they were."""

    size: int
    calls: int = 0
    failures: int = 0
    slow: int = 0
    marks: deque[Mark] = field(default_factory=deque)  # oldest first

    @property
    def until_us(self) -> int:
        """Return a time that never comes: time alone changes nothing here."""
        return NEVER_US

    def advance(self, now_us: int) -> None:
        """Leave everything as it is: calls are not forgotten by time."""

    def count(self, failed: bool, slow: bool) -> None:
        """Count one call in place of the oldest, once there are *size* of them."""
        if self.calls == self.size:
            oldest_failed, oldest_slow = self.marks.popleft()
            self.failures -= oldest_failed
            self.slow -= oldest_slow
        else:
            self.calls += 1
        self.marks.append((failed, slow))
        self.failures += failed
        self.slow += slow

    def clear(self) -> None:
        """Forget every call."""
        self.calls = self.failures = self.slow = 0
        self.marks.clear()

    def copy(self) -> CallWindow:
        """Return a window that goes its own way from here."""
        return replace(self, marks=self.marks.copy())


Window = TimeWindow | CallWindow


def _sum(buckets: tuple[Counts, ...]) -> Counts:
    calls, failures, slow = (sum(column) for column in zip(*buckets, strict=True))
    return calls, failures, slow
