"""Contact: what a server says of itself, and what its error replies mean.

Law: every fault has one word and one sentence that says what to do; no password is in either. Nothing that has failed is
tried again, because it may have been done.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INFO = b"*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n"

RIGHTS = (  # what the scripts call, how they are called, and what is looked at on first contact
    "+evalsha +script|load +info +scan +time +get +psetex +del +pexpire +getrange +setrange +strlen"
    " +zadd +zcard +zremrangebyscore"
)


def rights_of(prefix: str, settings: Mapping[str, object]) -> str:
    """Return what the user of a store must be allowed, as ACL rules."""
    rights = f"~{prefix}:* {RIGHTS}"
    if settings.get("db"):
        rights += " +select"
    if settings.get("client_name"):
        rights += " +client|setname"
    return rights


class Fault(NamedTuple):
    """Say why a store could not be asked.

    Attributes:
        word: One word for it.
        message: A sentence for people.
        lasts: It will not pass by itself: somebody has to change a setting.
        elsewhere: This server will not do, another one behind the same name may: the connection is given up.
        ours: The server had no part in it.
    """

    word: str
    message: str
    lasts: bool = False
    elsewhere: bool = False
    ours: bool = False


TIMEOUT = Fault("timeout", "no answer within the timeout; whether the call was counted is not known")
NO_CONNECTION = Fault("timeout", "no connection in time; check host, port and timeout in the store's URL")
CLOSED = Fault("connection", "the server closed the connection")
GARBLED = Fault("protocol", "what answers is no Redis server: it does not speak RESP; check host and port in the URL")
LEFT = Fault("connection", "the connection was given up", ours=True)
OVERDUE = Fault("connection", "the thread that spoke for others was late, so its connection was given up", ours=True)

# what an error reply begins with: word, what to do, lasts, elsewhere
_REPLIES: list[tuple[str, str, str, bool, bool]] = [
    ("NOAUTH", "password", "put the password into the store's URL, as redis://:password@host", True, True),
    ("WRONGPASS", "password", "check user name and password in the store's URL", True, True),
    ("NOPERM", "rights", "give the user of the store's URL these rights: ACL SETUSER <user> {rights}", True, False),
    ("OOM", "memory", "raise maxmemory, or give limits a server of their own", False, False),
    ("READONLY", "readonly", "this is a replica; the store's URL must name the primary", False, True),
    ("LOADING", "loading", "it has just started and is still reading its data", False, False),
    ("BUSY", "busy", "another script runs for too long: end it with SCRIPT KILL", False, False),
    ("MISCONF", "persistence", "see its log, or set stop-writes-on-bgsave-error to no", False, False),
    ("MASTERDOWN", "readonly", "this is a replica that has lost its primary", False, True),
    ("CLUSTERDOWN", "cluster", "it is part of a cluster that is not whole", False, False),
    ("MOVED", "cluster", "it is part of a cluster; the store's URL must name a single server", True, False),
    ("ASK ", "cluster", "it is part of a cluster; the store's URL must name a single server", True, False),
    ("CROSSSLOT", "cluster", "it is part of a cluster; the store's URL must name a single server", True, False),
    ("NOSCRIPT", "scripting", "it does not keep scripts; the store's URL must name one server", False, False),
    ("ERR max number of clients", "connection", "raise maxclients on the server", False, False),
    ("ERR DB index", "database", "choose another database in the store's URL", True, True),
    ("ERR invalid DB index", "database", "choose another database in the store's URL", True, True),
    ("ERR AUTH", "password", "it has no password: leave it out of the store's URL", True, True),
    ("ERR unknown command", "scripting", "limits need a server with scripting: EVALSHA and SCRIPT LOAD", True, False),
]  # fmt: skip
CODE = re.compile(r"[A-Z]{3,} ")
_INSIDE = re.compile(r"@user_script: ?[0-9]+: -([A-Z]+ .*)", re.DOTALL)  # Redis 6: what a command in a script met with
_WHERE = re.compile(r" script: [0-9a-f]{40}, on @user_script:[0-9]+")  # Redis 7
_ARGUMENTS = re.compile(r",? with args beginning with:.*", re.DOTALL)  # of AUTH, what it begins with is the password
_NO_RIGHT = re.compile(r"no permissions|can't run this command|ACL failure|can't access")


def fault_of_reply(text: str, rights: str) -> Fault:
    """Say what an error reply of a server means.

    Args:
        rights: What the store's user must be allowed, as ACL rules.
    """
    text = _ARGUMENTS.sub("", _WHERE.sub("", text))
    if inside := _INSIDE.search(text):
        text = inside[1]
    if _NO_RIGHT.search(text) and not text.startswith("NOPERM"):  # servers differ in what that begins with, in a script
        text = f"NOPERM {text.removeprefix('ERR ')}"
    for start, word, advice, lasts, elsewhere in _REPLIES:
        if text.startswith(start):
            said = text if word == "cluster" else CODE.sub("", text, count=1)  # MOVED alone says what happened
            return Fault(word, f"the server says: {said.rstrip('.')}; {advice.format(rights=rights)}", lasts, elsewhere)
    return Fault("script", f"the server says: {text}")


def look(memory: bytes, warn: Callable[[str, str], None]) -> None:
    """Look through `INFO memory` for what endangers limits."""
    found = re.search(rb"^maxmemory_policy:(allkeys-\S+)", memory, re.MULTILINE)
    if found:
        policy = found[1].decode(errors="replace")
        warn(
            "maxmemory-policy",
            f"maxmemory-policy is {policy}: a server short of memory would throw away what has been used of limits, and"
            " they would be full again; set maxmemory-policy to noeviction",
        )
