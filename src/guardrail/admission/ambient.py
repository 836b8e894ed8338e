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


class Layer:
    """Hold what one block adds to those around it. Nothing is copied: what is added may be worked out when asked for."""

    __slots__ = ("added", "block", "outer")

    def __init__(self, added: Mapping[str, object], block: attributes | None, outer: Layer | None) -> None:
        self.added = added
        self.block = block
        self.outer = outer

    def get(self, name: str) -> object:
        """Return an attribute, the innermost one, or None."""
        layer: Layer | None = self
        while layer is not None:
            value = layer.added.get(name, MISSING)
            if value is not MISSING:
                return value
            layer = layer.outer
        return None


MISSING = object()
_around: ContextVar[Layer] = ContextVar("guardrail_attributes", default=Layer({}, None, None))  # noqa: B039  never changed


class attributes:  # noqa: N801  used as a verb: `with attributes(tenant="acme"):`
    """Add attributes to every guarded call in a `with` block.

    Names with a dot go in a mapping: `attributes({"header.x-tenant": "acme"}, user="u1")`. May be entered many times.
    """

    __slots__ = ("_added",)

    def __init__(self, added: Mapping[str, object] | None = None, /, **named: object) -> None:
        self._added = {**(added or {}), **named}

    def __enter__(self) -> None:
        _around.set(Layer(self._added, self, _around.get()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        layer = _around.get()
        while layer.outer is not None:  # not to be found: it ends in another context, as a generator's block can
            if layer.block is self:
                _around.set(layer.outer)
                return
            layer = layer.outer


def publish(added: Mapping[str, object]) -> Token[Layer]:
    """Add attributes from here on, for code that is not a block, until `withdraw`. Looked up one by one, when asked for."""
    return _around.set(Layer(added, None, _around.get()))


def innermost() -> Mapping[str, object]:
    """Return what was added last."""
    return _around.get().added


def withdraw(published: Token[Layer]) -> None:
    """Take back what `publish` added.

    Raises:
        ValueError: That was in another context.
    """
    _around.reset(published)


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
