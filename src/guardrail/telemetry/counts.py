"""Counts: how often each rule let calls to a resource go ahead, and how often not.

Law: a count never goes down while its process lives, survives a reload, and is kept in bounded room: what comes later
counts as `__other__`. Whoever counts holds the ledger's lock, or calls nothing between reading a number and writing it.
"""

from __future__ import annotations

from heapq import nlargest
from operator import itemgetter
from random import getrandbits
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from guardrail.telemetry.histogram import Histogram
from guardrail.telemetry.sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Container

OTHER = "__other__"
MOST_TALLIES = 1_000  # pairs of a resource and a rule
MOST_NAMES = 200  # rules or resources that have something larger of their own: a sketch, a histogram
MOST_KEYS = 256  # of one rule that a sketch holds
SAMPLED = 64  # of so many allowed calls, one on average is looked at for its key


class Hot(NamedTuple):
    """Hold a key, with how many calls, and how often it was refused, or would have been."""

    key: str
    calls: int
    refused: int


class HotKeys:
    """Know which keys of one rule are called with most, and which are refused most. Safe from any thread; never waits.

    Who finds another one writing leaves it at that: it may be further down the same stack, interrupted by a finalizer
    or a signal handler. What a handler breaks off by raising is thrown away: half of it may have been written.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin afresh, with a new lock: in a forked child, a thread of the parent may hold the old one."""
        self._kept = (Lock(), Sketch(MOST_KEYS), Sketch(MOST_KEYS))

    def called(self, key: str, times: int) -> None:
        """Count calls with this key, whatever came of them."""
        self._add(key, times, refused=False)

    def refused(self, key: str) -> None:
        """Count a call with this key that was refused, or would have been."""
        self._add(key, 1, refused=True)

    def top(self, most: int) -> list[Hot]:
        """Return the keys called with most. Numbers are what is certain: a key may have been counted more, never less."""
        _, calls, refusals = self._kept
        refused = {one.key: one.times - one.error for one in refusals.top(MOST_KEYS)}
        sure = ((one.key, one.times - one.error) for one in calls.top(MOST_KEYS))
        hottest = nlargest(most, sure, key=itemgetter(1))
        return [Hot(key, times, min(times, refused.get(key, 0))) for key, times in hottest]

    def _add(self, key: str, times: int, *, refused: bool) -> None:
        lock, calls, refusals = self._kept
        try:
            if lock.acquire(blocking=False):
                calls.add(key, times)
                if refused:
                    refusals.add(key)
                lock.release()
        except BaseException:
            self.clear()
            raise


class Tally:
    """Count what one rule decided for one resource.

    Attributes:
        allowed: Calls that went ahead.
        refused: Calls that the rule kept out.
        shadow_refused: Calls that it would have kept out, if it did not just watch.
        errors: How many of them were decided by `on_store_error`: the store could not be asked.
        due: How many calls have to be allowed until the next one is looked at for its key.
    """

    __slots__ = (
        *("_keys", "_sampled", "allowed", "due", "errors"),
        *("refused", "resource", "rule", "shadow_refused"),
    )

    def __init__(self, resource: str, rule: str, keys: HotKeys) -> None:
        self.resource = resource
        self.rule = rule
        self._keys = keys
        self.clear()

    def clear(self) -> None:
        """Begin at 0."""
        self.allowed = self.refused = self.shadow_refused = self.errors = 0
        self.due = self._sampled = 0

    def absorb(self, other: Tally) -> None:
        """Count what another one has counted."""
        self.allowed += other.allowed
        self.refused += other.refused
        self.shadow_refused += other.shadow_refused
        self.errors += other.errors

    def let_in(self, key: str) -> None:
        """Count a call that goes ahead."""
        self.allowed += 1
        if self.allowed >= self.due:
            self.sample(key)

    def sample(self, key: str) -> None:
        """Count the key of an allowed call for all those since the last one that was looked at.

        One without a key counts too: those before it are not the next key's.
        """
        times, self._sampled = self.allowed - self._sampled, self.allowed
        self.due = (
            self.allowed + 1 + getrandbits(SAMPLED.bit_length())
        )  # at random: keys that come in turns are all seen
        if key:
            self._keys.called(key, max(1, times))

    def keep_out(self, key: str, *, watching: bool) -> None:
        """Count a call that was refused, or would have been."""
        if watching:
            self.shadow_refused += 1
        else:
            self.refused += 1
        if key:
            self._keys.refused(key)


class Counts:
    """Hold all counts of one guard.

    Args:
        measures_latency: Times of calls are counted by resource.
    """

    def __init__(self, *, measures_latency: bool = False) -> None:
        self.measures_latency = measures_latency
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.keys: dict[str, HotKeys] = {}
        self.waits: dict[str, Histogram] = {}
        self.latencies: dict[str, Histogram] = {}

    def tally(self, resource: str, rule: str) -> Tally:
        """Return the tally of a rule for a resource, inside a turn."""
        found = self.tallies.get((resource, rule))
        if found is None and len(self.tallies) >= MOST_TALLIES:
            resource = OTHER  # a rule in force has its numbers, however many there are
            found = self.tallies.get((resource, rule))
        if found is None:
            found = self.tallies[resource, rule] = Tally(resource, rule, self._keys_of(rule))
        return found

    def keep_only(self, rules: Container[str]) -> None:
        """Count what rules that are gone have counted under `__other__`, where room is short. Inside a turn."""
        if len(self.tallies) < MOST_TALLIES:
            return
        gone = [tally for (_, rule), tally in self.tallies.items() if rule not in rules and rule != OTHER]
        for tally in gone:
            del self.tallies[tally.resource, tally.rule]
        for name in [name for name in self.keys if name not in rules and name != OTHER]:
            del self.keys[name]
        if gone:
            rest = self.tallies.get((OTHER, OTHER))
            if rest is None:
                rest = self.tallies[OTHER, OTHER] = Tally(OTHER, OTHER, self._keys_of(OTHER))
            for tally in gone:
                rest.absorb(tally)

    def waited(self, rule: str, time_us: int) -> None:
        """Count how long a call waited for a rule, inside a turn."""
        _histogram(self.waits, rule).add(time_us)

    def took(self, resource: str, time_us: int) -> None:
        """Count how long a call took, from being let in to its end, inside a turn."""
        _histogram(self.latencies, resource).add(time_us)

    def after_fork(self) -> None:
        """Begin at 0 in a forked child: what was counted is the parent's to tell."""
        for tally in self.tallies.values():
            tally.clear()
        for keys in self.keys.values():
            keys.clear()
        self.waits.clear()
        self.latencies.clear()

    def _keys_of(self, rule: str) -> HotKeys:
        name = rule if rule in self.keys or len(self.keys) < MOST_NAMES else OTHER
        return self.keys.setdefault(name, HotKeys())


def _histogram(histograms: dict[str, Histogram], name: str) -> Histogram:
    found = histograms.get(name)
    if found is None:
        found = histograms.setdefault(name if len(histograms) < MOST_NAMES else OTHER, Histogram())
    return found
