"""What escapes from a service: refusals, alone or in groups, and those of calls that the service itself has made.

Law: an error that is more than refusals is no refusal.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

from guardrail.errors import Refused

CLIENT: Final = "client "  # how resources begin that are called by this service


def as_outgoing(refused: Refused) -> Refused:
    """Return the refusal, which says from now on that this service's own call was refused."""
    refused.is_outgoing = True
    return refused


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
