"""Fixed window: a counter that starts again with every window.

Law: at most `limit` are admitted in each window, which begin at the multiples of `window_us`. Around an edge that is up to
twice the limit in a short time; a sliding window never lets that happen.

The state is (window, count).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from guardrail.core.limit import ALLOWED, TOO_LARGE, Charge, Ruling, check_whole, refused

CounterState: TypeAlias = tuple[int, int]  # window, count


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """Let in at most *limit* in each window of *window_us*.

    Raises:
        ValueError: A number is below 1, or 2**53 and above.
    """

    limit: int
    window_us: int

    def __post_init__(self) -> None:
        check_whole("limit", self.limit)
        check_whole("window_us", self.window_us)

    @property
    def capacity(self) -> int:
        return self.limit

    @property
    def refill_us(self) -> int:
        return self.window_us

    @property
    def max_wait_us(self) -> int:
        return 0

    def fresh(self, now_us: int) -> CounterState:
        return now_us // self.window_us, 0

    def at(self, state: CounterState, now_us: int) -> CounterState:
        window, count = state
        index = now_us // self.window_us
        return index, count if index <= window else 0

    def is_ahead(self, state: CounterState, now_us: int) -> bool:
        return now_us // self.window_us < state[0]

    def is_idle(self, state: CounterState, now_us: int) -> bool:
        return self.at(state, now_us)[1] == 0

    def ask(self, state: CounterState, now_us: int, cost: int, max_wait_us: int) -> Ruling:
        if cost == 0:
            return ALLOWED
        if cost > self.limit:
            return TOO_LARGE
        window, count = state
        if count + cost <= self.limit:
            return ALLOWED
        return refused(self._gone_us(window) - now_us)

    def charge(self, state: CounterState, now_us: int, cost: int) -> CounterState:
        window, count = state
        return window, count + cost

    def give_back(self, state: CounterState, now_us: int, cost: int, charge: Charge) -> CounterState:
        window, count = state
        if now_us // self.window_us != charge.state[0]:
            return state
        return window, max(0, count - cost)

    def view(self, state: CounterState, now_us: int) -> tuple[int, int]:
        window, count = state
        return max(0, self.limit - count), self._gone_us(window) - now_us if count else 0

    def share(self, count: int) -> Self:
        return replace(self, limit=max(1, self.limit // count))

    def adopt(self, state: CounterState, old: Self) -> CounterState:
        window, count = state
        return (old._gone_us(window) - 1) // self.window_us, count

    def _gone_us(self, window: int) -> int:
        """Return the first microsecond of the next window."""
        return (window + 1) * self.window_us
