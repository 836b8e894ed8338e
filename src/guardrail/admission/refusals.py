"""Refusals: what a store has refused lately, so that an abuser costs it nothing.

Law: a refusal is remembered for as long as the store would repeat it if nobody gave anything back, never longer: the
time of the store is taken to have begun to run when the question was sent.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.core.limit import LARGEST
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
        check: What was refused.
        state: As it stood at `now_us`, the store's time.
        sent_us: Our time when the question was sent.
        until_us: Our time at which the same question has to be asked again.
    """

    check: Check
    state: State
    now_us: int
    sent_us: int
    until_us: int

    def at(self, our_us: int) -> tuple[State, int]:
        """Return the state as it stands by now, and the store's time."""
        now_us = self.now_us + our_us - self.sent_us
        state: State = self.check.limit.at(self.state, now_us)
        return state, now_us


class Refusals:
    """Remember refusals by where the states are kept.

    Args:
        clock: The one that gives the store its time; None: it has its own, and the machine's steady clock is ours.
    """

    __slots__ = ("_known", "now_us")

    def __init__(self, clock: Clock | None) -> None:
        self.now_us: Callable[[], int] = _steady_us if clock is None else clock.now_us
        self._known: dict[str, Refusal] = {}

    def note(self, check: Check, state: State, now_us: int, retry_after_us: int | None, sent_us: int) -> None:
        """Remember that *state* left no room for *check*."""
        known = self._known
        if len(known) >= MOST_REFUSALS and check.key not in known:
            known.pop(next(iter(known), ""), None)
        until_us = LARGEST if retry_after_us is None else sent_us + retry_after_us
        known[check.key] = Refusal(check, state, now_us, sent_us, until_us)

    def recall(self, place: str, limit: Limit[Any], cost: int, max_wait_us: int, our_us: int) -> Refusal | None:
        """Return the refusal that answers such a call at *our_us*; None: it has to be asked.

        It answers calls that cost as much or more, and wait as long or less.
        """
        found = self._known.get(place)
        if found is None:
            return None
        if not found.sent_us <= our_us < found.until_us:  # before: the clock has stepped back, it does not outlive that
            self.drop(place)
            return None
        check = found.check
        if cost < check.cost or max_wait_us > check.max_wait_us or (limit is not check.limit and limit != check.limit):
            return None
        if cost > check.cost and isinstance(limit, SlidingLog):  # the store told only what this one cost needs to know
            return None
        return found

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


def _steady_us() -> int:
    return time.monotonic_ns() // 1000
