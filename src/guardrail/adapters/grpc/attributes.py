"""What rules may ask of an RPC: `metadata.x-tenant`, `client.ip`, `user`, worked out when one of them does.

Law: an attribute that no rule names costs nothing; one that cannot be found, or whose hook raises, is missing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextvars import Token
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from guardrail.adapters.attributes import LazyAttributes
from guardrail.adapters.hooks import asked
from guardrail.adapters.http.address import hop_of
from guardrail.admission import ambient

if TYPE_CHECKING:
    from guardrail.guard import Guard

LOG = "guardrail.grpc"
METADATA = "metadata."
PEERS = 4096  # whose addresses are remembered
PLAIN = ("client.ip", "user", "resource")

Metadata = Iterable[tuple[str, str | bytes]]
UserHook = Callable[[Any], object]


class Caller(Protocol):
    """Do what the contexts of all kinds of servers do."""

    def peer(self) -> str: ...
    def invocation_metadata(self) -> Metadata | None: ...


class RpcAttributes(LazyAttributes):
    """Look up the attributes of one RPC by name."""

    __slots__ = ("_hook", "about", "guard", "resource")

    def __init__(self, resource: str, about: Any, user: UserHook | None, guard: Guard | None = None) -> None:
        self._known = {}  # here: to call the parent would cost every call
        self.resource = resource
        self.about = about
        self.guard = guard
        self._hook = user

    @abstractmethod
    def metadata(self) -> Metadata:
        """Return what the caller sent along."""

    def names(self) -> Iterator[str]:
        yield from PLAIN
        yield from (METADATA + key for key, _ in self.metadata())

    def look_up(self, name: str) -> object:
        if name.startswith(METADATA):
            return metadata_value(self.metadata(), name.removeprefix(METADATA).lower())
        return self.resource if name == "resource" else self.of_user(name)

    def user(self) -> object:
        return None if self._hook is None else asked(self._hook, self.about, log=LOG)


class ServedAttributes(RpcAttributes):
    """Look up the attributes of a call that came in, in its context."""

    __slots__ = ()
    about: Caller

    def metadata(self) -> Metadata:
        return self.about.invocation_metadata() or ()

    def look_up(self, name: str) -> object:
        return client_ip(self.about.peer()) if name == "client.ip" else super().look_up(name)


class SentAttributes(RpcAttributes):
    """Look up the attributes of a call that goes out, in its details. We are the client.

    Metadata is that of this call alone: what it lacks is empty, and not that of a call being served meanwhile.
    """

    __slots__ = ()

    def metadata(self) -> Metadata:
        return self.about.metadata or ()

    def look_up(self, name: str) -> object:
        found = super().look_up(name)
        return "" if found is None and name.startswith(METADATA) else found


def withdraw(published: Token[ambient.Layer]) -> None:
    """Take back what `set_layer` put there; in the context where it began, as that of a closed stream is gone by itself."""
    try:
        ambient.reset_layer(published)
    except ValueError:
        return


def metadata_value(metadata: Metadata, key: str) -> str | bytes | None:
    """Return what was sent under a key; where it was sent several times, all of it, as if it were one header."""
    values = [value for name, value in metadata if name == key]
    if len(values) < 2:
        return values[0] if values else None
    return ",".join(value if isinstance(value, str) else value.hex() for value in values)


@lru_cache(PEERS)
def client_ip(peer: str) -> str | None:
    """Return the address in `ipv4:192.0.2.1:443` or `ipv6:%5B2001:db8::1%5D:443` as rules see it.

    None: there is none, as on a unix socket.
    """
    family, _, address = peer.partition(":")
    hop = hop_of(unquote(address)) if family in {"ipv4", "ipv6"} else None
    return None if hop is None else hop.key
