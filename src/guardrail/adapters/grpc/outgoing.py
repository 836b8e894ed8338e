"""An outgoing call as its guard sees it: how it is called, what rules may ask of it, and how long it may wait.

Law: time spent waiting for a turn is taken off the time that the call may take.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from guardrail.adapters.grpc.attributes import Metadata, SentAttributes
from guardrail.adapters.grpc.options import SHORT_S, longest_wait
from guardrail.adapters.grpc.status import CLIENT

if TYPE_CHECKING:
    from datetime import timedelta

    from guardrail.adapters.grpc.options import Options

MOST_KNOWN = 1_000  # methods whose names are kept
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


class Resources:
    """Give methods the names that rules have for them. Safe from any thread or task."""

    __slots__ = ("_known", "_options")

    def __init__(self, options: Options) -> None:
        self._options = options
        self._known: dict[str | bytes, str | None] = {}

    def of(self, method: str | bytes) -> str | None:
        """Return the resource; None: the method is exempt."""
        if method in self._known:
            return self._known[method]
        name = method if isinstance(method, str) else method.decode("utf-8", "replace")
        resource = None if self._options.exempts(name) else self._options.resource_of(name, CLIENT)
        if len(self._known) < MOST_KNOWN:
            self._known[method] = resource
        return resource


class Outgoing:
    """Hold one call on its way to its guard.

    Attributes:
        attributes: What rules may ask of it.
        max_wait: How long it may wait.
    """

    __slots__ = ("_begun", "_timeout", "attributes", "max_wait")

    def __init__(self, options: Options, resource: str, details: Details) -> None:
        self.attributes = SentAttributes(resource, details, options.user)
        self._timeout = details.timeout
        self.max_wait: timedelta | None = None
        if self._timeout is not None:
            self.max_wait = longest_wait(self._timeout)
            self._begun = monotonic()

    def timeout_left(self) -> float | None:
        """Return what is left of the timeout after a wait; None: it is as it was."""
        if self._timeout is None:
            return None
        waited = monotonic() - self._begun
        return None if waited < SHORT_S else max(self._timeout - waited, 0.0)
