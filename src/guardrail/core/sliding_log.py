"""Sliding log: the exact one, which remembers when each unit was taken.

Law: no span of `window_us` ever admits more than `limit`, and each unit comes back exactly `window_us` after it was taken.
The price: memory grows with the limit, which is why that ends at 10,000.

The state is (time, units, time, units, ...), oldest first: only what still counts.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Self

from guardrail.core.limit import ALLOWED, TOO_LARGE, Charge, Ruling, State, check_whole, refused

MOST_UNITS = 10_000


@dataclass(frozen=True, slots=True)
class SlidingLog:
    """Let in at most *limit* in any *window_us*, to the microsecond.

    Raises:
        ValueError: A number is below 1, the limit above 10,000, or the window 2**53 us and above.
    """

    limit: int
    window_us: int

    def __post_init__(self) -> None:
        check_whole("limit", self.limit, most=MOST_UNITS)
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

    def fresh(self, now_us: int) -> State:
        return ()

    def at(self, state: State, now_us: int) -> State:
        if self.is_ahead(state, now_us):
            step_us = state[-2] - now_us
            state = tuple(number if place % 2 else number - step_us for place, number in enumerate(state))
        return state[_first_after(state, now_us - self.window_us) :]

    def is_ahead(self, state: State, now_us: int) -> bool:
        return bool(state) and now_us < state[-2]

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
        return refused(state[leaving - 2] + self.window_us - now_us)

    def charge(self, state: State, now_us: int, cost: int) -> State:
        if cost == 0:
            return state
        if state and state[-2] == now_us:
            return (*state[:-1], state[-1] + cost)
        return (*state, now_us, cost)

    def give_back(self, state: State, now_us: int, cost: int, charge: Charge) -> State:
        place = _first_after(state, charge.at_us - 1)
        if now_us >= charge.at_us + self.window_us or state[place : place + 1] != (charge.at_us,):
            return state
        units = state[place + 1] - cost
        return (*state[:place], *((charge.at_us, units) if units > 0 else ()), *state[place + 2 :])

    def view(self, state: State, now_us: int) -> tuple[int, int]:
        reset_after_us = state[-2] + self.window_us - now_us if state else 0
        return max(0, self.limit - sum(state[1::2])), reset_after_us

    def share(self, count: int) -> Self:
        return replace(self, limit=max(1, self.limit // count))

    def adopt(self, state: State, old: Self) -> State:
        return state


def _first_after(state: State, time_us: int) -> int:
    """Return where the first entry later than *time_us* stands."""
    return 2 * bisect_right(range(len(state) // 2), time_us, key=lambda entry: state[2 * entry])
