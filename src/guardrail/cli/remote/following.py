"""Follow processes: look at each again and again, whether it is there or not.

Law: numbers of two looks are compared only where it is the same process; one that went away and came back starts afresh.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from guardrail.cli.remote.client import Client, Unanswered
from guardrail.cli.remote.restoring import OtherVersion, restored
from guardrail.telemetry.snapshot import RuleSnapshot, Snapshot


class Sight(NamedTuple):
    """Hold what was seen of one process.

    Attributes:
        place: Where it is.
        now: Its last snapshot; None: it has never answered.
        before: The one before it, of the same process.
        first: The first one of the same process.
        seconds: The time between `before` and `now`.
        trouble: Why it does not answer; None: it does.
        away_s: For how long it has not.
    """

    place: str
    now: Snapshot | None = None
    before: Snapshot | None = None
    first: Snapshot | None = None
    seconds: float = 0.0
    trouble: str | None = None
    away_s: float = 0.0


class Follower:
    """Follow one process."""

    def __init__(self, client: Client, *, show_keys: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._query = [("show_keys", "1")] if show_keys else []
        self._clock = clock
        self._seen_at = 0.0
        self._lost_at = 0.0
        self.is_free = False  # nobody listens, and perhaps nobody is meant to
        self.sight = Sight(str(client.place))

    def look(self) -> None:
        """Look once. Never raises."""
        try:
            snapshot = restored(self._client.get("snapshot", query=self._query))
        except Unanswered as wrong:
            self.is_free = wrong.free and self._client.place.may_be_free and self.sight.now is None
            self._missed(str(wrong))
        except OtherVersion as wrong:
            self._missed(f"{self._client.place}: {wrong}")
        else:
            self.is_free = False
            self._saw(snapshot)

    def _saw(self, snapshot: Snapshot) -> None:
        now, last = self._clock(), self.sight
        place, seconds = last.place, now - self._seen_at
        self._seen_at = now
        if last.now is not None and last.first is not None and is_same(last.now, snapshot):
            self.sight = Sight(place, snapshot, last.now, last.first, seconds)
        else:
            self.sight = Sight(place, snapshot, None, snapshot)

    def _missed(self, trouble: str) -> None:
        now = self._clock()
        if self.sight.trouble is None:
            self._lost_at = now
        self.sight = self.sight._replace(before=None, trouble=trouble, away_s=now - self._lost_at)


class Followers:
    """Follow several processes at once: one that hangs does not hold up the others."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        self._followers = followers
        self._threads = ThreadPoolExecutor(len(followers), "guardrail-top")

    def look(self) -> list[Sight]:
        """Look at all, and return what there is to show. Free ports of a range are left out."""
        list(self._threads.map(Follower.look, self._followers))
        return [one.sight for one in self._followers if not one.is_free]

    def close(self) -> None:
        """Look no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def is_same(before: Snapshot, after: Snapshot) -> bool:
    """Tell whether two snapshots are of one guard: it has the same process, and its counts have not gone down."""
    if before.pid != after.pid:
        return False
    counted = _counted(before.rules)
    return all(counted.get(name, 0) <= count for name, count in _counted(after.rules).items())


def _counted(rules: Iterable[RuleSnapshot]) -> dict[str, int]:
    return {one.name: one.allowed + one.refused + one.shadow_refused for one in rules}
