"""The kinds of callable: a guarded one stays of the kind it was.

Law: what a callable is, is found out once, when it is decorated.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

CallableKind = Literal["function", "coroutine", "generator", "async generator"]


def kind_of(function: Callable[..., Any]) -> CallableKind:
    """Return what calling *function* gives. A callable object is what its `__call__` is."""
    while isinstance(function, partial):
        function = function.func
    for candidate in (function, type(function).__call__):
        if inspect.isasyncgenfunction(candidate):
            return "async generator"
        if inspect.iscoroutinefunction(candidate):
            return "coroutine"
        if inspect.isgeneratorfunction(candidate):
            return "generator"
    return "function"
