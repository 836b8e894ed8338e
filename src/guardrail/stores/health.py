"""Health: the store's own breaker.

Law: after 5 failures in a row (at once where a setting is wrong) nobody waits for the store any more: calls are answered
at once, and one of them starts a probe in the background, at most a second after the one before. An outage is told once,
and so is its end.

    well --5 failures, or one that lasts--> away --a probe is answered--> trying --a call is answered--> well
                                             ^------------one failure------------'
"""

from __future__ import annotations

import random
import time
from threading import RLock
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

WELL, AWAY, TRYING = range(3)


class Health:
    """Know whether a store answers. Safe from any thread.

    Attributes:
        away: Nothing is to be sent but probes.
        reason: The last fault, as a sentence.
    """

    __slots__ = (
        "_failures",
        "_followers",
        "_lock",
        "_lost_at",
        "_now",
        "_probe_at",
        "_state",
        "_warned",
        "away",
        "reason",
        "store",
    )

    def __init__(self, store: str, now: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self.away = False
        self.reason = ""
        self._now = now
        self._state = WELL
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
            if not self._failures and self._state == WELL:
                self._lost_at = now
            self._failures += 1
            enough = self._failures >= FAILURES or fault.lasts
            if self._state == AWAY or (self._state == WELL and not enough):
                return
            lost = self._state == WELL
            self._state, self.away, self._probe_at = AWAY, True, self._next()
        if lost:
            self.log("warning", "%s is away (%s): %s", self.store, fault.word, fault.message)
            self._tell(StoreLost(self.store, fault.word, fault.message))

    def well(self) -> None:
        """Take note that the store answered a call."""
        if self._failures == 0 or self.away:  # what was sent before it was lost says nothing of now
            return
        with self._lock:
            back = self._state == TRYING
            if self._state == AWAY:
                return
            self._state, self._failures = WELL, 0
            seconds = self._now() - self._lost_at
        if back:
            self.log("info", "%s is back after %.1f s", self.store, seconds)
            self._tell(StoreBack(self.store, seconds))

    def answered(self) -> None:
        """Take note that the store answered a probe: calls may try again."""
        with self._lock:
            if self._state == AWAY:
                self._state, self.away = TRYING, False

    def warn(self, setting: str, message: str) -> None:
        """Tell, once, of a setting that endangers limits."""
        with self._lock:
            if setting in self._warned:
                return
            self._warned.add(setting)
        self.log("warning", "%s: %s", self.store, message)
        self._tell(StoreWarned(self.store, setting, message))

    def after_fork(self) -> None:
        """Start again in a child: the lock may be held by a thread of the parent."""
        self._lock = RLock()

    def _next(self) -> float:
        return self._now() + random.uniform(*PAUSE_S)  # noqa: S311  # so that many processes do not come at once

    def _tell(self, event: Event) -> None:
        for tell in tuple(self._followers):
            try:
                tell(event)
            except Exception as error:  # noqa: BLE001  # a listener changes nothing
                self.log("error", "a follower of %s failed: %r", self.store, error)

    @staticmethod
    def log(level: str, message: str, *values: object) -> None:
        """Write a line to the log of stores."""
        from logging import getLogger  # only a store that has something to say needs it

        getattr(getLogger("guardrail.store"), level)(message, *values)
