"""Forks: a child starts with the rules and limits of its parent, and with none of its threads, locks and places.

Law: nothing is registered before the first guard is made, and a guard is not kept alive for it.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """Start again in a child."""

    def after_fork(self) -> None: ...


_followers: weakref.WeakSet[Forked] = weakref.WeakSet()
_registered: list[bool] = []


def follow_forks(guard: Forked) -> None:
    """Call `guard.after_fork()` in every child that is forked off from now on."""
    if not _registered and hasattr(os, "register_at_fork"):
        _registered.append(True)
        os.register_at_fork(after_in_child=_tell)
    _followers.add(guard)


def _tell() -> None:
    for guard in list(_followers):
        guard.after_fork()
