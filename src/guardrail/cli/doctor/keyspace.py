"""Keyspace: how many keys guardrail has there, and how many processes share them.

Law: the search is bounded; where it ends early, the answer says "at least".
"""

from __future__ import annotations

import re
from time import monotonic
from typing import TYPE_CHECKING

from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.cli.words import number
from guardrail.stores.resp import ErrorReply

if TYPE_CHECKING:
    from guardrail.cli.doctor.facts import Facts
    from guardrail.cli.doctor.visit import Visit
    from guardrail.stores.url import StoreUrl

PAGE = 1000  # keys that the server looks at for one answer: well below a millisecond
PAGES = 200
SEARCH_S = 2.0
_GLOB = re.compile(r"([\\*?\[\]^-])")


def keys_finding(visit: Visit, url: StoreUrl, facts: Facts) -> Finding | None:
    """Count guardrail's keys; None: the server does not let this user look."""
    pattern = _GLOB.sub(r"\\\1", f"{url.prefix}:") + "*"
    cursor, count, pages = b"0", 0, 0
    until = monotonic() + SEARCH_S
    while pages < PAGES and monotonic() < until:
        match visit.ask(b"SCAN", cursor, b"MATCH", pattern.encode(), b"COUNT", b"%d" % PAGE):
            case [bytes() as cursor, [*names]]:
                count, pages = count + len(names), pages + 1
            case _:
                return None
        if cursor == b"0":
            break
    whole = cursor == b"0"
    db = int(url.settings["db"])
    among = facts.keys_in(db)
    least = "" if whole else "at least "
    beside = "" if among is None else f", of {among:,} in database {db}"
    found = f"{least}{number(count, 'key')} begin with {url.prefix}:{beside}"
    return fine("store.keys", found, {"keys": count, "whole": whole, "database": among})


def processes_finding(visit: Visit, url: StoreUrl) -> Finding | None:
    """Count the processes that share the store; None: the server does not tell."""
    count = visit.ask(b"ZCARD", f"{url.prefix}:processes".encode())
    if isinstance(count, ErrorReply) or not isinstance(count, int):
        return None
    code, measured = "store.processes", {"processes": count}
    if count:
        return fine(code, f"{number(count, 'process')} asked for limits within the last half minute", measured)
    return Finding(
        Severity.NOTE,
        code,
        "no process has asked for a shared limit within the last 15 s",
        "if the service runs and has calls, it counts elsewhere: under another prefix, in another database, or in itself",
        "if it runs, compare its GUARDRAIL_STORE with this URL",
        measured,
    )
