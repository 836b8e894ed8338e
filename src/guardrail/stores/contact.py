"""Contact: what a server says of itself, and what its refusals and our failures to reach it mean.

Law: every fault has one word and one sentence that says what to do; no password is in either. Nothing that has failed is
tried again, because it may have been done.
"""

from __future__ import annotations

import re
from ssl import SSLError
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

INFO = b"*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n"


RIGHTS = (  # what the scripts call, and how they are called
    "+evalsha +script|load +info +scan +time +get +psetex +del +pexpire +getrange +setrange +strlen"
    " +zadd +zcard +zremrangebyscore"
)


class Fault(NamedTuple):
    """Say why a store could not be asked.

    Attributes:
        word: One word for it.
        message: A sentence for people.
        lasts: It will not pass by itself: somebody has to change a setting.
        elsewhere: This server will not do, another one behind the same name may: the connection is given up.
    """

    word: str
    message: str
    lasts: bool = False
    elsewhere: bool = False


TIMEOUT = Fault("timeout", "no answer in time; whether the calls were counted is not known")
NO_CONNECTION = Fault("timeout", "no connection in time")
CLOSED = Fault("connection", "the server closed the connection")
GARBLED = Fault("protocol", "what answers is no Redis server: it does not speak RESP; check host and port in the URL")
LEFT = Fault("connection", "the connection was given up")

# what an error begins with, as the server says it: word, what to do, lasts, elsewhere
_REFUSALS: list[tuple[str, str, str, bool, bool]] = [
    ("NOAUTH", "password", "put the password into the store's URL, as redis://:password@host", True, True),
    ("WRONGPASS", "password", "check user name and password in the store's URL", True, True),
    ("NOPERM", "rights", "give the user of the store's URL the right: ACL SETUSER <user> {rights}", True, False),
    ("OOM", "memory", "raise maxmemory, or let limits have a server of their own", False, False),
    ("READONLY", "readonly", "the store's URL must name the primary, this is a replica", False, True),
    ("LOADING", "loading", "it has just started and is reading its data", False, False),
    ("BUSY", "busy", "another script is running for too long; limits need a server without such", False, False),
    ("MISCONF", "persistence", "it cannot save and refuses writes; see its log, or stop-writes-on-bgsave-error", False, False),
    ("MASTERDOWN", "readonly", "it is a replica that has lost its primary", False, True),
    ("CLUSTERDOWN", "cluster", "it is part of a cluster that is not whole", False, False),
    ("MOVED", "cluster", "it is part of a cluster; the store's URL must name a single server", True, False),
    ("ASK ", "cluster", "it is part of a cluster; the store's URL must name a single server", True, False),
    ("CROSSSLOT", "cluster", "it is part of a cluster; the store's URL must name a single server", True, False),
    ("NOSCRIPT", "scripting", "it does not keep the script it was given", False, False),
    ("ERR max number of clients", "connection", "raise maxclients", False, False),
    ("ERR DB index", "database", "choose another database in the store's URL", True, True),
    ("ERR invalid DB index", "database", "choose another database in the store's URL", True, True),
    ("ERR AUTH", "password", "the server has no password: leave it out of the store's URL", True, True),
    ("ERR unknown command", "scripting", "limits need a server with scripting: EVALSHA and SCRIPT LOAD", True, False),
]  # fmt: skip
_CODE = re.compile(r"[A-Z]{3,} ")
_INSIDE = re.compile(r"@user_script: ?[0-9]+: -([A-Z]+ .*)", re.DOTALL)  # Redis 6: what a command in a script met with
_WHERE = re.compile(r" script: [0-9a-f]{40}, on @user_script:[0-9]+")  # Redis 7
_NO_RIGHT = re.compile(r"no permissions|can't run this command|ACL failure|can't access")


def refused(text: str, rights: str) -> Fault:
    """Say what a server's refusal means.

    Args:
        rights: What the store's user must be allowed, as ACL rules.
    """
    text = _WHERE.sub("", text)
    if inside := _INSIDE.search(text):
        text = inside[1]
    if _NO_RIGHT.search(text) and not text.startswith("NOPERM"):  # servers differ in what that begins with, in a script
        text = f"NOPERM {text.removeprefix('ERR ')}"
    for start, word, advice, lasts, elsewhere in _REFUSALS:
        if text.startswith(start):
            said = _CODE.sub("", text, count=1)
            return Fault(word, f"the server says: {said.rstrip('.')}; {advice.format(rights=rights)}", lasts, elsewhere)
    return Fault("script", f"the server says: {text}")


def failed(error: Exception, rights: str) -> Fault:
    """Say why no connection could be made, by what redis-py or the system raised."""
    from redis import exceptions

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SSLError):
            return Fault("tls", f"{error}; check certificates, and ssl_ca_certs in the store's URL", lasts=False)
        cause = cause.__cause__ or cause.__context__
    match error:
        case exceptions.BusyLoadingError():
            return refused(f"LOADING {error}", rights)
        case exceptions.NoPermissionError():
            return refused(f"NOPERM {error}", rights)
        case exceptions.AuthenticationError():
            text = str(error)
            code = "WRONGPASS" if "invalid" in text.lower() else "ERR AUTH" if "without any" in text else "NOAUTH"
            return refused(f"{code} {text}", rights)
        case exceptions.ResponseError():
            text = str(error)
            return refused(text if _CODE.match(text) else f"ERR {text}", rights)
        case exceptions.TimeoutError() | TimeoutError():
            return NO_CONNECTION
        case exceptions.InvalidResponse():
            return GARBLED
        case _:
            return Fault("connection", str(error) or type(error).__name__)


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
