"""Who is calling: the address of the client, behind the proxies that are trusted and no others.

Law: what a hop says of the one before it is believed only if that hop is trusted, so the walk goes from the right and
ends at the first that is not; what is no address ends it at the last good hop. Nobody outside can choose the result.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from logging import getLogger
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

UNIX = "unix"  # a peer on a unix socket has no address; this word trusts it
LONGEST = 64  # characters of an address with brackets, zone and port
_REMEMBERED = 4096
_PIECES = {mark: re.compile(rf'(?:[^"{mark}]+|"(?:[^"\\]|\\.)*")*') for mark in ",;"}
_PRIVATE_PEER = (
    "%s forwards requests of others and is no trusted proxy, so all of them count as one client for rules that use "
    "client.ip; name it in trusted_proxies or GUARDRAIL_TRUSTED_PROXIES"
)

Network = IPv4Network | IPv6Network
_PRIVATE: tuple[Network, ...] = tuple(  # where proxies stand; `is_private` counts examples of documents too
    ip_network(text)
    for text in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)


class Hop(NamedTuple):
    """Hold one address on the way.

    Attributes:
        key: What counts as one client: an IPv4 address, or the /64 of an IPv6 address.
    """

    address: IPv4Address | IPv6Address
    key: str
    is_private: bool


class ClientAddresses:
    """Find out who is calling. Safe from any thread or task.

    Args:
        trusted: Addresses and networks whose forwarding headers are believed; `unix` for peers without an address.
    """

    __slots__ = ("_has_warned", "_is_trusted", "_networks", "_strangers", "_trusts_unix")

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        words = list(trusted)
        self._trusts_unix = UNIX in words
        self._networks: tuple[Network, ...] = tuple(network_of(word) for word in words if word != UNIX)
        self._is_trusted = lru_cache(_REMEMBERED)(self._look_up)
        self._has_warned = bool(words)
        self._strangers: dict[str | None, str] = {}

    def find(self, peer: str | None, lines: Callable[[str], Sequence[str]]) -> str | None:
        """Return the client's address as rules see it; None where there is none.

        Args:
            peer: Who the connection is from, as the server says it.
            lines: Returns the lines of a request header by its lower-case name.
        """
        known = self._strangers.get(peer)
        if known is not None:
            return known
        start = hop_of(peer) if peer else None
        if start is None and peer:
            return peer  # a name that a server or a test client made up
        if self._trusts(start):
            start = self._walk(start, lines)
        elif not self._has_warned and (start is None or start.is_private) and _forwards(lines):
            self._has_warned = True
            getLogger("guardrail.http").warning(_PRIVATE_PEER, peer or "a peer without an address")
        elif start is not None and peer and not start.is_private:
            self._remember(peer, start.key)
        return None if start is None else start.key

    def _remember(self, peer: str, key: str) -> None:
        """Remember a peer whose headers mean nothing, whatever they say."""
        if len(self._strangers) >= _REMEMBERED:
            self._strangers.clear()
        self._strangers[peer] = key

    def _walk(self, start: Hop | None, lines: Callable[[str], Sequence[str]]) -> Hop | None:
        de_facto, standard = lines("x-forwarded-for"), lines("forwarded")
        if not standard:
            return self._follow(start, _entries(de_facto))
        by_standard = self._follow(start, _fors(standard))
        if not de_facto or self._follow(start, _entries(de_facto)) == by_standard:
            return by_standard
        return start  # a proxy writes one of them, and passes on what a client made up in the other

    def _follow(self, hop: Hop | None, texts: Iterator[str]) -> Hop | None:
        for text in texts:
            if not self._trusts(hop):
                break
            further = hop_of(text)
            if further is None:
                break
            hop = further
        return hop

    def _trusts(self, hop: Hop | None) -> bool:
        return self._trusts_unix if hop is None else bool(self._networks) and self._is_trusted(hop.address)

    def _look_up(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


def network_of(text: str) -> Network:
    """Return an address or a network in CIDR notation as a network.

    Raises:
        ValueError: It is neither.
    """
    network = ip_network(text.strip(), strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None else ip_network(f"{mapped}/{max(0, network.prefixlen - 96)}", strict=False)


def hop_of(text: str) -> Hop | None:
    """Return the address in *text*, which may have brackets, a zone and a port; None: it is none."""
    return _hop_of(text) if len(text) <= LONGEST else None


@lru_cache(_REMEMBERED)
def _hop_of(text: str) -> Hop | None:
    host = text.strip(" \t")
    port = ""
    if host.startswith("["):
        host, _, port = host[1:].partition("]")
    elif host.count(":") == 1:
        host, colon, port = host.partition(":")
        port = colon + port
    if port and not re.fullmatch(r":[0-9]{1,5}", port):
        return None
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return Hop(address, str(IPv6Network((int(address) >> 64 << 64, 64))), _is_private(address))
        address = address.ipv4_mapped
    return Hop(address, str(address), _is_private(address))


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in _PRIVATE)


def _forwards(lines: Callable[[str], Sequence[str]]) -> bool:
    return bool(lines("x-forwarded-for") or lines("forwarded"))


def _entries(lines: Sequence[str]) -> Iterator[str]:
    """Yield what X-Forwarded-For lists, from the right."""
    for line in reversed(lines):
        rest, comma = line, ","
        while comma:
            rest, comma, entry = rest.rpartition(",")
            yield entry


def _fors(lines: Sequence[str]) -> Iterator[str]:
    """Yield what Forwarded (RFC 7239) says whom each hop forwarded for, from the right; what is no address as it is."""
    for line in reversed(lines):
        elements = _split(line, ",")
        if elements is None:
            yield ""
            return
        for element in reversed(elements):
            pairs = [pair.partition("=") for pair in _split(element, ";") or ()]
            named = [value.strip(" \t") for name, _, value in pairs if name.strip(" \t").lower() == "for"]
            yield _unquoted(named[0]) if len(named) == 1 else ""


def _split(text: str, mark: str) -> list[str] | None:
    """Return the parts between the marks that stand outside of quotes; None: a quote is not closed."""
    parts = []
    position = 0
    while True:
        piece = _PIECES[mark].match(text, position)
        assert piece is not None
        parts.append(piece[0])
        position = piece.end() + 1
        if position > len(text):
            return parts
        if text[position - 1] != mark:
            return None


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
