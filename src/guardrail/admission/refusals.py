"""Refusals: what a store has refused lately, so that an abuser costs it nothing.

Law: a refusal is remembered for as long as the store would repeat it if nobody gave anything back, never longer: the
time of the store is taken to have begun to run when the question was sent.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.core.sliding_log import SlidingLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.clock import Clock
    from guardrail.core.limit import Limit, State
    from guardrail.stores.protocol import Check

MOST_REFUSALS = 10_000


class Refusal(NamedTuple):
    """Hold one state that left no room.

    Attributes:
        now_us: The store's time, and `sent_us` ours, when it was looked at.
        cost: What was refused.
    """

    limit: Limit[Any]
    state: State
    now_us: int
    sent_us: int
    cost: int


class Refusals:
    """Remember refusals by where the states are kept.

    Args:
        clock: The one that gives the store its time; None: it has its own, and the machine's steady clock is ours.
    """

    __slots__ = ("_known", "now_us", "sent_us")

    def __init__(self, clock: Clock | None) -> None:
        self.now_us: Callable[[], int] = _steady_us if clock is None else clock.now_us
        self._known: dict[str, Refusal] = {}

    def note(self, place: str, limit: Limit[Any], state: State, now_us: int, cost: int, sent_us: int) -> None:
        """Remember that *state* left no room for *cost*."""
        known = self._known
        if len(known) >= MOST_REFUSALS and place not in known:
            del known[next(iter(known))]
        known[place] = Refusal(limit, state, now_us, sent_us, cost)

    def recall(self, check: Check) -> tuple[State, int] | None:
        """Return the state that leaves no room for *check*, and the store's time by now; None: nobody knows."""
        found = self._known.get(check.key)
        if found is None:
            return None
        if not _tells(found, check):
            return None
        passed_us = self.now_us() - found.sent_us
        if passed_us >= 0:  # else the clock has stepped back, and a refusal does not outlive that
            now_us = found.now_us + passed_us
            state = found.limit.at(found.state, now_us)
            if not found.limit.ask(state, now_us, check.cost, check.max_wait_us).allowed:
                return state, now_us
        self.drop(check.key)
        return None

    def drop(self, place: str) -> None:
        """Forget what was refused there: something has been given back, or forgotten."""
        self._known.pop(place, None)

    def drop_rule(self, rule: str) -> None:
        """Forget what was refused by one rule."""
        for place in [place for place in list(self._known) if place.endswith(f"}}:{rule}")]:
            self.drop(place)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()


def _tells(found: Refusal, check: Check) -> bool:
    """Tell whether a refusal says anything of another call: one that costs less may be let in.

    Of a log, the store tells only what a call of one cost needs to know.
    """
    if check.cost < found.cost or found.limit != check.limit:
        return False
    return check.cost == found.cost or not isinstance(found.limit, SlidingLog)


def _steady_us() -> int:
    return time.monotonic_ns() // 1000
