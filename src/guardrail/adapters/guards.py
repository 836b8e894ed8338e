"""The guard that an adapter was given, or the default one.

Law: what is no guard fails when the adapter is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.default import default_guard
from guardrail.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable


def checked_guard(guard: object) -> Guard | None:
    """Return *guard*; None, for the default one, stays None.

    Raises:
        TypeError: It is no guard.
    """
    if guard is None or isinstance(guard, Guard):
        return guard
    raise TypeError(f"guard must be a Guard, such as Guard('rules/'), or None for the default one, got {guard!r}")


def guard_of(guard: object) -> Callable[[], Guard]:
    """Return what gives the guard to ask: the one given, or else whichever is the default one then.

    Raises:
        TypeError: It is no guard.
    """
    given = checked_guard(guard)
    return default_guard if given is None else lambda: given
