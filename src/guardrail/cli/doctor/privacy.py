"""Privacy: who on the way to a server can listen, and who may ask it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address
from ssl import cert_time_to_seconds
from time import time
from typing import TYPE_CHECKING, Any

from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.cli.words import number

if TYPE_CHECKING:
    from ssl import SSLSocket

    from guardrail.cli.doctor.visit import Visit
    from guardrail.stores.url import StoreUrl

SOON_DAYS = 14
_DAY_S = 86_400
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")


def missing_files(url: StoreUrl) -> Iterator[Finding]:
    """Find certificates that the URL names and that cannot be read: what the system says of them names no file."""
    for name in _FILES:
        path = url.settings.get(name)
        if path is not None and not os.access(str(path), os.R_OK):
            yield Finding(
                Severity.ERROR,
                "store.tls-files",
                f"{name} names {path}, which cannot be read",
                "no connection can be made, so each limit is decided by its on_store_error",
                "correct the path in the store's URL, or let this user read the file",
                {"option": name, "path": str(path)},
            )


def privacy_findings(visit: Visit, url: StoreUrl) -> Iterator[Finding]:
    """Look at what protects a connection."""
    if visit.secured is not None:
        yield from tls_findings(visit.secured, url)
    elif visit.peer is None:
        yield fine("store.tls", "a unix socket: nobody can listen on the way", {"tls": None})
    elif is_loopback(visit.peer):
        yield fine("store.tls", f"{visit.peer} is this machine: nobody can listen on the way", {"tls": None})
    else:
        yield Finding(
            Severity.WARNING,
            "store.tls",
            f"the connection to {visit.peer} is not encrypted",
            "whoever can listen on the way reads the password and the keys, and can answer in the server's place",
            "let the server speak TLS, and begin the URL with rediss://, unless something else encrypts the way",
            {"tls": None},
        )
    if visit.peer is None or is_loopback(visit.peer):
        return
    if not url.settings.get("password") and not url.settings.get("ssl_certfile"):
        yield Finding(
            Severity.WARNING,
            "store.password",
            f"{visit.peer} answers without a password",
            "whoever can reach it can spend and reset everybody's limits",
            f"give limits a user of their own, as the README shows: ACL SETUSER app on >secret ~{url.prefix}:* ...",
        )


def tls_findings(secured: SSLSocket, url: StoreUrl) -> Iterator[Finding]:
    """Look at an encrypted connection, and at the certificate behind it."""
    spoken = secured.version() or "TLS"
    if url.settings.get("ssl_cert_reqs") == "none" or not url.settings.get("ssl_check_hostname"):
        what = "certificate" if url.settings.get("ssl_cert_reqs") == "none" else "name in the certificate"
        yield Finding(
            Severity.WARNING,
            "store.tls",
            f"{spoken}, and nobody looks at the server's {what}",
            "whoever can redirect the connection can answer in the server's place, and reads the password",
            "leave ssl_cert_reqs and ssl_check_hostname out of the URL; name your own authority in ssl_ca_certs",
            {"tls": spoken},
        )
        return
    days = _days_left(secured.getpeercert())
    measured = {"tls": spoken, "days_left": days}
    if days is not None and days < SOON_DAYS:
        yield Finding(
            Severity.WARNING,
            "store.tls",
            f"{spoken}; the server's certificate ends in {number(days, 'day')}",
            "from then on nobody can connect, and each limit is decided by its on_store_error",
            "renew it, and see why that does not happen by itself",
            measured,
        )
    else:
        yield fine("store.tls", f"{spoken}; the certificate holds for {number(days or 0, 'day')} more", measured)


def is_loopback(peer: str) -> bool:
    """Tell whether an address is this machine."""
    address = ip_address(peer.partition("%")[0])
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _days_left(certificate: dict[str, Any] | None) -> int | None:
    end = (certificate or {}).get("notAfter")
    return None if end is None else int((cert_time_to_seconds(end) - time()) // _DAY_S)
