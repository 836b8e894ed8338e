"""Fallback: the answer a caller gets instead.

Law: it answers refusals of its own plan, and the errors listed in `fallback_on`; every other error goes its way. Whether
it fits the function is checked when decorating.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from guardrail.decorators.kinds import CallableKind, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.errors import Refused


class Unset:
    """Mark an option that was not given."""

    def __repr__(self) -> str:
        return "..."


UNSET: Final[Any] = Unset()


class Fallback:
    """Answer in place of one function.

    Attributes:
        on: Errors of the function that are answered too.
    """

    __slots__ = ("_answer", "_called", "_told", "awaited", "on")

    def __init__(
        self, answer: Any, on: tuple[type[Exception], ...], function: Callable[..., Any], kind: CallableKind
    ) -> None:
        self._answer = answer
        self._called = callable(answer)
        self.on = on
        self.awaited = False
        self._told = False
        if self._called:
            self._told = "refused" in _parameters(answer)
            self._check_kind(kind)
            _check_signature(answer, function)
        elif kind == "generator" and not hasattr(answer, "__iter__"):
            raise TypeError(
                f"fallback={answer!r} answers for a generator: give an iterable, or a function that returns one"
            )
        elif kind == "async generator" and not hasattr(answer, "__aiter__"):
            raise TypeError(
                f"fallback={answer!r} answers for an async generator: give an async iterable, or a function that returns one"
            )

    def answer(self, refused: Refused | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the answer, or where `awaited` is set, what has to be awaited for it."""
        if not self._called:
            return self._answer
        return self._answer(*args, **kwargs, refused=refused) if self._told else self._answer(*args, **kwargs)

    def _check_kind(self, kind: CallableKind) -> None:
        answering = kind_of(self._answer)
        self.awaited = answering == "coroutine"
        if kind == "coroutine" and answering in ("function", "coroutine"):
            return
        if answering in ("function", kind):
            return
        name = getattr(self._answer, "__qualname__", self._answer)
        raise TypeError(
            f"fallback {name} is a {answering} function and cannot answer for a {kind} function: make it the same"
        )


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a builtin that does not say
        return {}


def _check_signature(answer: Callable[..., Any], function: Callable[..., Any]) -> None:
    wanted = _parameters(function)
    offered = {name: parameter for name, parameter in _parameters(answer).items() if name != "refused"}
    if not offered and not _parameters(answer) and _is_opaque(answer):
        return
    positional, named = [], {}
    for name, parameter in wanted.items():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positional.append(name)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = name
    try:
        inspect.Signature(list(offered.values())).bind(*positional, **named)
    except TypeError as error:
        name = getattr(answer, "__qualname__", repr(answer))
        raise TypeError(
            f"fallback {name} cannot be called like {function.__qualname__}{inspect.signature(function)}: {error}; "
            "give it the same parameters, and `refused` if it wants the refusal"
        ) from error


def _is_opaque(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function)
    except (TypeError, ValueError):
        return True
    return False
