"""What limits should say, in real numbers and by recounting everything: written from the design's prose, not from the code.

Times are whole microseconds, tokens are fractions. Nothing here is meant to be fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import accumulate
from math import ceil, floor

Event = tuple[int, int]  # when, how much


class RealBucket:
    """A bucket that holds a real number of tokens. Below empty, they are owed to those who wait."""

    def __init__(self, amount: int, period_us: int, burst: int, max_wait_us: int = 0, now_us: int = 0) -> None:
        self.rate = Fraction(amount, period_us)  # tokens per microsecond
        self.burst = burst
        self.max_wait_us = max_wait_us
        self.written = Fraction(burst)
        self.written_us = now_us

    def tokens(self, now_us: int) -> Fraction:
        """A clock that stepped back stood still."""
        return min(Fraction(self.burst), self.written + max(0, now_us - self.written_us) * self.rate)

    def move(self, now_us: int) -> None:
        self.written, self.written_us = self.tokens(now_us), now_us

    def wait_us(self, now_us: int, cost: int) -> int | None:
        """How long until there are enough tokens; None: never."""
        if cost == 0:
            return 0
        if cost > self.burst:
            return None
        return max(0, ceil((cost - self.tokens(now_us)) / self.rate))

    def retry_after_us(self, now_us: int, cost: int) -> int | None:
        wait_us = self.wait_us(now_us, cost)
        return None if wait_us is None or wait_us <= self.max_wait_us else wait_us - self.max_wait_us

    def allows(self, now_us: int, cost: int) -> bool:
        wait_us = self.wait_us(now_us, cost)
        return wait_us is not None and wait_us <= self.max_wait_us

    def take(self, now_us: int, cost: int) -> None:
        self.move(now_us)
        self.written -= cost

    def remaining(self, now_us: int) -> int:
        return max(0, floor(self.tokens(now_us)))

    def reset_after_us(self, now_us: int) -> int:
        return ceil((self.burst - self.tokens(now_us)) / self.rate)


class Recount:
    """Every call that was ever admitted, and a rule that says which of them still count."""

    max_wait_us = 0

    def __init__(self, limit: int, horizon_us: int, counts: Callable[[int, int], bool]) -> None:
        self.limit = limit
        self.horizon_us = horizon_us  # after this long nothing counts any more
        self.counts = counts  # does what was taken at a time count at another?
        self.taken: list[Event] = []

    def used(self, now_us: int) -> int:
        return sum(cost for at_us, cost in self.taken if self.counts(at_us, now_us))

    def move(self, now_us: int) -> None:
        """A clock that stepped back behind the newest call stood still since: all calls move with it."""
        step_us = max((at_us for at_us, _ in self.taken), default=now_us) - now_us
        if step_us > 0:
            self.taken = [(at_us - step_us, cost) for at_us, cost in self.taken]

    def allows(self, now_us: int, cost: int) -> bool:
        return cost == 0 or self.used(now_us) + cost <= self.limit

    def wait_us(self, now_us: int, cost: int) -> int | None:
        return 0 if self.allows(now_us, cost) else None

    def retry_after_us(self, now_us: int, cost: int) -> int | None:
        if cost > self.limit or self.allows(now_us, cost):
            return None
        return self._first(now_us, lambda later_us: self.allows(later_us, cost))

    def take(self, now_us: int, cost: int) -> None:
        self.taken.append((now_us, cost))

    def remaining(self, now_us: int) -> int:
        return max(0, self.limit - self.used(now_us))

    def reset_after_us(self, now_us: int) -> int:
        return self._first(now_us, lambda later_us: self.used(later_us) == 0)

    def _first(self, now_us: int, holds: Callable[[int], bool]) -> int:
        """The first time from now on at which it holds, found by halving: whatever leaves never comes back."""
        low, high = 0, self.horizon_us
        assert holds(now_us + high)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(now_us + middle) else (middle + 1, high)
        return low


def exact_log(limit: int, window_us: int) -> Recount:
    """A call counts for exactly the window."""
    return Recount(limit, window_us, lambda at_us, now_us: now_us - window_us < at_us)


def touched_sub_windows(limit: int, window_us: int) -> Recount:
    """A call counts while its sub-window, a tenth of the window rounded up, touches the ten before now's or is now's."""
    tenth_us = ceil(Fraction(window_us, 10))
    return Recount(limit, 11 * tenth_us, lambda at_us, now_us: now_us // tenth_us - at_us // tenth_us <= 10)


def same_window(limit: int, window_us: int) -> Recount:
    """A call counts until its window ends."""
    return Recount(limit, window_us, lambda at_us, now_us: at_us // window_us == now_us // window_us)


def most_over(events: Iterable[Event], bound: Callable[[int], int]) -> int:
    """By how much the worst of all spans exceeds its bound, given how long it is from its first event to its last."""
    ordered = sorted(events)
    sums = [0, *accumulate(cost for _, cost in ordered)]
    return max(
        (
            sums[last + 1] - sums[first] - bound(ordered[last][0] - ordered[first][0])
            for first in range(len(ordered))
            for last in range(first, len(ordered))
        ),
        default=0,
    )


def bucket_bound(amount: int, period_us: int, burst: int, slack_us: int = 0) -> Callable[[int], int]:
    """What a token bucket admits in a span at most."""
    return lambda span_us: burst + floor(Fraction(amount, period_us) * (span_us + slack_us))


def window_bound(limit: int, window_us: int, total: int) -> Callable[[int], int]:
    """What a window admits at most in a span: two calls exactly one window apart are in no common one."""
    return lambda span_us: limit if span_us < window_us else total
