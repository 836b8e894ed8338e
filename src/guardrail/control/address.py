"""Addresses that a control endpoint may have: on loopback, with one port or a range of them.

Law: what is not loopback is refused, in words, before a socket is made.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple

from guardrail.rules.spelling import shown

MOST_PORTS = 64
_FORM = re.compile(r"(?:\[(?P<six>[^]]*)]|(?P<four>[^]:[]+)):(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?")


class Address(NamedTuple):
    """Hold a loopback address and the ports to try, in this order. Port 0: any that is free."""

    host: str
    ports: range

    def __str__(self) -> str:
        last = f"-{self.ports[-1]}" if len(self.ports) > 1 else ""
        return f"{location(self.host, self.ports[0])}{last}"

    def locations(self) -> list[str]:
        """Return `host:port` for each port."""
        return [location(self.host, port) for port in self.ports]


def read_address(text: str) -> Address:
    """Read `127.0.0.1:9911`, `localhost:9911`, `[::1]:9911`, or a range of ports such as `127.0.0.1:9911-9918`.

    Raises:
        ValueError: It is none of these, or not on loopback.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"must be an address and a port, such as 127.0.0.1:9911, got {shown(text)}")
    first = int(found["first"])
    last = int(found["last"] or first)
    if max(first, last) > 65_535:
        raise ValueError(f"ports end at 65535, got {shown(text)}")
    if last < first or last - first >= MOST_PORTS or (first == 0 and last):
        raise ValueError(f"must be a range of 1 to {MOST_PORTS} ports, such as 9911-9918, got {shown(text)}")
    return Address(_loopback(found["six"] or found["four"] or "", text), range(first, last + 1))


def location(host: str, port: int) -> str:
    """Write an address as URLs and Host headers have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _loopback(host: str, text: str) -> str:
    if host.lower() == "localhost":
        return "127.0.0.1"
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise ValueError(
            f"must be on loopback, such as 127.0.0.1:9911, got {shown(text)}; to reach it from another machine, "
            "forward the port: ssh -L 9911:127.0.0.1:9911 HOST, or kubectl port-forward POD 9911"
        )
    return str(address)
