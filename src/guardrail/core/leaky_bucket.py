"""Leaky bucket: one call after the other, evenly spaced, the others in a row.

Law: calls start at least `period_us / amount` apart, but for the fraction by which a start is rounded up to a whole
microsecond, and the roundings do not add up: the n-th of a row starts n times that after the first, rounded up.

It is the token bucket with burst 1 whose callers wait.
"""

from __future__ import annotations

from typing import Self

from guardrail.core.token_bucket import TokenBucket


class LeakyBucket(TokenBucket):
    """Start *amount* calls per *period_us*, each after at most *max_wait_us*.

    Raises:
        ValueError: As for a token bucket, and where nobody may wait.
    """

    __slots__ = ()

    def __init__(self, amount: int, period_us: int, max_wait_us: int) -> None:
        if max_wait_us < 1:
            raise ValueError(
                f"max_wait_us must be at least 1, got {max_wait_us}; in a leaky bucket calls wait their turn"
            )
        super().__init__(amount, period_us, 1, max_wait_us)

    def _slowed(self, count: int) -> Self:
        return type(self)(self.amount, self.period_us * count, self.max_wait_us)
