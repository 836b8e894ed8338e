"""Options of the gRPC guards, and which of the methods they guard.

Law: a wrong option fails when the guard is built, and the message names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from guardrail.adapters.grpc.attributes import LOG
from guardrail.adapters.grpc.nesting import Nesting
from guardrail.adapters.guards import checked_guard
from guardrail.adapters.hooks import checked_hook, named
from guardrail.default import default_guard

if TYPE_CHECKING:
    from guardrail.adapters.grpc.attributes import UserHook
    from guardrail.guard import Guard

EXEMPT: Final = (
    "/grpc.health.v1.Health/*",
    "/grpc.reflection.v1.ServerReflection/*",
    "/grpc.reflection.v1alpha.ServerReflection/*",
)
EVERY = "*"
FOR_EVER_S = 1e9  # a deadline behind this is gRPC's way to say that there is none
SHORT_S = 0.0001  # a wait that changes nothing
MOST_KNOWN = 1_000  # methods of which something is kept; beyond that it is worked out for each call

_METHOD = re.compile(r"/[^/*\s]+/(?:[^/*\s]+|\*)")

ResourceHook = Callable[[str], str]
K = TypeVar("K")


class Options(NamedTuple):
    """Hold the options of one guard, checked."""

    guard: Guard | None
    exempt: frozenset[str]
    user: UserHook | None
    resource: ResourceHook | None
    nesting: Nesting

    def current(self) -> Guard:
        """Return the guard; where none was given, the default one of this moment."""
        return default_guard() if self.guard is None else self.guard

    def exempts(self, method: str) -> bool:
        """Tell whether a method is none of our business."""
        exempt = self.exempt
        return method in exempt or f"{method.rpartition('/')[0]}/{EVERY}" in exempt

    def resource_of(self, method: str, prefix: str = "") -> str:
        """Return the name that rules have for a method. A hook that raises, or returns no name, leaves it as it is."""
        name = None if self.resource is None else named(self.resource, method, log=LOG)
        return prefix + method if name is None else name


class Interceptor(Generic[K]):
    """Do what all four guards do: take their options, and keep what they have worked out for each method."""

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        exempt: Iterable[str] = EXEMPT,
        user: UserHook | None = None,
        resource: ResourceHook | None = None,
    ) -> None:
        """Check the options.

        Args:
            guard: None: the default one, whichever it is at each call.
            exempt: Methods that are not guarded, as `/pkg.Service/Method` or `/pkg.Service/*`; by default health and
                reflection.
            user: Says for whom a call is made: on a server from its context, on a client from its details. One that
                raises means that nobody is known.
            resource: Gives methods other names, from `/pkg.Service/Method`. It must not wait: a server asks it where it
                takes all calls. What it says of a method is kept.

        Raises:
            TypeError: An option is of the wrong kind.
            ValueError: One of the exempt methods is none.
        """
        self._options = checked(guard, exempt, user, resource)
        self._known: dict[str | bytes, K] = {}
        self._prepare()

    def _prepare(self) -> None:
        """Do what this kind of guard needs besides its options."""

    def _keep(self, method: str | bytes, found: K) -> K:
        """Keep what was worked out for a method, and return it."""
        if len(self._known) < MOST_KNOWN:
            self._known[method] = found
        return found


def checked(guard: object, exempt: object, user: object, resource: object) -> Options:
    """Return the options.

    Raises:
        TypeError: One of them is of the wrong kind.
        ValueError: One of the exempt methods is none.
    """
    asks = (
        checked_hook("user", user, "the context or details of the call"),
        checked_hook("resource", resource, "the method"),
    )
    return Options(checked_guard(guard), _methods(exempt), *asks, Nesting())


def longest_wait(remaining: float | None) -> timedelta | None:
    """Return how long a call with so many seconds left may wait for its turn; None: as long as its rules let it."""
    return None if remaining is None or remaining > FOR_EVER_S else timedelta(seconds=max(remaining, 0.0))


def _methods(exempt: object) -> frozenset[str]:
    if isinstance(exempt, str | bytes) or not isinstance(exempt, Iterable):
        raise TypeError(f"exempt must be a list of methods, such as ['/pkg.Service/Method'], got {exempt!r}")
    methods = frozenset(exempt)
    for method in methods:
        if not isinstance(method, str) or not _METHOD.fullmatch(method):
            raise ValueError(f"exempt must list methods as /pkg.Service/Method or /pkg.Service/*, got {method!r}")
    return methods
