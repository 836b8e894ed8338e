"""Hooks of a service: what of their answers can be used.

Law: what would have to be awaited, and a user without a text to go by, is no answer: taken for one, it would be another
user at every call, whom no limit ever stops.
"""

from __future__ import annotations

from inspect import isawaitable, iscoroutine, iscoroutinefunction
from logging import getLogger


def is_async(hook: object) -> bool:
    """Tell whether a hook, which may be an object with `__call__`, is async."""
    return iscoroutinefunction(hook) or iscoroutinefunction(getattr(type(hook), "__call__", None))  # noqa: B004  its kind


def at_once(hook: object, said: object, log: str) -> object:
    """Return what a hook said; None, and a line in the log, if that would have to be awaited.

    Args:
        log: The name of the logger.
    """
    if not isawaitable(said):
        return said
    if iscoroutine(said):
        said.close()
    getLogger(log).error("%r returned %r, which nobody can await here, so there is no answer", hook, said)
    return None


def with_text(user: object, log: str) -> object:
    """Return a user; None, and a line in the log, if it has no text of its own, but only its address in memory.

    Args:
        log: The name of the logger.
    """
    kind = type(user)
    if kind is str or user is None:
        return user
    try:
        if kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__:
            str(user)
            return user
    except Exception:
        getLogger(log).exception("a user of %s cannot be written as text, so there is no user", kind)
        return None
    getLogger(log).error("a user of %s has no text of its own, so there is no user; name a part of it: user.id", kind)
    return None
