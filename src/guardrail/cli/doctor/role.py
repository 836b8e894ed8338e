"""Role: what kind of server it is, and whether limits can live there at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.cli.words import number

if TYPE_CHECKING:
    from guardrail.cli.doctor.facts import Facts

LEAST = (6, 2)  # the oldest that the README promises
_ALONE = "most limits cannot be counted: each is decided by its on_store_error"


def role_findings(facts: Facts) -> Iterator[Finding]:
    """Look at version and role."""
    yield from _version(facts)
    if facts.text("redis_mode") == "sentinel":
        yield Finding(
            Severity.ERROR,
            "store.role",
            "it is a sentinel, which keeps no keys",
            _ALONE,
            "name the server that it watches over; redis+sentinel:// is not in this version",
        )
    elif facts.text("role") == "slave":
        primary = f"{facts.text('master_host')}:{facts.text('master_port')}"
        yield Finding(
            Severity.ERROR,
            "store.role",
            f"it is a replica, of {primary}",
            "it takes no writes, so nothing can be counted: each limit is decided by its on_store_error",
            "name the primary in the store's URL",
            {"role": "replica", "primary": primary},
        )
    elif facts.text("role") is not None:
        replicas = facts.number("connected_slaves") or 0
        with_them = f", with {number(replicas, 'replica')}" if replicas else ""
        yield fine("store.role", f"it is a primary{with_them}", {"role": "primary", "replicas": replicas})
    if facts.number("cluster_enabled"):
        yield Finding(
            Severity.ERROR,
            "store.cluster",
            "it is part of a Redis Cluster",
            f"it keeps the keys of its own slots only, and {_ALONE}",
            "name a single server in the store's URL; redis+cluster:// is not in this version",
            {"cluster": True},
        )
    elif facts.number("cluster_enabled") == 0:
        yield fine("store.cluster", "it is a server of its own, not part of a cluster", {"cluster": False})


def _version(facts: Facts) -> Iterator[Finding]:
    valkey, redis = facts.text("valkey_version"), facts.text("redis_version")
    text = valkey or redis
    if text is None:
        return
    name = f"{'Valkey' if valkey else 'Redis'} {text}"
    measured = {"server": "valkey" if valkey else "redis", "version": text}
    numbers = tuple(int(part) for part in re.findall(r"[0-9]{1,9}", redis or "")[:2])  # Valkey says both
    if numbers and numbers < LEAST:
        least = ".".join(map(str, LEAST))
        means = f"guardrail is not tested with anything older than {least}; the scripts may not run"
        advice = f"use Redis {least} or later, or Valkey"
        yield Finding(Severity.WARNING, "store.version", name, means, advice, measured)
    else:
        yield fine("store.version", name, measured)
