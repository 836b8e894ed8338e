"""Forgetting: the steps in which states are deleted, for whoever takes them, a thread or a task.

Law: only states of the rule are deleted, whatever its name looks like. No step keeps the server busy for long.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guardrail.errors import StoreError
from guardrail.stores.flight import MOST, Errand
from guardrail.stores.protocol import Reply, Unavailable
from guardrail.stores.resp import ErrorReply, command

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from guardrail.stores.flight import Cargo, Outcome
    from guardrail.stores.resp import Answer
    from guardrail.stores.server import Server

AT_A_TIME = b"1000"
_GLOB = re.compile(r"([\\*?\[\]^-])")


def forgetting(server: Server, rule: str, keys: Sequence[str] | None) -> Generator[Cargo, Outcome, None]:
    """Yield what is to be asked, and take the outcomes.

    Raises:
        StoreError: The store could not be asked.
    """
    if keys is not None:
        yield from _delete(server, keys)
        return
    prefix = f"{server.url.prefix}:"
    pattern = _GLOB.sub(r"\\\1", prefix) + "{*}:" + _GLOB.sub(r"\\\1", rule)
    cursor = b"0"
    while True:
        cursor, found = _page(
            server, (yield Errand(command(b"SCAN", cursor, b"MATCH", pattern.encode(), b"COUNT", AT_A_TIME)))
        )
        names = [name.decode(errors="replace").removeprefix(prefix) for name in found]
        yield from _delete(server, [name for name in names if name.partition("}:")[2] == rule])
        if cursor == b"0":
            return


def _delete(server: Server, keys: Sequence[str]) -> Generator[Cargo, Outcome, None]:
    for start in range(0, len(keys), MOST):
        _told(server, (yield server.frames.forget_order(keys[start : start + MOST])))


def _page(server: Server, outcome: Outcome) -> tuple[bytes, list[bytes]]:
    match _told(server, outcome):
        case [bytes() as cursor, [*found]]:
            return cursor, [name for name in found if isinstance(name, bytes)]
        case other:
            raise StoreError(f"{server.url.shown} answers SCAN with {other!r}; nothing more was forgotten")


def _told(server: Server, outcome: Outcome) -> Answer:
    if isinstance(outcome, Unavailable):
        reason = server.health.reason or "it does not answer"
    elif isinstance(outcome, ErrorReply):
        reason = server.fault_of_reply(outcome.text).message
    else:
        return None if isinstance(outcome, Reply) else outcome
    raise StoreError(f"{server.url.shown} could not be asked to forget: {reason}")
