"""Sampler: which of many lines of a log are written, and how many were left out in between.

Law: in any span of T seconds, at most `burst + T / every_s` lines of one name are granted; every other one is counted, and
told with the next that is. Asking never waits: where two threads ask for the same line, one of them gets it.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING

from guardrail.telemetry.counts import MOST_TALLIES, OTHER

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_LINES = MOST_TALLIES  # as many rules have a line of their own as are counted one by one; further ones share one
MOST_OWED = 1_000  # lines that were granted and never written


class Line:
    """Hold when a name may have its next line, and what has been left out since the last.

    Attributes:
        numbers: Every question takes one, which counts it, whatever is answered.
        told: The highest number that a granted line has accounted for.
        due_us: When all lines granted so far would have been written at an even pace.
        opens: When the next line may be granted, in seconds.
        owed: For each line that was granted and not yet written, how many were left out before it.
        lock: Taken for a moment by whoever may be granted a line, and never waited for.
    """

    __slots__ = ("due_us", "lock", "numbers", "opens", "owed", "told")

    def __init__(self) -> None:
        self.numbers = count(1)
        self.told = 0
        self.due_us = 0
        self.opens = float("-inf")
        self.owed: deque[int] = deque(maxlen=MOST_OWED)
        self.lock = Lock()


class Sampler:
    """Grant lines by name. Safe from any thread, finalizer and signal handler.

    Args:
        every_s: In so many seconds, one line of a name is granted on the long run.
        burst: So many at once.
        now: Seconds on a clock that does not step back.
    """

    __slots__ = ("_every_us", "_lines", "_now", "_slack_us")

    def __init__(self, every_s: float, burst: int, now: Callable[[], float]) -> None:
        self._every_us = round(every_s * 1_000_000)
        self._slack_us = self._every_us * (burst - 1)
        self._now = now
        self._lines: dict[str, Line] = {}

    def wants(self, name: str) -> bool:
        """Tell whether it is time for a line of this name. A no is counted."""
        line = self._lines.get(name) or self._shared(name)
        now = self._now()
        number = next(line.numbers)
        return now >= line.opens and self._granted(line, number, now)

    def left_out(self, name: str) -> int | None:
        """Return how many lines were left out before one that was granted; None: none was. Each is told once."""
        line = self._lines.get(name) or self._shared(name)
        return line.owed.popleft() if line.owed else None

    def after_fork(self) -> None:
        """Begin afresh in a forked child: a thread of the parent may have held a lock."""
        self._lines = {}

    def _shared(self, name: str) -> Line:
        """Return a line for a new name: its own, if there is room for one."""
        return self._lines.setdefault(name if len(self._lines) < MOST_LINES else OTHER, Line())

    def _granted(self, line: Line, number: int, now: float) -> bool:
        try:
            granted = line.lock.acquire(blocking=False)
            if granted:
                granted = now >= line.opens  # another thread may have had it since
                if granted:
                    line.due_us = max(line.due_us, int(now * 1_000_000)) + self._every_us
                    line.opens = (line.due_us - self._slack_us) / 1_000_000
                    line.owed.append(max(0, number - line.told - 1))
                    line.told = max(line.told, number)
                line.lock.release()
        except BaseException:
            line.lock = Lock()  # whatever a signal handler broke off by raising, the next line is granted
            raise
        return granted
