"""Keyring: which keys of a rule hold a state of their own, and which make room for others.

Law: never more than `bound` keys, and only a state that carries no information makes room. Each new key looks at a few
old ones in turn (the clock algorithm of page replacement), so there is no sweep and no background thread.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container

OVERFLOW = f"\0overflow {os.urandom(16).hex()}"  # the state that further keys share; nobody can send a key that is this
LOOKS = 2  # old keys looked at for each new one: more than one, so that what is idle shrinks
LOOKS_WHEN_FULL = 16


class Keyring:
    """Hand out room for new keys. Callers hold the ledger's lock, or are the only ones."""

    __slots__ = ("_hand", "_keys", "bound", "overflowed")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.overflowed = False
        self._keys: list[str] | None = None  # listed once there are many: until then nobody has to make room
        self._hand = 0

    def room_for(self, held: Collection[str], is_idle: Callable[[str], bool], forget: Callable[[str], None]) -> bool:
        """Make room for one more key; False: all that were looked at are in use and the bound is reached.

        The room stays until a key is added: what is asked for and then charges nothing takes none.

        Args:
            held: The keys that have a state.
            is_idle: Tells whether a key's state carries no information (or is gone already).
            forget: Drops a key's state.
        """
        keys = self._keys
        if keys is None:
            if len(held) < self.bound // 2:
                return True
            keys = self._keys = list(held)
        full = len(keys) >= self.bound
        for _ in range(min(LOOKS_WHEN_FULL if full else LOOKS, len(keys))):
            old = keys[self._hand]
            if is_idle(old):
                forget(old)
                return True
            self._hand = (self._hand + 1) % len(keys)
        return not full

    def add(self, key: str, held: Container[str]) -> None:
        """Give the room that was made to *key*, which is about to have a state."""
        keys = self._keys
        if keys is None:
            return
        if keys and keys[self._hand] not in held:
            keys[self._hand] = key
            self._hand = (self._hand + 1) % len(keys)
        else:
            keys.append(key)

    def clear(self) -> None:
        """Forget all keys."""
        self._keys = None
        self._hand = 0
        self.overflowed = False
