"""The states of one limit rule: a single one, or one for each key.

Law: a state is read in the numbers of the limit that asks, whatever the numbers it was written in: a change of rate
rescales each state when it is first touched, and nothing is swept. Callers hold the ledger's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Protocol, TypeAlias

from guardrail.admission.keyring import OVERFLOW, Keyring
from guardrail.core.limit import Limit, State
from guardrail.core.token_bucket import TokenBucket

RETIRED_US = 1 << 200  # the time in a cell nobody may use any more: every clock is behind it
OLDER_SHELVES = 4  # earlier numbers kept apart; beyond that their states are tagged one by one

AnyLimit: TypeAlias = Limit[Any]


class Cell:
    """Hold the state of one token bucket where the compiled path can write to it."""

    __slots__ = ("debt", "last_us")

    def __init__(self, debt: int, last_us: int) -> None:
        self.debt = debt
        self.last_us = last_us


Kept: TypeAlias = Cell | State


class LimitStates(Protocol):
    """Keep the states of one limit rule."""

    limit: AnyLimit
    overflowed_now: bool  # set when the overflow state is first used; the ledger reports it once
    resets: int  # how often it was reset or given other numbers; a charge from before that is not given back

    @property
    def bound(self) -> int:
        """Return how many keys have a state of their own at most."""
        ...

    def find(self, key: str, limit: AnyLimit, now_us: int) -> tuple[str, State]:
        """Return where *key* is kept, and its state in the numbers of *limit*."""
        ...

    def put(self, home: str, limit: AnyLimit, state: State) -> None:
        """Store what `find` located, as written under *limit*."""

    def written(self, home: str) -> tuple[AnyLimit, State] | None:
        """Return the state as it stands and the limit it was written under."""

    def switch(self, limit: AnyLimit) -> None:
        """Go on with other numbers. What was used stays used."""

    def forget(self, keys: list[str] | None) -> None:
        """Forget these keys, or all."""


class OneState:
    """Keep the one state of a rule without a key."""

    __slots__ = ("_before", "kept", "limit", "overflowed_now", "resets")
    bound = 1

    def __init__(self, limit: AnyLimit, now_us: int) -> None:
        self.limit = limit
        self.overflowed_now = False
        self.resets = 0
        self.kept = keep(limit, limit.fresh(now_us))
        self._before: tuple[AnyLimit, State] | None = None  # as written under earlier numbers, until it is touched

    def find(self, key: str, limit: AnyLimit, now_us: int) -> tuple[str, State]:
        written, state = self.written(key)
        return key, state if limit == written else limit.adopt(state, written)

    def put(self, home: str, limit: AnyLimit, state: State) -> None:
        if limit != self.limit:  # a call from before a reload: it counts, in the numbers of now
            state = self.limit.adopt(state, limit)
        self._before = None
        if isinstance(self.kept, Cell):
            self.kept.debt, self.kept.last_us = state
        else:
            self.kept = state

    def written(self, home: str) -> tuple[AnyLimit, State]:
        return self._before or (self.limit, state_of(self.kept))

    def switch(self, limit: AnyLimit) -> None:
        if limit == self.limit:
            return
        self.resets += 1
        self._before = self.written("")
        retire(self.kept)
        self.limit, self.kept = limit, keep(limit, limit.fresh(0))
        retire(self.kept)

    def forget(self, keys: list[str] | None) -> None:
        self.resets += 1
        self.put("", self.limit, self.limit.fresh(0))


class KeyedStates:
    """Keep one state for each key, at most `bound` of them, in about 200 bytes each with its key."""

    __slots__ = ("_odd", "_older", "_ring", "limit", "main", "overflowed_now", "resets")

    def __init__(self, limit: AnyLimit, bound: int) -> None:
        self.limit = limit
        self.main: dict[str, Kept] = {}  # written under `limit`
        self.overflowed_now = False
        self.resets = 0
        self._odd: dict[str, tuple[AnyLimit, State]] = {}  # written under another limit each: overrides
        self._older: list[tuple[AnyLimit, dict[str, Kept]]] = []  # written under earlier numbers, newest first
        self._ring = Keyring(bound)

    @property
    def bound(self) -> int:
        """Return how many keys have a state of their own at most."""
        return self._ring.bound

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.written(key) is not None

    def __iter__(self) -> Iterator[str]:
        return chain(self.main, self._odd, *(shelf for _, shelf in self._older))

    def __len__(self) -> int:
        return len(self.main) + len(self._odd) + sum(len(shelf) for _, shelf in self._older)

    def find(self, key: str, limit: AnyLimit, now_us: int) -> tuple[str, State]:
        found = self.written(key)
        if found is None:
            if self._ring.room_for(self, lambda old: self._is_idle(old, now_us), self._drop):
                return key, limit.fresh(now_us)
            if not self._ring.overflowed:
                self._ring.overflowed = self.overflowed_now = True
            key = OVERFLOW
            found = self.written(key)
            if found is None:
                return key, limit.fresh(now_us)
        written, state = found
        return key, state if written is limit or written == limit else limit.adopt(state, written)

    def put(self, home: str, limit: AnyLimit, state: State) -> None:
        if home not in self.main and home is not OVERFLOW and home not in self:
            self._ring.add(home, self)
        if limit is self.limit or limit == self.limit:
            self.main[home] = keep(limit, state)
            if self._odd or self._older:
                self._odd.pop(home, None)
                self._drop_older(home)
        else:
            self._drop(home)
            self._odd[home] = (limit, state)

    def written(self, home: str) -> tuple[AnyLimit, State] | None:
        kept = self.main.get(home)
        if kept is not None:
            return self.limit, state_of(kept)
        tagged = self._odd.get(home)
        if tagged is not None:
            return tagged
        for limit, shelf in self._older:
            kept = shelf.get(home)
            if kept is not None:
                return limit, state_of(kept)
        return None

    def switch(self, limit: AnyLimit) -> None:
        if limit == self.limit:
            return
        self.resets += 1
        self._older.insert(0, (self.limit, self.main))
        self.main = {}  # another one even if it is empty: a closure of the earlier numbers may still hold on to it
        self.limit = limit
        self._older = [(old, shelf) for old, shelf in self._older if shelf]
        while len(self._older) > OLDER_SHELVES:
            old, shelf = self._older.pop()
            self._odd.update((key, (old, state_of(kept))) for key, kept in shelf.items())
            shelf.clear()

    def forget(self, keys: list[str] | None) -> None:
        self.resets += 1
        if keys is not None:
            for key in keys:
                if key in self:  # it keeps its room, and may be dropped like any that is full
                    self.put(key, self.limit, self.limit.fresh(0))
            return
        self.main.clear()
        self._odd.clear()
        self._older.clear()
        self._ring.clear()

    def _is_idle(self, key: str, now_us: int) -> bool:
        found = self.written(key)
        return found is None or found[0].is_idle(found[1], now_us)

    def _drop(self, key: str) -> None:
        self.main.pop(key, None)
        self._odd.pop(key, None)
        self._drop_older(key)

    def _drop_older(self, key: str) -> None:
        for _, shelf in self._older:
            shelf.pop(key, None)


def keep(limit: AnyLimit, state: State) -> Kept:
    """Return what a state is kept in."""
    if isinstance(limit, TokenBucket):
        debt, last_us = state
        return Cell(debt, last_us)
    return state


def retire(kept: Kept) -> None:
    """Send closures that hold on to this the slow way: the flow knows which numbers it is written in."""
    if isinstance(kept, Cell):
        kept.last_us = RETIRED_US


def state_of(kept: Kept) -> State:
    """Return the state that is kept."""
    return (kept.debt, kept.last_us) if isinstance(kept, Cell) else kept
