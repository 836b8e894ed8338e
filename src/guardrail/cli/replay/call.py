"""One call as a log tells it, and the attributes that rules may look at.

Law: attributes are what the HTTP adapters would have made of the same request; one that the log does not tell is
missing, as it would be in a service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from guardrail.adapters.http.address import hop_of
from guardrail.adapters.http.attributes import queries_of
from guardrail.adapters.http.resources import values_in, verb_of

SECOND_US = 1_000_000


class Call(NamedTuple):
    """Hold one call.

    Attributes:
        at_us: When it came in. First, because calls are sorted by it; `number` comes next and is unique.
        number: Its line, counted over all logs.
        target: The path, with the query if there is one.
        duration_us: How long it took; None: the log does not say.
        coarse: The log tells its time in whole seconds.
        more: Other attributes by their names; `resource` where the log names it itself.
    """

    at_us: int
    number: int
    method: str
    target: str
    client: str | None
    user: str | None
    agent: str | None
    referer: str | None
    status: int
    duration_us: int | None
    coarse: bool
    more: Mapping[str, str] | None


class Attributes:
    """Look attributes of one call up, when a rule names them."""

    __slots__ = ("call", "resource")

    def __init__(self, call: Call, resource: str) -> None:
        self.call = call
        self.resource = resource

    def get(self, name: str) -> str | None:
        """Return an attribute; None: the log does not tell it."""
        call = self.call
        if call.more is not None and name in call.more:
            return call.more[name]
        read = _READ.get(name)
        if read is not None:
            return read(call)
        family, _, rest = name.partition(".")
        if name == "resource":
            return self.resource
        if family == "query":
            return _queries(call.target.partition("?")[2]).get(rest)
        if family == "path":
            return values_in(self.resource, place_of(call)).get(rest)
        return None


@lru_cache(maxsize=65_536)
def address(text: str) -> str:
    """Write a client's address as adapters do: IPv6 by its /64, IPv4-mapped as IPv4. A host name stays what it is."""
    hop = hop_of(text)
    return text if hop is None else hop.key


def place_of(call: Call) -> str:
    """Return what is called, `GET /v1/orders/17`, as an application sees it: no query, no host, nothing escaped."""
    path = call.target.partition("?")[0]
    if not path.startswith("/"):
        scheme, _, rest = path.partition("://")
        if rest and scheme.isalpha():
            path = "/" + rest.partition("/")[2]
    return f"{verb_of(call.method)} {unquote(path) if '%' in path else path}"


_queries = lru_cache(maxsize=4_096)(queries_of)

_READ: dict[str, Callable[[Call], str | None]] = {
    "client.ip": lambda call: None if call.client is None else address(call.client),
    "user": lambda call: call.user,
    "method": lambda call: call.method,
    "status": lambda call: str(call.status),
    "header.user-agent": lambda call: call.agent,
    "header.referer": lambda call: call.referer,
}
