"""The dependency that says who is calling, and the one that enters the rules once that is known.

Law: a user's dependency runs once for a request. An endpoint that asks for it itself stands or falls with it; to any other,
one that raises only means that nobody knows who is calling.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from logging import DEBUG, WARNING, getLogger
from typing import Any

from fastapi import Depends, HTTPException
from fastapi.dependencies.utils import get_dependant, get_parameterless_sub_dependant, solve_dependencies
from starlette.requests import HTTPConnection

from guardrail.adapters.asgi.late import LateExchange
from guardrail.adapters.hooks import aasked
from guardrail.adapters.http.attributes import LOG

EXCHANGE = "guardrail.exchange"  # where a scope has the request that waits to enter

_PLAIN = inspect.Parameter.POSITIONAL_OR_KEYWORD
_KNOWN_TO_SOLVE = frozenset(inspect.signature(solve_dependencies).parameters)


class UserDependency:
    """Let routes enter the rules with what a dependency says of the user.

    Args:
        user: The dependency.
    """

    __slots__ = ("_carrier", "_enter", "_enter_sharing", "_has_warned", "_user")

    def __init__(self, user: Callable[..., Any]) -> None:
        self._user = user
        self._has_warned = False
        self._carrier = get_dependant(path="", call=_with_parameters(_carry, known=Depends(user)))
        self._enter_sharing = _with_parameters(_enter_as, connection=HTTPConnection, known=Depends(user))
        self._enter = _with_parameters(self._find_out, connection=HTTPConnection)

    def __repr__(self) -> str:
        return f"<user={self._user!r}>"

    def prepare(self, dependant: Any) -> None:
        """See to it that a route enters the rules before anything of its own runs."""
        ours = (self._enter, self._enter_sharing)
        if any(sub.call is one for sub in dependant.dependencies for one in ours):
            return
        enter = self._enter_sharing if _asks_for(dependant, self._user) else self._enter
        dependant.dependencies.insert(0, get_parameterless_sub_dependant(depends=Depends(enter), path=""))

    async def _find_out(self, connection: HTTPConnection) -> None:
        await _enter_as(connection, await aasked(self._solve, connection, log=LOG))

    async def _solve(self, connection: HTTPConnection) -> Any:
        stack = connection.scope.get("fastapi_inner_astack")
        given = {
            "request": connection,
            "dependant": self._carrier,
            "dependency_overrides_provider": connection.scope.get("app"),
            "async_exit_stack": stack if isinstance(stack, AsyncExitStack) else AsyncExitStack(),
            "embed_body_fields": False,
        }
        solve: Callable[..., Awaitable[Any]] = solve_dependencies
        try:
            solved = await solve(**{name: value for name, value in given.items() if name in _KNOWN_TO_SOLVE})
        except HTTPException:  # how it says that it does not know them
            return None
        if solved.errors:
            self._say_what_lacks(solved.errors)
        return solved.values.get("known")

    def _say_what_lacks(self, errors: Iterable[Mapping[str, Any]]) -> None:
        """Write once as a warning, then at DEBUG, what FastAPI could not call the dependency with."""
        level = DEBUG if self._has_warned else WARNING
        self._has_warned = True
        lacks = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in errors)
        text = "%r cannot be called with this request (%s), so nobody knows who is calling"
        getLogger(LOG).log(level, text, self._user, lacks)


async def _enter_as(connection: HTTPConnection, known: object) -> None:
    exchange = connection.scope.get(EXCHANGE)
    if isinstance(exchange, LateExchange):
        await exchange.enter(known)


async def _carry(known: object) -> None:
    """Have a parameter for the user."""


def _asks_for(dependant: Any, call: Callable[..., Any]) -> bool:
    """Tell whether a route, or what it depends on, depends on *call*."""
    return any(sub.call is call or _asks_for(sub, call) for sub in dependant.dependencies)


def _with_parameters(function: Callable[..., Awaitable[None]], **parameters: Any) -> Callable[..., Awaitable[None]]:
    """Return *function* as FastAPI shall see it: by name, the type of a parameter or its `Depends`."""

    async def seen(**given: Any) -> None:
        await function(**given)

    made = [
        inspect.Parameter(name, _PLAIN, annotation=value)
        if isinstance(value, type)
        else inspect.Parameter(name, _PLAIN, default=value)
        for name, value in parameters.items()
    ]
    vars(seen)["__signature__"] = inspect.Signature(made)
    return seen
