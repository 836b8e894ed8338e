"""Interceptors around interceptors: where two of them guard one call with one guard, the outer one does.

Law: whoever asks the rules first asks them alone. What the outer one exempts, or asks another guard about, is the inner
one's. A call is known by its context or its request: an interceptor between the two that puts others in their place hides it.
"""

from __future__ import annotations

from contextvars import ContextVar
from logging import getLogger
from typing import TYPE_CHECKING, Any, TypeAlias

from guardrail.adapters.grpc.attributes import LOG, ServedAttributes

if TYPE_CHECKING:
    from guardrail.admission.ambient import Layer
    from guardrail.guard import Guard

TWICE = "a %s stands inside of another one with the same guard and leaves calls to that one; take one of them away"


Sent: TypeAlias = "tuple[object, str | bytes, Guard]"  # the request, its method, and the guard that decides it

sent: ContextVar[Sent | None] = ContextVar("guardrail_grpc_sent", default=None)


class StandIn:
    """Stand before the context of a call."""

    __slots__ = ("_context",)

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class Nesting:
    """Know of one interceptor whether another one stands around it."""

    __slots__ = ("_has_warned",)

    def __init__(self) -> None:
        self._has_warned = False

    def is_served(self, call: ServedAttributes, around: Layer) -> bool:
        """Tell whether a call that came in is guarded already, and say so once."""
        layer: Layer | None = around
        origin = origin_of(call)
        while layer is not None:
            added, _, layer = layer
            if isinstance(added, ServedAttributes) and added.guard is call.guard and origin_of(added) is origin:
                return self._warned("ServerGuard")
        return False

    def is_sent(self, around: Sent, request: object, method: str | bytes, guard: Guard) -> bool:
        """Tell whether a call that goes out is guarded already, and say so once."""
        is_same = around[0] is request and around[1] == method and around[2] is guard
        return is_same and self._warned("ClientGuard")

    def _warned(self, name: str) -> bool:
        if not self._has_warned:
            self._has_warned = True
            getLogger(LOG).warning(TWICE, name)
        return True


def origin_of(call: ServedAttributes) -> object:
    """Return gRPC's own context of a call."""
    context = call.about
    while isinstance(context, StandIn):
        context = context._context  # noqa: SLF001  its own class's
    return context
