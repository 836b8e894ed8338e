"""The states of one limit rule: a single one, or one for each key.

Law: a state is read in the numbers of the limit that asks, whatever the numbers it was written in: a change of rate
rescales each state when it is first touched, and nothing is swept. Callers hold the ledger's lock.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from guardrail.admission.keyring import OVERFLOW, Keyring
from guardrail.core.limit import Limit, State
from guardrail.core.token_bucket import TokenBucket

DEBT_BITS = 53  # a debt stays below 2^53, as on Redis
DEBT_MASK = (1 << DEBT_BITS) - 1
RETIRED = 1 << 200  # the time in a cell nobody may use any more: every clock is behind it
OLDER_SHELVES = 4  # earlier numbers kept apart; beyond that their states are tagged one by one

AnyLimit: TypeAlias = Limit[Any]
Packed: TypeAlias = "int | State"


class LimitStates(Protocol):
    """Keep the states of one limit rule."""

    limit: AnyLimit
    overflowed_now: bool  # set when the overflow state is first used; the ledger reports it once

    @property
    def bound(self) -> int:
        """Return how many keys have a state of their own at most."""

    def find(self, key: str, limit: AnyLimit, now_us: int) -> tuple[str, State]:
        """Return where *key* is kept, and its state in the numbers of *limit*."""

    def put(self, home: str, limit: AnyLimit, state: State) -> None:
        """Store what `find` located, as written under *limit*."""

    def written(self, home: str) -> tuple[AnyLimit, State] | None:
        """Return the state as it stands and the limit it was written under."""

    def switch(self, limit: AnyLimit) -> None:
        """Go on with other numbers. What was used stays used."""

    def forget(self, keys: list[str] | None) -> None:
        """Forget these keys, or all."""


class OneState:
    """Keep the one state of a rule without a key, in a list that the compiled path writes to."""

    __slots__ = ("cell", "limit", "overflowed_now")
    bound = 1

    def __init__(self, limit: AnyLimit, now_us: int) -> None:
        self.limit = limit
        self.overflowed_now = False
        self.cell = list(limit.fresh(now_us))

    def find(self, key: str, limit: AnyLimit, now_us: int) -> tuple[str, State]:
        state = tuple(self.cell)
        return key, state if limit == self.limit else limit.adopt(state, self.limit)

    def put(self, home: str, limit: AnyLimit, state: State) -> None:
        # another limit is that of a call from before a reload: it counts, in the numbers of now
        self.cell[:] = state if limit == self.limit else self.limit.adopt(state, limit)

    def written(self, home: str) -> tuple[AnyLimit, State] | None:
        return self.limit, tuple(self.cell)

    def switch(self, limit: AnyLimit) -> None:
        if limit == self.limit:
            return
        retired, self.cell = self.cell, list(limit.adopt(tuple(self.cell), self.limit))
        self.limit = limit
        retired[:] = (RETIRED, RETIRED)  # a closure of the earlier rules that still holds it takes the slow path

    def forget(self, keys: list[str] | None) -> None:
        self.cell[:] = self.limit.fresh(0)


class KeyedStates:
    """Keep one state for each key, at most `bound` of them, as compactly as Python can."""

    __slots__ = ("_odd", "_older", "_ring", "limit", "main", "overflowed_now")

    def __init__(self, limit: AnyLimit, bound: int) -> None:
        self.limit = limit
        self.main: dict[str, Packed] = {}  # written under `limit`
        self.overflowed_now = False
        self._odd: dict[str, tuple[AnyLimit, State]] = {}  # written under another limit each: overrides
        self._older: list[tuple[AnyLimit, dict[str, Packed]]] = []  # written under earlier numbers, newest first
        self._ring = Keyring(bound)

    @property
    def bound(self) -> int:
        """Return how many keys have a state of their own at most."""
        return self._ring.bound

    def __len__(self) -> int:
        return len(self.main) + len(self._odd) + sum(len(shelf) for _, shelf in self._older)

    def find(self, key: str, limit: AnyLimit, now_us: int) -> tuple[str, State]:
        found = self.written(key)
        if found is None:
            if self._ring.room_for(key, lambda old: self._is_idle(old, now_us), self._drop):
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
        if limit is self.limit or limit == self.limit:
            self.main[home] = pack(limit, state)
            if self._odd or self._older:
                self._odd.pop(home, None)
                self._drop_older(home)
        else:
            self._drop(home)
            self._odd[home] = (limit, state)

    def written(self, home: str) -> tuple[AnyLimit, State] | None:
        packed = self.main.get(home)
        if packed is not None:
            return self.limit, unpack(packed)
        tagged = self._odd.get(home)
        if tagged is not None:
            return tagged
        for limit, shelf in self._older:
            packed = shelf.get(home)
            if packed is not None:
                return limit, unpack(packed)
        return None

    def switch(self, limit: AnyLimit) -> None:
        if limit == self.limit:
            return
        if self.main:
            self._older.insert(0, (self.limit, self.main))
            self.main = {}
        self.limit = limit
        self._older = [(old, shelf) for old, shelf in self._older if shelf]
        while len(self._older) > OLDER_SHELVES:
            old, shelf = self._older.pop()
            self._odd.update((key, (old, unpack(packed))) for key, packed in shelf.items())

    def forget(self, keys: list[str] | None) -> None:
        if keys is not None:
            for key in keys:
                self._drop(key)
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


def pack(limit: AnyLimit, state: State) -> Packed:
    """Write a token bucket's state as one integer: 48 bytes instead of 128, and nothing for the collector to visit."""
    if isinstance(limit, TokenBucket):
        debt, last_us = state
        return last_us << DEBT_BITS | min(debt, DEBT_MASK)
    return state


def unpack(packed: Packed) -> State:
    """Return the state that `pack` wrote."""
    if isinstance(packed, int):
        return packed & DEBT_MASK, packed >> DEBT_BITS
    return packed
