"""Server: what all connections of a store share.

Law: nothing in here waits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from guardrail.stores.contact import RIGHTS, failed, refused
from guardrail.stores.frames import Frames
from guardrail.stores.health import Health
from guardrail.stores.heartbeat import Heartbeat

if TYPE_CHECKING:
    from guardrail.clock import Clock
    from guardrail.stores.contact import Fault
    from guardrail.stores.url import StoreUrl

LONGEST_DIAL_S = 0.8  # below a second: one that began when the server came back must not keep the next one waiting


class Server:
    """Know a server: where it is, how it is spoken to, how it is.

    Attributes:
        clock: Gives the scripts their time; None: the server's own.
        timeout_s: How long a call may take.
        dial_s: How long connecting may take, all its steps together.
    """

    __slots__ = ("clock", "dial_s", "frames", "health", "heartbeat", "rights", "timeout_s", "url")

    def __init__(self, url: StoreUrl, clock: Clock | None) -> None:
        self.url = url
        self.clock = clock
        self.timeout_s = url.timeout_us / 1_000_000
        self.dial_s = max(LONGEST_DIAL_S, self.timeout_s)
        self.frames = Frames(url.prefix)
        self.health = Health(url.shown)
        self.heartbeat = Heartbeat(url.prefix)
        self.rights = f"~{url.prefix}:* {RIGHTS}"

    @staticmethod
    def now() -> float:
        """Return the time that deadlines are kept in: seconds of the monotonic clock."""
        return time.monotonic()

    def deadline(self) -> float:
        """Return until when a call that begins now may take."""
        return time.monotonic() + self.timeout_s

    def now_us(self) -> int | None:
        """Return the time for a script; None: the server knows."""
        return None if self.clock is None else self.clock.now_us()

    def refused(self, text: str) -> Fault:
        """Say what the server's refusal means."""
        return refused(text, self.rights)

    def failed(self, error: Exception) -> Fault:
        """Say why no connection could be made."""
        return failed(error, self.rights)

    def after_fork(self) -> None:
        """Start again in a child: it is a process of its own, and its breaker's lock is free."""
        self.health.after_fork()
        self.heartbeat = Heartbeat(self.url.prefix)
