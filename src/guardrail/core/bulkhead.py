"""Bulkhead: at most so many calls inside at once, the others in a row.

Law: no call is let in while `max_concurrent` or more are inside, and nobody waits while fewer are; a place that comes
free goes to whoever has waited longest, those who slept for a limit before those who have just arrived.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

W = TypeVar("W", bound=Hashable)


@dataclass(slots=True)
class BulkheadState(Generic[W]):
    """Hold who is inside (a number) and who waits (in order, oldest first).

    A waiter is whatever hashable the caller wakes it by; None is not one. While nobody waits, entering is
    `in_use += 1` and leaving `in_use -= 1`, and callers may inline both.

    Attributes:
        returning: Those who gave their place back to sleep for a limit. They go first.
        arriving: Everybody else.
    """

    in_use: int = 0
    returning: OrderedDict[W, None] = field(default_factory=OrderedDict)
    arriving: OrderedDict[W, None] = field(default_factory=OrderedDict)

    @property
    def waiting(self) -> int:
        """Return how many wait."""
        return len(self.returning) + len(self.arriving)


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """Let in *max_concurrent* at once and keep *max_queue* waiting; None: as many as come.

    One lock has to be held around every method; none waits, raises or calls out.

    Raises:
        ValueError: A number is below 1.
    """

    max_concurrent: int
    max_queue: int | None = None

    def __post_init__(self) -> None:
        if self.max_concurrent < 1:
            raise ValueError(f"max_concurrent must be at least 1, got {self.max_concurrent}")
        if self.max_queue is not None and self.max_queue < 1:
            raise ValueError(f"max_queue must be at least 1, got {self.max_queue}; without max_wait nobody waits")

    def take(self, state: BulkheadState[W]) -> bool:
        """Take a free place; False where there is none, or where somebody waits for it."""
        if state.in_use >= self.max_concurrent or state.waiting:
            return False
        state.in_use += 1
        return True

    def queue(self, state: BulkheadState[W], waiter: W, returning: bool) -> bool:
        """Put *waiter*, for whom `take` has just found no place, at the end of its row; False: the row is full.

        Somebody who returns is never refused: it had a place already.
        """
        if returning:
            state.returning[waiter] = None
            return True
        if self.max_queue is not None and state.waiting >= self.max_queue:
            return False
        state.arriving[waiter] = None
        return True

    def release(self, state: BulkheadState[W]) -> W | None:
        """Give back one place; return the waiter that has it now, or None: it is free, or gone with a shrinking.

        A waiter that cannot use the place it was given passes it on by releasing it.
        """
        state.in_use -= 1
        return self._grant(state)

    def leave(self, state: BulkheadState[W], waiter: W) -> bool:
        """Stop waiting; False: *waiter* does not wait any more, so that it may have been given a place."""
        for row in (state.returning, state.arriving):
            if waiter in row:
                del row[waiter]
                return True
        return False

    def resize(self, state: BulkheadState[W]) -> list[W]:
        """Fill the places that this bulkhead has more than the one before; return the waiters that have them now.

        Where it has fewer, nobody is thrown out: places are not given again until enough calls have left.
        """
        granted: list[W] = []
        while (waiter := self._grant(state)) is not None:
            granted.append(waiter)
        return granted

    def view(self, state: BulkheadState[W]) -> int:
        """Return how many places are free; never below 0."""
        return max(0, self.max_concurrent - state.in_use)

    def _grant(self, state: BulkheadState[W]) -> W | None:
        row = state.returning or state.arriving
        if not row or state.in_use >= self.max_concurrent:
            return None
        state.in_use += 1
        waiter, _ = row.popitem(last=False)
        return waiter
