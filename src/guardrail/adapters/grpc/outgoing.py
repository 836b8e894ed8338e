"""An outgoing call as its guard sees it: the name that rules have for it, and how long it may wait.

Law: time spent waiting for a turn is taken off the time that the call may take.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from guardrail.adapters.escapes import CLIENT
from guardrail.adapters.grpc.attributes import SentAttributes
from guardrail.adapters.grpc.nesting import sent
from guardrail.adapters.grpc.options import SHORT_S, Interceptor, longest_wait
from guardrail.admission.quick import BARE

if TYPE_CHECKING:
    from datetime import timedelta

    from guardrail.adapters.grpc.attributes import Metadata
    from guardrail.adapters.grpc.nesting import Sent
    from guardrail.admission.permit import Permit
    from guardrail.guard import Guard

Continuation = Callable[[Any, Any], Any]


class Details(Protocol):
    """Describe an outgoing call, as gRPC's own details do."""

    @property
    def method(self) -> str | bytes: ...
    @property
    def timeout(self) -> float | None: ...
    @property
    def metadata(self) -> Metadata | None: ...
    @property
    def credentials(self) -> Any: ...
    @property
    def wait_for_ready(self) -> bool | None: ...


class Outgoing(NamedTuple):
    """Hold a call that is not free to go yet, or whose end matters.

    Attributes:
        permit: None: it has to wait for its turn.
    """

    guard: Guard
    attributes: SentAttributes
    permit: Permit | None


class OutgoingGuard(Interceptor[str | None]):
    """Decide the calls of a client. Safe from any thread or task."""

    def _begin(self, details: Details, request: Any, around: Sent | None) -> Outgoing | None:
        """Decide a call at once, where the rules can; None: it is free to go, and nobody waits for its end.

        Guards further in see in `sent` that it is decided, until the caller sets that to what was there before.

        Args:
            around: What a guard around this one has sent.
        """
        method, options = details.method, self._options
        resource = self._resource_of(method)
        if resource is None:
            return None
        guard = options.current()
        if around is not None and options.nesting.is_sent(around, request, method, guard):
            return None
        sent.set((request, method, guard))
        attributes = SentAttributes(resource, details, options.user)
        permit = guard.at_once(resource, attributes, bare=True)
        if permit is BARE or (permit and not permit.awaits_end):
            return None
        return Outgoing(guard, attributes, permit)

    def _resource_of(self, method: str | bytes) -> str | None:
        """Return the resource of a method; None: it is exempt."""
        if method in self._known:
            return self._known[method]
        name = method if isinstance(method, str) else method.decode("utf-8", "replace")
        options = self._options
        return self._keep(method, None if options.exempts(name) else options.resource_of(name, CLIENT))


class Turn:
    """Measure how long a call waits for its turn.

    Attributes:
        max_wait: How long it may; None: as long as its rules let it.
    """

    __slots__ = ("_begun", "_timeout", "max_wait")

    def __init__(self, timeout: float | None) -> None:
        self._begun = monotonic()
        self._timeout = timeout
        self.max_wait: timedelta | None = longest_wait(timeout)

    def timeout_left(self) -> float | None:
        """Return what the wait has left of the timeout; None: it is as it was."""
        waited = monotonic() - self._begun
        return None if self._timeout is None or waited < SHORT_S else max(self._timeout - waited, 0.0)
