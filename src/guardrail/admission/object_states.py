"""The states of one breaker or bulkhead rule: objects, one for each key.

Law: a state that says something (an open breaker, an occupied bulkhead) is never dropped to make room, nor is one that a
compiled plan holds on to. Callers hold the ledger's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from guardrail.admission.keyring import OVERFLOW, Keyring
from guardrail.admission.waiter import Waiter
from guardrail.core.breaker_state import BreakerState
from guardrail.core.bulkhead import Bulkhead, BulkheadState

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.core.breaker import Breaker

S = TypeVar("S")

MOST_OBJECTS = 10_000
NOTHING = (0, 0, 0, 0)


class BreakerName(NamedTuple):
    """Name one breaker, as `guard.breakers` does.

    Attributes:
        resource: What it is for, where its rule keeps one for each resource.
    """

    breaker: str
    rule: str
    resource: str | None = None


class ObjectStates(Generic[S]):
    """Keep one state object for each key, at most 10,000 of them."""

    __slots__ = ("_fresh", "_is_idle", "_pinned", "_ring", "overflowed_now", "states")

    def __init__(self, fresh: Callable[[int], S], is_idle: Callable[[S, int], bool]) -> None:
        self._fresh = fresh
        self._is_idle = is_idle
        self._ring = Keyring(MOST_OBJECTS)
        self._pinned: set[str] = set()
        self.states: dict[str, S] = {}
        self.overflowed_now = False  # set when the overflow state is first used; the ledger reports it once

    @property
    def bound(self) -> int:
        """Return how many keys have a state of their own at most."""
        return self._ring.bound

    def find(self, key: str, now_us: int) -> tuple[str, S]:
        """Return where *key* is kept and its state, which exists from the first look."""
        state = self.states.get(key)
        if state is None:
            if self._ring.room_for(self.states, lambda old: self._may_go(old, now_us), self._drop):
                self._ring.add(key, self.states)
            else:
                if not self._ring.overflowed:
                    self._ring.overflowed = self.overflowed_now = True
                key = OVERFLOW
                state = self.states.get(key)
            if state is None:
                state = self.states[key] = self._fresh(now_us)
        return key, state

    def look(self, key: str, now_us: int) -> S:
        """Return the state of *key*, or the one it would have. Nothing is kept."""
        state = self.states.get(key)
        if state is None and self._ring.overflowed:
            state = self.states.get(OVERFLOW)
        return self._fresh(now_us) if state is None else state

    def pin(self, key: str, now_us: int) -> S:
        """Find the state of *key* and never drop it: a compiled plan will hold on to it."""
        home, state = self.find(key, now_us)
        self._pinned.add(home)
        return state

    def clear(self) -> None:
        """Forget all of them, in a forked child: who holds on to one is the parent's."""
        self.states.clear()
        self._pinned.clear()
        self._ring.clear()

    def _may_go(self, key: str, now_us: int) -> bool:
        state = self.states.get(key)
        return state is None or (key not in self._pinned and self._is_idle(state, now_us))

    def _drop(self, key: str) -> None:
        self.states.pop(key, None)


class BreakerStates(ObjectStates[BreakerState]):
    """Keep the breakers of one rule.

    Attributes:
        moves: How often one of them went from one state to another.
        past: Successes, failures, slow and ignored calls of breakers that have made room.
    """

    __slots__ = ("breaker", "moves", "past")

    def __init__(self, breaker: Breaker) -> None:
        super().__init__(self._fresh_breaker, self._is_well)
        self.breaker = breaker
        self.moves: dict[tuple[str, str], int] = {}
        self.past = NOTHING

    def switch(self, breaker: Breaker) -> None:
        """Go on with other thresholds; breakers keep their state, and their window if its shape is the same."""
        old, self.breaker = self.breaker, breaker
        if old != breaker:
            for state in self.states.values():
                breaker.adopt(state, old)

    def totals(self) -> tuple[int, int, int, int]:
        """Return how many calls of all breakers ended well, failed, were slow and were ignored."""
        return _sum([self.past, *map(_totals, list(self.states.values()))])

    def follow(self, before: BreakerStates) -> None:
        """Go on counting where the breakers of the same rule left off, which had another shape."""
        self.past, self.moves = before.totals(), before.moves

    def count_from_here(self) -> None:
        """Begin all totals at 0, in a forked child: what was counted before is the parent's to tell."""
        self.moves = {}
        successes, failures, slow, ignored = _sum([_totals(state) for state in self.states.values()] or [NOTHING])
        self.past = (-successes, -failures, -slow, -ignored)

    def _drop(self, key: str) -> None:
        gone = [one for one in (self.states.pop(key, None),) if one is not None]
        self.past = _sum([self.past, *map(_totals, gone)])

    def _fresh_breaker(self, now_us: int) -> BreakerState:
        return self.breaker.fresh(now_us)

    def _is_well(self, state: BreakerState, now_us: int) -> bool:
        return self.breaker.is_idle(state, now_us)


class BulkheadStates(ObjectStates[BulkheadState[Waiter]]):
    """Keep the bulkheads of one rule."""

    __slots__ = ("bulkhead",)

    def __init__(self, bulkhead: Bulkhead) -> None:
        super().__init__(lambda _: BulkheadState(), lambda state, _: not state.in_use and not state.waiting)
        self.bulkhead = bulkhead

    def switch(self, bulkhead: Bulkhead) -> list[Waiter]:
        """Go on with another size; return the waiters that now have a place."""
        old, self.bulkhead = self.bulkhead, bulkhead
        granted = (
            [waiter for state in self.states.values() for waiter in bulkhead.resize(state)] if old != bulkhead else []
        )
        for waiter in granted:
            waiter.granted = True
        return granted


def _totals(state: BreakerState) -> tuple[int, int, int, int]:
    return state.total_successes, state.total_failures, state.total_slow, state.total_ignored


def _sum(totals: list[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    successes, failures, slow, ignored = map(sum, zip(*totals, strict=True))
    return successes, failures, slow, ignored
