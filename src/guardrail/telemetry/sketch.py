"""The most frequent keys of a stream, in bounded memory: a space-saving sketch.

Law: a key that was counted more than `total / size` times is in it; a count is too high by at most its `error`, and
never too low. Source: Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements" (2005).
"""

from __future__ import annotations

from heapq import nlargest
from typing import NamedTuple


class Counted(NamedTuple):
    """Hold a key, how often it was counted, and by how much that may be too high."""

    key: str
    times: int
    error: int


class Sketch:
    """Count keys, keeping the most frequent ones."""

    __slots__ = ("_counts", "_errors", "_least", "_rare", "_size")

    def __init__(self, size: int = 1_000) -> None:
        self._size = size
        self._counts: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        self._least = 0  # the smallest count when it was last looked for
        self._rare: list[str] = []  # the keys that had it then; it grows, so they are looked for seldom

    def add(self, key: str, times: int = 1) -> None:
        """Count *key* this many times."""
        counts = self._counts
        if key in counts:
            counts[key] += times
        elif len(counts) < self._size:
            counts[key] = times
        else:
            self._replace(key, times)

    def top(self, most: int) -> list[Counted]:
        """Return the most frequent keys, the surest first."""
        found = (Counted(key, times, self._errors.get(key, 0)) for key, times in self._counts.items())
        return nlargest(most, found, key=lambda one: (one.times, -one.error, one.key))

    def _replace(self, key: str, times: int) -> None:
        """Let *key* take the place of a least frequent one, and its count."""
        counts = self._counts
        gone = self._rarest()
        del counts[gone]
        self._errors.pop(gone, None)
        counts[key], self._errors[key] = self._least + times, self._least

    def _rarest(self) -> str:
        while True:
            while self._rare:
                key = self._rare.pop()
                if self._counts.get(key) == self._least:
                    return key
            self._least = min(self._counts.values())
            self._rare = [key for key, times in self._counts.items() if times == self._least]
