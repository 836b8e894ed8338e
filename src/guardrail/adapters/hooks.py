"""Hooks of a service, and its errors: what of their answers can be used, and whether they were refused.

Law: what would have to be awaited is no answer: taken for one, it would be another user at every call, whom no limit ever
stops. An error that is more than refusals is no refusal.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from logging import getLogger
from math import inf

from guardrail.errors import Refused


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


def refusal_of(error: BaseException) -> Refused | None:
    """Return the refusal that an error of a service comes down to; None: it is, or holds, something else.

    That is the refusal itself, or the cause of an error of gRPC, as guards of its clients raise. Of a group all must be
    refusals but the tasks that were cancelled for them, and the one that lasts longest speaks for all.
    """
    leaves = [leaf for leaf in _leaves(error) if not _is_cancellation(leaf)]
    found = [refused for refused in map(_refusal_behind, leaves) if refused is not None]
    return max(found, key=_lasts) if found and len(found) == len(leaves) else None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _refusal_behind(error: BaseException) -> Refused | None:
    if isinstance(error, Refused):
        return error
    cause = error.__cause__
    if isinstance(cause, Refused) and any(kind.__name__ == "RpcError" for kind in type(error).__mro__):  # not imported
        return cause
    return None


def _is_cancellation(error: BaseException) -> bool:
    # Those of asyncio and trio are no `Exception`.
    return not isinstance(error, Exception | KeyboardInterrupt | SystemExit)


def _lasts(refused: Refused) -> float:
    return inf if refused.retry_after is None else refused.retry_after
