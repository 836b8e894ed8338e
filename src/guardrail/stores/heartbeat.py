"""Heartbeat: how many processes share a store.

Law: a process counts once, whatever number of stores it has, and not any more when it has been silent for its lifetime.
A beat travels with calls, in the same write: a process that makes no calls does not count, and needs no thread to say so.
"""

from __future__ import annotations

import os
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING

from guardrail.stores import scripts
from guardrail.stores.resp import ErrorReply, command
from guardrail.stores.talk import Question

if TYPE_CHECKING:
    from guardrail.stores.resp import Answer
    from guardrail.stores.talk import Talk

EVERY_S = 5.0
LIFETIME_MS = 15_000


@cache
def own_id(pid: int) -> bytes:
    """Return the name of this process; a child has another *pid*, so another name."""
    return b"%d-%b" % (pid, os.urandom(8).hex().encode())


class Heartbeat:
    """Say that this process is alive, and remember how many are.

    Attributes:
        live: How many there were when last heard of, at least 1.
        due: When the next beat is due, in seconds of the monotonic clock.
    """

    __slots__ = ("_key", "due", "live")

    def __init__(self, prefix: str) -> None:
        self._key = f"{prefix}:processes".encode()
        self.live = 1
        self.due = 0.0

    def beat(self, talk: Talk) -> None:
        """Send one along."""
        self.due = monotonic() + EVERY_S
        script = scripts.heartbeat()
        lifetime = b"%d" % LIFETIME_MS
        words = command(b"EVALSHA", script.sha.encode(), b"1", self._key, own_id(os.getpid()), lifetime)
        talk.ask(words, Beat(self, words))


class Beat(Question):
    """Wait for the answer to one beat."""

    __slots__ = ("_again", "_heartbeat", "_words")

    def __init__(self, heartbeat: Heartbeat, words: bytes) -> None:
        super().__init__()
        self._heartbeat, self._words, self._again = heartbeat, words, False

    def hear(self, answer: Answer, talk: Talk) -> None:
        if isinstance(answer, int):
            self._heartbeat.live = max(1, answer)
        elif isinstance(answer, ErrorReply) and answer.text.startswith("NOSCRIPT") and not self._again:
            self._again = True
            talk.load(scripts.heartbeat(), Question())
            talk.ask(self._words, self)
