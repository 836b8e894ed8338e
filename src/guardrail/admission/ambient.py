"""Attributes of the call around us: what an adapter, or the code further up, says of the request being served.

Law: they hold inside the `with` block and the tasks started in it, and nowhere else.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from guardrail.admission.call import Get

_around: ContextVar[Mapping[str, object]] = ContextVar("guardrail_attributes", default={})  # noqa: B039  never changed


class attributes:  # noqa: N801  used as a verb: `with attributes(tenant="acme"):`
    """Add attributes to every guarded call in a `with` block.

    Names with a dot go in a mapping: `attributes({"header.x-tenant": "acme"}, user="u1")`.
    """

    __slots__ = ("_added", "_tokens")

    def __init__(self, added: Mapping[str, object] | None = None, /, **named: object) -> None:
        self._added = {**(added or {}), **named}
        self._tokens: list[Token[Mapping[str, object]]] = []

    def __enter__(self) -> None:
        self._tokens.append(_around.set({**_around.get(), **self._added}))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _around.reset(self._tokens.pop())


def getter(resource: str, given: Mapping[str, object] | None) -> Get:
    """Return a look-up: the resource itself, what is given with the call, then what is around it."""
    around = _around.get()

    def get(name: str) -> object:
        if name == "resource":
            return resource
        value = None if given is None else given.get(name)
        return around.get(name) if value is None else value

    return get


def around(name: str) -> object:
    """Return an attribute of the call around us, or None."""
    return _around.get().get(name)
