"""Hooks of a service: what can be used as one is known when it is given, and one that fails has no answer.

Law: what would have to be awaited is no answer: taken for one, it would be another user at every call, whom no limit ever
stops. A hook never fails a call; that it fails, the log says once as a WARNING, and then at DEBUG.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from inspect import isawaitable, iscoroutine, iscoroutinefunction, signature
from logging import DEBUG, WARNING, getLogger
from typing import Any

FAILING = 256  # hooks that are remembered, so that each is warned of once
_COUNTS = {1: "one argument", 2: "two arguments"}


def is_async(hook: object) -> bool:
    """Tell whether a hook, which may be an object with `__call__`, is async."""
    return iscoroutinefunction(hook) or iscoroutinefunction(getattr(type(hook), "__call__", None))  # noqa: B004  its kind


def checked_hook(name: str, hook: object, *takes: str, awaits: bool = False) -> Callable[..., Any] | None:
    """Return *hook*; None stays None.

    Args:
        name: The option that it was given as.
        takes: What it is called with, in words; nothing: whoever calls it finds out.
        awaits: It may be async.

    Raises:
        TypeError: It cannot be called with so much, or would have to be awaited where nobody does.
    """
    if hook is None:
        return None
    if not callable(hook):
        raise TypeError(f"{name} must be a callable, got {hook!r}")
    if not awaits and is_async(hook):
        raise TypeError(f"{name} must not be async here, got {hook!r}")
    if not takes:
        return hook
    try:
        signature(hook).bind(*takes)
    except ValueError:  # some that are written in C do not say what they take
        return hook
    except TypeError as error:
        raise TypeError(f"{name} must take {_COUNTS[len(takes)]}, {' and '.join(takes)}, got {hook!r}") from error
    return hook


def asked(hook: Callable[..., object], *arguments: object, log: str) -> object:
    """Return what a hook says; one that raises, or would have to be awaited, has nothing to say.

    Args:
        log: The name of the logger.
    """
    try:
        said = hook(*arguments)
    except Exception:  # noqa: BLE001  a service's own code raises what it likes
        say_failed(hook, log)
        return None
    return at_once(hook, said, log)


def named(hook: Callable[..., object], *arguments: object, log: str) -> str | None:
    """Return the name that a hook gives; None, and a line in the log, where what it says is none."""
    said = asked(hook, *arguments, log=log)
    if said is None or isinstance(said, str):
        return said or None
    _say(hook, log, "%r returned %r, which is no name", said)
    return None


async def aasked(hook: Callable[..., object], *arguments: object, log: str) -> object:
    """Return what a hook says, async or not; one that raises has nothing to say."""
    try:
        said = hook(*arguments)
        return await said if isawaitable(said) else said
    except Exception:  # noqa: BLE001  a service's own code raises what it likes
        say_failed(hook, log)
        return None


def at_once(hook: object, said: object, log: str) -> object:
    """Return what a hook said; None, and a line in the log, if that would have to be awaited."""
    if not isawaitable(said):
        return said
    if iscoroutine(said):
        said.close()
    _say(hook, log, "%r returned %r, which nobody can await here, so there is no answer", said)
    return None


def say_failed(hook: object, log: str) -> None:
    """Write the error of a hook, which is being handled, into the log."""
    _say(hook, log, "%r raised, so there is no answer", exc_info=True)


def _say(hook: object, log: str, text: str, *more: object, exc_info: bool = False) -> None:
    kind: Any = type(hook)
    try:
        level = next(_levels(hook), DEBUG)
    except TypeError:  # it cannot be hashed
        level = next(_levels(kind), DEBUG)
    getLogger(log).log(level, text, hook, *more, exc_info=exc_info)


@lru_cache(FAILING)
def _levels(_hook: object) -> Iterator[int]:
    return iter((WARNING,))
