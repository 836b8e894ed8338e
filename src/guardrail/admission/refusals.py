"""Refusals: what a store has refused lately, so that an abuser costs it nothing.

Law: a refusal is remembered for as long as the store would repeat it if nobody gave anything back, never longer: the
time of the store is taken to have begun to run when the question was sent. A call that has to ask all the same may move
the state, so what was known of it until then is forgotten.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.core.limit import LARGEST
from guardrail.core.sliding_log import SlidingLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.clock import Clock
    from guardrail.core.limit import Limit, State
    from guardrail.stores.protocol import Check

MOST_REFUSALS = 10_000
MARKS = 256  # places share them; one that has been renewed for another place costs a question more


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

    def answers(self, limit: Limit[Any], cost: int, max_wait_us: int, our_us: int) -> bool:
        """Tell whether such a call would be refused at *our_us* as well."""
        check = self.check
        if not self.sent_us <= our_us < self.until_us:  # before: the clock has stepped back, it does not outlive that
            return False
        if cost < check.cost or max_wait_us > check.max_wait_us or (limit is not check.limit and limit != check.limit):
            return False
        # of a log, the store tells only what a call of this one cost needs to know
        return cost == check.cost or not isinstance(limit, SlidingLog)

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

    __slots__ = ("_known", "_marks", "now_us")

    def __init__(self, clock: Clock | None) -> None:
        self.now_us: Callable[[], int] = _steady_us if clock is None else clock.now_us
        self._known: dict[str, Refusal] = {}
        self._marks = [object() for _ in range(MARKS)]

    def mark(self, place: str) -> object:
        """Return what is another object once something has been given back or forgotten there."""
        return self._marks[hash(place) % MARKS]

    def note(
        self,
        check: Check,
        state: State,
        now_us: int,
        retry_after_us: int | None,
        sent_us: int,
        mark: object,
    ) -> None:
        """Remember that *state* left no room for *check*.

        Args:
            mark: That of the place when the question was sent: if it is another one by now, the answer may be older than
                what has been given back, and is not remembered.
        """
        if retry_after_us is None and isinstance(check.limit, SlidingLog):
            return  # the store told nothing of when its units leave, as it does where that matters
        known, place = self._known, check.key
        if len(known) >= MOST_REFUSALS and place not in known:
            with suppress(RuntimeError):  # another thread forgets some meanwhile, so there is room
                known.pop(next(iter(known), ""), None)
        until_us = LARGEST if retry_after_us is None else sent_us + retry_after_us
        known[place] = Refusal(check, state, now_us, sent_us, until_us)
        if mark is not self.mark(place):  # looked at last: whoever drops renews the mark first
            known.pop(place, None)

    def recall(self, place: str, limit: Limit[Any], cost: int, max_wait_us: int, our_us: int) -> Refusal | None:
        """Return the refusal that answers such a call at *our_us*; None: it has to be asked.

        It answers calls that cost as much or more, and wait as long or less.
        """
        found = self._known.get(place)
        if found is None:
            return None
        if not found.answers(limit, cost, max_wait_us, our_us):
            self._known.pop(place, None)
            return None
        return found

    def drop(self, place: str) -> None:
        """Forget what was refused there, or is about to be: something has been given back, or charged after the fact."""
        self._marks[hash(place) % MARKS] = object()
        self._known.pop(place, None)

    def drop_rule(self, rule: str) -> None:
        """Forget what was refused by one rule, or is about to be."""
        self._marks[:] = [object() for _ in range(MARKS)]
        for place in list(self._known):
            if place.endswith(f"}}:{rule}"):
                self._known.pop(place, None)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()


def _steady_us() -> int:
    return time.monotonic_ns() // 1000
