"""Server: what all connections of a store share.

Law: nothing in here waits.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from guardrail.stores.contact import fault_of_reply, rights_of
from guardrail.stores.frames import Frames
from guardrail.stores.health import Health
from guardrail.stores.heartbeat import Heartbeat
from guardrail.telemetry.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from guardrail.clock import Clock
    from guardrail.stores.contact import Fault
    from guardrail.stores.url import StoreUrl
    from guardrail.telemetry.snapshot import StoreSnapshot

MANY = 64  # times of answers that are counted at once
LEAST_DIAL_S = 0.8  # below a second: one that began when the server came back must not keep the next one waiting


class Server:
    """Know a server: where it is, how it is spoken to, how it is.

    Attributes:
        clock: Gives the scripts their time; None: the server's own.
        timeout_s: How long a call may take.
        dial_s: How long connecting may take, all its steps together.
        took_s: How long connecting took the last time; None: it has never succeeded.
        rights: What the user of the URL must be allowed, as ACL rules.
        followers: Are told of each state to which something was given back, or charged after the fact.
        answer_times: How long it took to answer, over all connections, in seconds; they wait there to be counted.
    """

    __slots__ = (
        "_times",
        "answer_times",
        "clock",
        "dial_s",
        "followers",
        "frames",
        "health",
        "heartbeat",
        "rights",
        "timeout_s",
        "took_s",
        "url",
    )

    def __init__(self, url: StoreUrl, clock: Clock | None) -> None:
        self.url = url
        self.clock = clock
        self.timeout_s = url.timeout_us / 1_000_000
        self.dial_s = max(LEAST_DIAL_S, self.timeout_s)
        self.took_s: float | None = None
        self.frames = Frames(url.prefix)
        self.health = Health(url.shown)
        self.heartbeat = Heartbeat(url.prefix)
        self.rights = rights_of(url.prefix, url.settings)
        self.followers: list[Callable[[str], object]] = []
        self.answer_times: deque[float] = deque()
        self._times = Histogram()

    def deadline(self) -> float:
        """Return until when a call that begins now may take, in seconds of the monotonic clock."""
        return monotonic() + self.timeout_s

    def probe_deadline(self) -> float:
        """Return until when a probe that begins now may take."""
        return monotonic() + min(self.timeout_s, self.patience_s())

    def patience_s(self) -> float:
        """Return how long connecting may take now: a server that is away is looked for every second, if it can be."""
        if self.health.away and self.took_s is not None:
            return min(self.dial_s, max(LEAST_DIAL_S, 2 * self.took_s))
        return self.dial_s

    def returned(self, places: Iterable[str]) -> None:
        """Take note that something may have been given back there by now, or charged after the fact."""
        for place in places:
            for tell in self.followers:
                tell(place)

    def now_us(self) -> int | None:
        """Return the time for a script; None: the server knows."""
        return None if self.clock is None else self.clock.now_us()

    def fault_of_reply(self, text: str) -> Fault:
        """Say what an error reply of the server means."""
        return fault_of_reply(text, self.rights)

    def snapshot(self) -> StoreSnapshot:
        """Return how the server is, and has been since this process began."""
        from guardrail.telemetry.snapshot import StoreSnapshot  # only who looks needs it

        health = self.health
        self.count_times()
        return StoreSnapshot(
            store=health.store,
            available=not health.away,
            reason=health.reason,
            outages=health.outages,
            errors=health.errors.copy(),
            seconds=self._times.view(),
        )

    def count_times(self) -> None:
        """Count how long it took to answer, many at a time: one by one would cost calls more than twice as much."""
        with suppress(IndexError):
            while True:
                self._times.add(int(self.answer_times.popleft() * 1_000_000))

    def after_fork(self) -> None:
        """Start again in a child: it is a process of its own, and its breaker's lock is free."""
        self.answer_times.clear()
        self._times.clear()
        self.health.after_fork()
        self.heartbeat = Heartbeat(self.url.prefix)
