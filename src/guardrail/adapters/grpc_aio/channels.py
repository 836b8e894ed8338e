"""How a guard reaches all calls of a channel of asyncio.

grpc.aio.Channel sorts each of its interceptors into the first arity that it fits and leaves it out of the others (grpc issue
31442): one class for all four would guard unary calls and let all streams pass. No interceptor is told of its channel, and
none can be added later. So a guard is four interceptors, none of them itself, and the channels of this process are taught,
when the first guard is made, to take them out of it. All else they take as before.

Law: a channel that is given a guard guards all of its calls, or is not made.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import wraps
from importlib import import_module
from inspect import signature
from threading import Lock
from typing import Any

GIVEN = "interceptors"
_LOCK = Lock()
_MARK = "_guardrail_spreads"


def spread_parts(kind: type[Iterable[object]]) -> None:
    """Let channels made from now on, those of subclasses too, take the parts out of interceptors of this kind.

    The first time counts. Safe from any thread.
    """
    channel: Any = import_module("grpc.aio._channel").Channel
    with _LOCK:
        if not hasattr(channel.__init__, _MARK):
            channel.__init__ = _spreading(channel.__init__, kind)


def _spreading(init: Any, kind: type[Iterable[object]]) -> Any:
    shape = signature(init)

    @wraps(init)
    def spreading(*args: Any, **kwargs: Any) -> None:
        given = shape.bind(*args, **kwargs)
        interceptors = given.arguments.get(GIVEN)
        if interceptors is not None:
            given.arguments[GIVEN] = [
                part for one in interceptors for part in (one if isinstance(one, kind) else (one,))
            ]
        init(*given.args, **given.kwargs)

    setattr(spreading, _MARK, True)
    return spreading
