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

    __slots__ = ("_answer", "_called", "_told", "_wanted", "awaited", "on")

    def __init__(
        self, answer: Any, on: tuple[type[Exception], ...], function: Callable[..., Any], kind: CallableKind
    ) -> None:
        self._answer = answer
        self._called = callable(answer)
        self._wanted = _signature(function)
        self.on = on
        self.awaited = False
        self._told = False
        if self._called:
            self._check_kind(kind)
            self._check_signature(function)
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
        if kwargs and self._wanted is not None:  # by position where that is possible: its parameters have other names
            bound = self._wanted.bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        return self._answer(*args, **kwargs, refused=refused) if self._told else self._answer(*args, **kwargs)

    def _check_kind(self, kind: CallableKind) -> None:
        answering = kind_of(self._answer)
        self.awaited = answering == "coroutine"
        if answering not in ("function", kind):
            raise TypeError(
                f"fallback {_name(self._answer)} is {_KINDS[answering]} and cannot answer for {_KINDS[kind]}:"
                f" make it {_KINDS[kind]} too"
            )

    def _check_signature(self, function: Callable[..., Any]) -> None:
        offered, wanted = _signature(self._answer), self._wanted
        if offered is None:
            return
        self._told = "refused" in offered.parameters
        if wanted is None:
            return
        positional, named = [], {"refused": "refused"} if self._told else {}
        for name, parameter in wanted.parameters.items():
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
                named[name] = name
            else:
                positional.append(name)
        try:
            offered.bind(*positional, **named)
        except TypeError as error:
            raise TypeError(
                f"fallback {_name(self._answer)} cannot be called like {_name(function)}{wanted}: {error}; "
                "give it the same parameters, and behind them `refused` if it wants the refusal"
            ) from error


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # a builtin that does not say
        return None


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


_KINDS: Final[dict[CallableKind, str]] = {
    "function": "a plain function",
    "coroutine": "a coroutine function",
    "generator": "a generator function",
    "async generator": "an async generator function",
}
