"""Headroom: whether a server has room for more keys and more connections, and what it does when there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.cli.words import number

if TYPE_CHECKING:
    from guardrail.cli.doctor.facts import Facts

TIGHT = 90  # percent


def headroom_findings(facts: Facts) -> Iterator[Finding]:
    """Look at memory and connections."""
    used, most = facts.number("used_memory"), facts.number("maxmemory")
    policy = facts.text("maxmemory_policy")
    if policy is not None:
        yield _eviction(policy, most, facts.number("evicted_keys") or 0)
    if used is not None and most is not None:
        yield _memory(used - (facts.number("mem_not_counted_for_evict") or 0), most, policy)
    yield from _connections(facts)


def _eviction(policy: str, most: int | None, evicted: int) -> Finding:
    code, measured = "store.maxmemory-policy", {"policy": policy, "evicted": evicted}
    found = f"maxmemory-policy is {policy}"
    if policy == "noeviction":
        return fine(code, found, measured)
    which = "keys that expire, which all of guardrail's do" if policy.startswith("volatile") else "any key"
    means = (
        f"a server short of memory throws away {which}: what was used of limits is forgotten, and they are full again"
    )
    advice = "set maxmemory-policy to noeviction; if others need it as it is, give limits a server of their own"
    if evicted:
        found = f"{found}, and {evicted:,} keys have been thrown away since it started"
        return Finding(Severity.ERROR, code, found, means, advice, measured)
    if most == 0:
        found = f"{found}; maxmemory is not set, so nothing is thrown away yet"
    return Finding(Severity.WARNING, code, found, means, advice, measured)


def _memory(used: int, most: int, policy: str | None) -> Finding:
    code, measured = "store.memory", {"used_bytes": used, "maxmemory_bytes": most}
    if most == 0:
        return fine(code, f"{_size(used)} in use; maxmemory is not set", measured)
    found = f"{_size(used)} in use of {_size(most)} (maxmemory)"
    if policy != "noeviction" or used * 100 < most * TIGHT:
        return fine(code, found, measured)
    full = used >= most
    return Finding(
        Severity.ERROR if full else Severity.WARNING,
        code,
        found,
        ("" if full else "once it is full, ") + "it refuses every write: each limit is decided by its on_store_error",
        "raise maxmemory, or give limits a server of their own",
        measured,
    )


def _connections(facts: Facts) -> Iterator[Finding]:
    now, most, rejected = (facts.number(name) for name in ("connected_clients", "maxclients", "rejected_connections"))
    if now is None:
        return
    code, measured = "store.clients", {"connected": now, "maxclients": most, "rejected": rejected}
    found = f"{number(now, 'client')} connected" + ("" if most is None else f", of {most:,} (maxclients)")
    tight = most is not None and now * 100 >= most * TIGHT
    if not tight and not rejected:
        yield fine(code, found, measured)
        return
    if rejected:
        found = f"{found}; {rejected:,} were turned away since it started"
    yield Finding(
        Severity.WARNING,
        code,
        found,
        "a process that is turned away decides each limit by its on_store_error",
        "raise maxclients, or find who keeps so many connections; guardrail has one for all threads, and one an event loop",
        measured,
    )


def _size(size: int) -> str:
    for unit, bytes_of_it in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= bytes_of_it:
            return f"{size / bytes_of_it:,.1f} {unit}"
    return f"{size:,} bytes"
