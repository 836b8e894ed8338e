"""Keyring: which keys of a rule hold a state of their own, and which make room for others.

Law: never more than `bound` keys, and only a state that carries no information makes room. Each new key looks at a few
old ones in turn (the clock algorithm of page replacement), so there is no sweep and no background thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OVERFLOW = "\0overflow"  # the state that further keys share; no key is ever encoded to this
LOOKS = 2  # old keys looked at for each new one: more than one, so that what is idle shrinks
LOOKS_WHEN_FULL = 16


class Keyring:
    """Hand out room for new keys. Callers hold the ledger's lock."""

    __slots__ = ("_hand", "_keys", "bound", "overflowed")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.overflowed = False
        self._keys: list[str] = []
        self._hand = 0

    def __len__(self) -> int:
        return len(self._keys)

    def room_for(self, key: str, is_idle: Callable[[str], bool], forget: Callable[[str], None]) -> bool:
        """Make room for a new *key*; False: all that were looked at are in use and the bound is reached.

        Args:
            is_idle: Tells whether an old key's state carries no information (or is gone already).
            forget: Drops an old key's state.
        """
        keys = self._keys
        full = len(keys) >= self.bound
        for _ in range(min(LOOKS_WHEN_FULL if full else LOOKS, len(keys))):
            self._hand = (self._hand + 1) % len(keys)
            old = keys[self._hand]
            if is_idle(old):
                forget(old)
                keys[self._hand] = key
                return True
        if full:
            return False
        keys.append(key)
        return True

    def clear(self) -> None:
        """Forget all keys."""
        self._keys.clear()
        self._hand = 0
        self.overflowed = False
