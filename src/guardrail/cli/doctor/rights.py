"""Rights: what the user of a store's URL may do there, each tried by itself.

Law: nothing is left behind, not even by a user who may write and not delete: what is tried creates no key, or one that
expires within a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, Literal, NamedTuple

from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.rules.spelling import any_of, shown
from guardrail.stores import scripts
from guardrail.stores.contact import fault_of_reply
from guardrail.stores.resp import ErrorReply

if TYPE_CHECKING:
    from guardrail.cli.doctor.visit import Visit
    from guardrail.stores.url import StoreUrl

KEY, PROCESSES = b"KEY", b"PROCESSES"  # stand for a key that nobody else has, and for that of the heartbeats


class Need(NamedTuple):
    """Hold what a store asks for one purpose.

    Attributes:
        tries: For each right, as ACL SETUSER takes it, a command that needs it.
    """

    severity: Severity
    means: str
    tries: dict[str, tuple[bytes, ...]]


class Tried(NamedTuple):
    """Hold what became of one right.

    Attributes:
        on_keys: It was tried on a key.
        lacks: What the answer says is missing: the right, the keys it was tried on, the command itself; None: nothing.
    """

    right: str
    on_keys: bool
    lacks: Literal["right", "keys", "command"] | None


def needs() -> tuple[Need, ...]:
    """Return all that a store asks for."""
    return (
        Need(
            Severity.ERROR,
            "nothing can be counted there: each limit is decided by its on_store_error",
            {
                "+script|load": (b"SCRIPT", b"LOAD", scripts.admit().source),
                "+evalsha": (b"EVALSHA", b"0" * 40, b"0"),  # of no script: one that runs needs other rights too
                "+time": (b"TIME",),
                "+psetex": (b"PSETEX", KEY, b"1000", b"a key to try rights with"),
                "+get": (b"GET", KEY),
                "+getrange": (b"GETRANGE", KEY, b"0", b"1"),
                "+setrange": (b"SETRANGE", KEY, b"0", b""),  # which creates no key
                "+strlen": (b"STRLEN", KEY),
                "+pexpire": (b"PEXPIRE", KEY, b"1000"),
                "+del": (b"DEL", KEY),
            },
        ),
        Need(
            Severity.WARNING,
            "processes cannot be counted: in an outage each takes the whole limit instead of its share",
            {
                "+zadd": (b"ZADD", KEY, b"XX", b"1", b"x"),  # which creates no key
                "+zcard": (b"ZCARD", PROCESSES),
                "+zremrangebyscore": (b"ZREMRANGEBYSCORE", KEY, b"0", b"0"),
            },
        ),
        Need(
            Severity.WARNING,
            "guard.reset(rule) without a key, which looks for all keys of the rule, fails",
            {"+scan": (b"SCAN", b"0", b"COUNT", b"1")},
        ),
        Need(
            Severity.WARNING,
            "nobody is warned of settings that endanger limits, and much of what is looked at here is unknown",
            {"+info": (b"INFO", b"memory")},
        ),
    )


def rights_findings(visit: Visit, url: StoreUrl) -> Iterator[Finding]:
    """Try every command that a store sends, alone or from its scripts."""
    user = str(url.settings.get("username", "default"))
    keys = {
        KEY: f"{url.prefix}:{{doctor-{token_hex(8)}}}:rights".encode(),
        PROCESSES: f"{url.prefix}:processes".encode(),
    }
    complete = True
    for need in needs():
        for finding in _judged(need, [_tried(visit, *row, keys) for row in need.tries.items()], user, url.prefix):
            complete = False
            yield finding
    if complete:
        yield fine("store.rights", f"the user {shown(user)} may do all that a store does", {"user": user})


def _tried(visit: Visit, right: str, words: tuple[bytes, ...], keys: dict[bytes, bytes]) -> Tried:
    answer = visit.ask(*(keys.get(word, word) for word in words))
    on_keys = not keys.keys().isdisjoint(words)
    if not isinstance(answer, ErrorReply):
        return Tried(right, on_keys, None)
    if answer.text.lower().startswith("err unknown "):
        return Tried(right, on_keys, "command")
    if fault_of_reply(answer.text, "").word != "rights":
        return Tried(right, on_keys, None)  # whatever else is wrong, it was let through
    return Tried(right, on_keys, "keys" if re.search(r"\bkeys?\b", answer.text) else "right")


def _judged(need: Need, tried: Sequence[Tried], user: str, prefix: str) -> Iterator[Finding]:
    if unknown := [_command(one.right) for one in tried if one.lacks == "command"]:
        advice = "use a Redis or Valkey server with scripting; if its commands were renamed, give limits a server of their own"
        found = f"the server does not know {any_of(unknown)}"
        yield Finding(need.severity, "store.commands", found, need.means, advice, {"commands": unknown})
    rights = [one.right for one in tried if one.lacks == "right"]
    on_keys = [one for one in tried if one.on_keys]
    may_not = [f"run {any_of(map(_command, rights))}"] if rights else []
    denied = any(one.lacks == "keys" for one in tried)
    if denied:
        may_not.append(f"read and write keys that begin with {prefix}:")
    if not may_not:
        return
    nobody_knows = all(one.lacks is not None for one in on_keys)  # commands are checked before keys
    words = [f"~{prefix}:*", *rights] if denied or (on_keys and nobody_knows) else rights
    found = f"the user {shown(user)} may not {', nor '.join(may_not)}"
    advice = f"ACL SETUSER {user} {' '.join(words)}"
    yield Finding(need.severity, "store.rights", found, need.means, advice, {"user": user, "missing": words})


def _command(right: str) -> str:
    return right.lstrip("+").replace("|", " ").upper()
