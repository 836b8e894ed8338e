"""The most frequent keys of a stream, in bounded memory: a space-saving sketch.

Law: a key that was counted more than `total / size` times is in it; a count is too high by at most its `error`, and
never too low, and no error is above `total / size`. Source: Metwally, Agrawal, El Abbadi, "Efficient computation of
frequent and top-k elements" (2005).
"""

from __future__ import annotations

from heapq import heapify, heapreplace, nlargest
from typing import NamedTuple


class Counted(NamedTuple):
    """Hold a key, how often it was counted, and by how much that may be too high."""

    key: str
    times: int
    error: int


class Sketch:
    """Count keys, keeping the most frequent ones. One writer at a time; it can be read meanwhile, from any thread."""

    __slots__ = ("_counts", "_errors", "_rarest", "_size")

    def __init__(self, size: int = 1_000) -> None:
        self._size = size
        self._counts: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        self._rarest: list[tuple[int, str]] = []  # a heap of all keys with counts they once had, from when it is full

    def add(self, key: str, times: int = 1) -> None:
        """Count *key* this many times, at least once."""
        counts = self._counts
        if key in counts:
            counts[key] += times
        elif len(counts) < self._size:
            counts[key] = times
        else:
            self._replace(key, times)

    def top(self, most: int) -> list[Counted]:
        """Return the most frequent keys, the surest first."""
        counts, errors = self._counts.copy(), self._errors.copy()
        found = (Counted(key, times, errors.get(key, 0)) for key, times in counts.items())
        return nlargest(most, found, key=lambda one: (one.times, -one.error, one.key))

    def _replace(self, key: str, times: int) -> None:
        """Let *key* take the place of a least frequent one, and its count."""
        counts, heap = self._counts, self._rarest
        if not heap:
            heap += [(count, known) for known, count in counts.items()]
            heapify(heap)
        least, gone = heap[0]
        while counts[gone] != least:  # it was counted since; each time that happened pays for one turn of this
            heapreplace(heap, (counts[gone], gone))
            least, gone = heap[0]
        del counts[gone]
        self._errors.pop(gone, None)
        self._errors[key], counts[key] = least, least + times
        heapreplace(heap, (least + times, key))
