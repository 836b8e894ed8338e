"""Arguments: what the rules of a decorated function can name.

Law: a name is looked up in the arguments of the call first, then in the attributes around it. What can be known when
decorating (is there such a parameter?) is checked then.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from guardrail.admission.ambient import around
from guardrail.admission.call import LONGEST_KEY, Get, KeyParts, KeyReader, key_of

ATTRIBUTES = ("method", "client.ip", "user", "resource")
FAMILIES = ("path", "header", "query", "cookie", "metadata", "arg")

Reader = Callable[[tuple[Any, ...], dict[str, Any]], Any]


class Arguments:
    """Read the arguments of one function by name.

    Attributes:
        computed: Names that stand for callables given to a decorator, called with the arguments of the call.
    """

    __slots__ = ("_any_name", "_positions", "_readers", "computed")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.computed: dict[str, Callable[..., Any]] = {}
        self._readers: dict[str, Reader] = {}
        self._positions: dict[str, int] = {}  # of plain parameters
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # a builtin that does not say
            parameters = []
        self._any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        for index, parameter in enumerate(parameters):
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                self._readers[parameter.name] = _reader(index, parameter)
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self._positions[parameter.name] = index

    def knows(self, name: str) -> bool:
        """Tell whether a rule of this function may name this."""
        family, dot, rest = name.partition(".")
        if family == "arg" and dot:
            return self.knows(rest)
        return (
            (family in self._readers and "" not in name.split("."))
            or self._any_name
            or name in self.computed
            or name in ATTRIBUTES
            or (bool(rest) and family in FAMILIES)
        )

    def names(self) -> list[str]:
        """Return the parameters."""
        return list(self._readers)

    def getter(self, resource: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Get:
        """Return a look-up for one call."""

        def get(name: str) -> object:
            if name == "resource":
                return resource
            if name in self.computed:
                return self.computed[name](*args, **kwargs)
            value = self._argument(name.removeprefix("arg."), args, kwargs)
            return around(name) if value is None else value

        return get

    def key_reader(self, parts: KeyParts, resource: str) -> KeyReader:
        """Return what reads a rule's key from a call, as fast as its shape allows."""

        def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
            return key_of(parts, self.getter(resource, args, kwargs))

        position = self._positions.get(parts[0][0]) if len(parts) == 1 and len(parts[0]) == 1 else None
        if position is None:
            return KeyReader(None, read)

        def read_one(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
            value = args[position] if len(args) > position else None
            return value if type(value) is str and len(value) <= LONGEST_KEY else read(args, kwargs)

        return KeyReader(position, read_one)

    def _argument(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        first, *steps = name.split(".")
        read = self._readers.get(first)
        value = kwargs.get(first) if read is None else read(args, kwargs)
        for step in steps:
            value = value.get(step) if isinstance(value, Mapping) else getattr(value, step, None)
        return value


def _reader(index: int, parameter: inspect.Parameter) -> Reader:
    name = parameter.name
    default = None if parameter.default is parameter.empty else parameter.default
    if parameter.kind is parameter.KEYWORD_ONLY:
        return lambda _, kwargs: kwargs.get(name, default)
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return lambda args, _: args[index] if len(args) > index else default
    return lambda args, kwargs: args[index] if len(args) > index else kwargs.get(name, default)
