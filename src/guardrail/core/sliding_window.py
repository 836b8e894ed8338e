"""Sliding window: never more than the limit, wherever one begins to count.

Law: no span of `window_us` ever admits more than `limit`. The price: capacity comes back up to a tenth of the window late.

The window is cut into ten sub-windows with a counter each, and every counter counts whose sub-window touches it: eleven.
The state is (index, count, index, count, ...), oldest first: only counters above 0 that still count. When in its
sub-window something was charged is not known; where it matters, each law takes the worst case.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import Self

from guardrail.core.limit import ALLOWED, TOO_LARGE, Charge, Ruling, State, ceil_div, check_whole, refused

SUB_WINDOWS = 10


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """Let in at most *limit* in any *window_us*.

    Attributes:
        sub_us: The length of a sub-window.

    Raises:
        ValueError: A number is below 1, or 2**53 and above.
    """

    limit: int
    window_us: int
    sub_us: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_whole("limit", self.limit)
        check_whole("window_us", self.window_us)
        object.__setattr__(self, "sub_us", ceil_div(self.window_us, SUB_WINDOWS))

    @property
    def capacity(self) -> int:
        return self.limit

    @property
    def refill_us(self) -> int:
        return self.window_us

    @property
    def max_wait_us(self) -> int:
        return 0

    def fresh(self, now_us: int) -> State:
        return ()

    def at(self, state: State, now_us: int) -> State:
        index = now_us // self.sub_us
        if self.is_ahead(state, now_us):
            # time has stood still since the newest charge: in its sub-window's first microsecond, at the earliest
            state = self._placed(state, self.sub_us, now_us - state[-2] * self.sub_us, index)
        first = 0
        while first < len(state) and state[first] < index - SUB_WINDOWS:
            first += 2
        return state[first:]

    def is_ahead(self, state: State, now_us: int) -> bool:
        return bool(state) and now_us // self.sub_us < state[-2]

    def is_idle(self, state: State, now_us: int) -> bool:
        return not self.at(state, now_us)

    def ask(self, state: State, now_us: int, cost: int, max_wait_us: int) -> Ruling:
        if cost == 0:
            return ALLOWED
        if cost > self.limit:
            return TOO_LARGE
        excess = sum(state[1::2]) + cost - self.limit
        if excess <= 0:
            return ALLOWED
        leaving = 0
        while excess > 0:
            excess -= state[leaving + 1]
            leaving += 2
        return refused(self._gone_us(state[leaving - 2]) - now_us)

    def charge(self, state: State, now_us: int, cost: int) -> State:
        if cost == 0:
            return state
        index = now_us // self.sub_us
        if state and state[-2] == index:
            return (*state[:-1], state[-1] + cost)
        return (*state, index, cost)

    def give_back(self, state: State, now_us: int, cost: int, charge: Charge) -> State:
        index = charge.at_us // self.sub_us
        place = 2 * bisect_left(state[::2], index)
        if now_us >= self._gone_us(index) or state[place : place + 1] != (index,):
            return state
        count = state[place + 1] - cost
        return (*state[:place], *((index, count) if count > 0 else ()), *state[place + 2 :])

    def view(self, state: State, now_us: int) -> tuple[int, int]:
        reset_after_us = self._gone_us(state[-2]) - now_us if state else 0
        return max(0, self.limit - sum(state[1::2])), reset_after_us

    def share(self, count: int) -> Self:
        return replace(self, limit=max(1, self.limit // count))

    def adopt(self, state: State, old: Self) -> State:
        if self.sub_us == old.sub_us or not state:
            return state
        begun_us = state[-2] * old.sub_us
        newest = (begun_us + old.sub_us - 1) // self.sub_us
        # if that is still to come, `at` takes it for a clock that stepped back, and moves all by up to this much
        moved_us = max(0, newest * self.sub_us - begun_us)
        return self._placed(state, old.sub_us, moved_us, newest)

    def _gone_us(self, index: int) -> int:
        """Return the first microsecond at which the counter does not count any more."""
        return (index + SUB_WINDOWS + 1) * self.sub_us

    def _placed(self, state: State, sub_us: int, by_us: int, newest: int) -> State:
        """Move all by *by_us*: each counter to where its last microsecond comes to lie, none beyond *newest*."""
        counts: dict[int, int] = {}
        for index, count in zip(state[::2], state[1::2], strict=True):
            place = min(newest, ((index + 1) * sub_us - 1 + by_us) // self.sub_us)
            counts[place] = counts.get(place, 0) + count
        return tuple(number for counter in counts.items() for number in counter)
