"""Calls in the order in which they came in.

Servers write a line when a call has ended, and several workers write into one log, so lines are a little out of order.

Law: calls leave sorted by time, equal times as they stand in the log, as long as none is more than `HOLD_US` or
`MOST_HELD` lines late; one that is even later is counted, and left to come in as of the time that is reached.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import groupby

from guardrail.cli.replay.call import SECOND_US, Call

HOLD_US = 60 * SECOND_US
MOST_HELD = 100_000


class Order:
    """Hold calls back until no earlier one is to be expected.

    Args:
        spread: Calls of one second in a log that tells whole seconds are laid out evenly over it.

    Attributes:
        spread: What it was made with.
        early: Lines that were earlier than one before them.
        furthest_us: By how much at most.
        late: Those of them that came too late to be sorted in.
    """

    def __init__(self, *, spread: bool = False) -> None:
        self.spread = spread
        self._held: list[Call] = []
        self._latest_us = 0
        self._gone_us = 0
        self.early = self.furthest_us = self.late = 0

    def put(self, calls: list[Call]) -> list[Call]:
        """Take in calls; return those that go now."""
        latest_us = self._latest_us
        for call in calls:
            at_us = call[0]
            if at_us >= latest_us:
                latest_us = at_us
            else:
                self.early += 1
                self.furthest_us = max(self.furthest_us, latest_us - at_us)
        self._latest_us = latest_us
        held = self._held
        held += calls
        held.sort()  # next to nothing where it is sorted already
        cut = max(bisect_left(held, (latest_us - HOLD_US,)), len(held) - MOST_HELD)
        return self._go(cut)

    def rest(self) -> list[Call]:
        """Return those that are still held back."""
        return self._go(len(self._held))

    def _go(self, cut: int) -> list[Call]:
        held = self._held
        if self.spread and 0 < cut < len(held):  # a second is laid out as a whole
            cut = bisect_left(held, (held[cut].at_us // SECOND_US * SECOND_US,))
        ready, self._held = held[:cut], held[cut:]
        if ready:
            self.late += bisect_left(ready, (self._gone_us,))
            self._gone_us = max(self._gone_us, ready[-1].at_us)
        return list(_spread(ready)) if self.spread else ready


def _spread(calls: list[Call]) -> Iterator[Call]:
    for second, group in groupby(calls, lambda call: call.at_us // SECOND_US):
        together = list(group)
        for place, call in enumerate(together):
            yield call._replace(at_us=second * SECOND_US + place * SECOND_US // len(together)) if call.coarse else call
