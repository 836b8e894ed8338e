"""Attributes of the call around us: what an adapter, or the code further up, says of the request being served.

Law: they hold inside the `with` block and the tasks started in it, and nowhere else.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from guardrail.admission.call import Get


# What one block adds, the block, and the layer around it. Nothing is copied: what is added may be worked out when asked.
Layer: TypeAlias = "tuple[Mapping[str, object], attributes | None, Layer | None]"

OUTERMOST: Layer = ({}, None, None)
MISSING = object()
_around: ContextVar[Layer] = ContextVar("guardrail_attributes", default=OUTERMOST)

# Without a call of Python: gRPC asks at every call.
current_layer = _around.get
set_layer = _around.set
reset_layer = _around.reset


class attributes:  # noqa: N801  used as a verb: `with attributes(tenant="acme"):`
    """Add attributes to every guarded call in a `with` block.

    Names with a dot go in a mapping: `attributes({"header.x-tenant": "acme"}, user="u1")`. May be entered many times.
    """

    __slots__ = ("_added",)

    def __init__(self, added: Mapping[str, object] | None = None, /, **named: object) -> None:
        self._added = {**(added or {}), **named}

    def __enter__(self) -> None:
        _around.set((self._added, self, _around.get()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _, block, outer = _around.get()
        while outer is not None:  # not to be found: it ends in another context, as a generator's block can
            if block is self:
                _around.set(outer)
                return
            _, block, outer = outer


def publish(added: Mapping[str, object]) -> Token[Layer]:
    """Add attributes from here on, for code that is not a block, until `withdraw`. Looked up one by one, when asked for."""
    return _around.set((added, None, _around.get()))


def innermost() -> Mapping[str, object]:
    """Return what was added last."""
    return _around.get()[0]


def withdraw(published: Token[Layer]) -> None:
    """Take back what `publish` added.

    Raises:
        ValueError: That was in another context.
    """
    reset_layer(published)


def getter(resource: str, given: Mapping[str, object] | None) -> Get:
    """Return a look-up: the resource itself, what is given with the call, then what is around it."""
    layer = _around.get()

    def get(name: str) -> object:
        if name == "resource":
            return resource
        value = None if given is None else given.get(name)
        return _find(layer, name) if value is None else value

    return get


def around(name: str) -> object:
    """Return an attribute of the call around us, or None."""
    return _find(_around.get(), name)


def _find(layer: Layer | None, name: str) -> object:
    while layer is not None:
        added, _, layer = layer
        value = added.get(name, MISSING)
        if value is not MISSING:
            return value
    return None
