"""Health: the store's own breaker.

Law: after 5 failures in a row (at once where a setting is wrong) nobody waits for the store any more: calls are answered
at once, and one of them starts a probe in the background, at most a second after the one before. An outage is told once,
and so is its end.

    closed --5 failures, or one that lasts--> open --a probe is answered--> half open --a call is answered--> closed
                                               ^-------------one failure-------------'
"""

from __future__ import annotations

import random
import time
from collections import deque
from threading import Lock, RLock
from typing import TYPE_CHECKING

from guardrail.stores.protocol import Unavailable
from guardrail.telemetry.events import StoreBack, StoreLost, StoreWarned

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.stores.contact import Fault
    from guardrail.telemetry.events import Event

FAILURES = 5
PAUSE_S = 0.5, 0.9  # between the beginnings of two probes; with the time that one takes, a second at most
SOON_S = 0.02
IS_AWAY = "%s is away (%s): %s; until it is back, each rule's on_store_error decides"

CLOSED, OPEN, HALF_OPEN = range(3)


class Health:
    """Know whether a store answers. Safe from any thread.

    Attributes:
        away: Nothing is to be sent but probes.
        errors: How often it did not answer, by one word for what failed. However many calls were under way over one
            connection, its end is one failure.
        outages: How often the store was found to be away; a connection from before the last time is not trusted.
        reason: The last fault, as a sentence; empty: there was none.
        news: Events that are still to be announced.
    """

    __slots__ = (
        "_announcing",
        "_failures",
        "_followers",
        "_lock",
        "_lost_at",
        "_now",
        "_probe_at",
        "_state",
        "_warned",
        "away",
        "errors",
        "news",
        "outages",
        "reason",
        "store",
    )

    def __init__(self, store: str, now: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self.away = False
        self.errors: dict[str, int] = {}
        self.outages = 0
        self.reason = ""
        self.news: deque[Callable[[], None]] = deque()
        self._announcing = Lock()
        self._now = now
        self._state = CLOSED
        self._failures = 0
        self._lost_at = 0.0
        self._probe_at = 0.0
        self._warned: set[str] = set()
        self._followers: list[Callable[[Event], object]] = []
        self._lock = RLock()  # a finalizer may fail to give something back in the middle of this

    def follow(self, tell: Callable[[Event], object]) -> None:
        """Tell events from now on."""
        self._followers.append(tell)

    def unavailable(self) -> Unavailable:
        """Return what a call is told that could not be answered."""
        wait_s = max(0.0, self._probe_at - self._now()) if self.away else PAUSE_S[0]
        return Unavailable(int(wait_s * 1_000_000))

    def is_due(self) -> bool:
        """Tell whether it is time for a probe; the caller then starts it."""
        if not self.away:
            return False
        with self._lock:
            if self._now() < self._probe_at:
                return False
            self._probe_at = self._next()
            return True

    def postpone(self) -> None:
        """Take note that the probe could not begin yet, because an attempt to connect was still under way."""
        with self._lock:
            self._probe_at = self._now() + SOON_S

    def failed(self, fault: Fault) -> None:
        """Take note that the store did not answer, or refused."""
        with self._lock:
            now, self.reason = self._now(), fault.message
            self.errors[fault.word] = self.errors.get(fault.word, 0) + 1
            if not self._failures and self._state == CLOSED:
                self._lost_at = now
            self._failures += 1
            enough = self._failures >= FAILURES or fault.lasts
            if self._state == OPEN or (self._state == CLOSED and not enough):
                return
            lost = self._state == CLOSED
            self._state, self.away, self._probe_at = OPEN, True, self._next()
            self.outages += 1
        if lost:
            said = ("warning", IS_AWAY, self.store, fault.word, fault.message.rstrip("."))
            self._note(StoreLost(self.store, fault.word, fault.message), *said, event="store_lost", error=fault.word)

    def well(self) -> None:
        """Take note that the store answered a call."""
        if self._failures == 0 or self.away:  # what was sent before it was lost says nothing of now
            return
        with self._lock:
            back = self._state == HALF_OPEN
            if self._state == OPEN:
                return
            self._state, self._failures = CLOSED, 0
            seconds = self._now() - self._lost_at
        if back:
            said = ("info", "%s is back after %.1f s", self.store, seconds)
            self._note(StoreBack(self.store, seconds), *said, event="store_back", seconds=seconds)

    def answered(self) -> None:
        """Take note that the store answered a probe: calls may try again."""
        with self._lock:
            if self._state == OPEN:
                self._state, self.away = HALF_OPEN, False

    def warn(self, setting: str, message: str) -> None:
        """Tell, once, of a setting that endangers limits."""
        with self._lock:
            if setting in self._warned:
                return
            self._warned.add(setting)
        said = ("warning", "%s: %s", self.store, message)
        self._note(StoreWarned(self.store, setting, message), *said, event="store_warned", setting=setting)

    def announce(self) -> None:
        """Tell what has happened. Called where nobody waits for the caller, because listeners take the time they like."""
        while self.news and self._announcing.acquire(blocking=False):  # one at a time, or their order would be lost
            try:
                while self.news:
                    self.news.popleft()()
            finally:
                self._announcing.release()

    def after_fork(self) -> None:
        """Start again in a child: locks may be held by a thread of the parent, which also tells its news.

        What the parent has learned of the store is still true: whether it is away, and why.
        """
        self._lock, self._announcing = RLock(), Lock()
        self.news.clear()
        self.errors, self.outages = {}, 0
        if not self.away:
            self.reason = ""

    def _next(self) -> float:
        return self._now() + random.uniform(*PAUSE_S)  # noqa: S311  # so that many processes do not come at once

    def _note(self, event: Event, level: str, message: str, /, *values: object, **fields: object) -> None:
        def tell() -> None:
            self.log(level, message, *values, **fields)
            for follower in tuple(self._followers):
                try:
                    follower(event)
                except Exception as error:  # noqa: BLE001  # a listener changes nothing
                    self.log("error", "a listener to %s failed: %r", self.store, error)

        self.news.append(tell)

    def log(self, level: str, message: str, /, *values: object, **fields: object) -> None:
        """Write a line to the log of stores; for machines, the store and *fields* are in it as `guardrail_...`."""
        from logging import getLogger  # only a store that has something to say needs it

        extra = {f"guardrail_{name}": value for name, value in {"store": self.store, **fields}.items()}
        getattr(getLogger("guardrail.store"), level)(message, *values, extra=extra)
