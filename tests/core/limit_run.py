"""A limit with its state and its time, for tests that play calls against it, and histories to play."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hypothesis import strategies as st

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.limit import Charge, Limit, Ruling
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket

MS = 1_000
S = 1_000_000
MIN = 60 * S

Row = tuple[int, int, bool, int, int | None]  # now, cost, allowed, remaining, retry after


class Start(NamedTuple):
    """One admitted call: when it starts, in lived time, which stands still while the clock runs behind what it has shown."""

    at_us: int
    cost: int


class Run:
    """Play calls against one limit, as a ledger does."""

    def __init__(self, limit: Limit[Any], now_us: int = 0) -> None:
        self.limit = limit
        self.now_us = now_us
        self.lived_us = now_us
        self.state = limit.fresh(now_us)
        self.starts: list[Start] = []
        self.charges: list[Charge] = []
        self.retry_after_us = 0

    def go(self, to_us: int) -> None:
        self.lived_us += max(0, to_us - self.now_us)
        self.now_us = to_us

    def look(self, cost: int = 1, in_us: int = 0, max_wait_us: int | None = None) -> Ruling:
        """What a call would be told, by the state as it is stored."""
        now_us = self.now_us + in_us
        most_us = self.limit.max_wait_us if max_wait_us is None else max_wait_us
        return self.limit.ask(self.limit.at(self.state, now_us), now_us, cost, most_us)

    def call(self, cost: int = 1, max_wait_us: int | None = None) -> Ruling:
        ruling = self.look(cost, max_wait_us=max_wait_us)
        before = self.limit.at(self.state, self.now_us)
        if ruling.allowed and cost:
            self.state = self.limit.charge(before, self.now_us, cost)
            self.starts.append(Start(self.lived_us + ruling.wait_us, cost))
            self.charges.append(Charge(cost, self.now_us, self.state, ruling.wait_us > 0))
        elif self.limit.is_ahead(self.state, self.now_us):
            self.state = before
        self.retry_after_us = ruling.retry_after_us or 0
        return ruling

    def give_back(self, which: int, cost: int | None = None) -> None:
        """Give back *cost* of an admitted call, or all; what is given back was never spent, whatever becomes of it."""
        start, charge = self.starts[which], self.charges[which]
        returned = start.cost if cost is None else min(cost, start.cost)
        self.state = self.limit.give_back(self.state, self.now_us, returned, charge)
        self.starts[which] = start._replace(cost=start.cost - returned)

    def adopt(self, limit: Limit[Any]) -> None:
        self.state = limit.adopt(self.state, self.limit)
        self.limit = limit

    @property
    def view(self) -> tuple[int, int]:
        return self.limit.view(self.limit.at(self.state, self.now_us), self.now_us)

    @property
    def remaining(self) -> int:
        return self.view[0]


def play(limit: Limit[Any], rows: Iterable[Row]) -> list[Row]:
    """Make the calls of a table, and return the table as it came out."""
    run, played = Run(limit), []
    for now_us, cost, *_ in rows:
        run.go(now_us)
        ruling = run.call(cost)
        played.append((now_us, cost, ruling.allowed, run.remaining, ruling.retry_after_us))
    return played


# -- histories ---------------------------------------------------------------------------------------------------------

RETRY, ALMOST = "retry", "almost"  # go to where a retry is allowed, or to 1 us before
Step = int | str

FORWARD: st.SearchStrategy[Step] = st.sampled_from([0, 0, 1, RETRY, RETRY, ALMOST]) | st.integers(0, 150)
EITHER_WAY: st.SearchStrategy[Step] = FORWARD | st.integers(-400, -1)
ONE = st.just(1)
COSTS = st.sampled_from([1, 1, 1, 2, 3, 0]) | st.integers(0, 12)
CLOCKS = st.sampled_from([0, 7, 1_795_215_276_123_456]) | st.integers(-50, 500)  # as well a wall clock's size


def histories(
    steps: st.SearchStrategy[Step], costs: st.SearchStrategy[int] = COSTS, most: int = 60
) -> st.SearchStrategy[list[tuple[Step, int]]]:
    return st.lists(st.tuples(steps, costs), min_size=1, max_size=most)


def stepped(run: Run, step: Step) -> int:
    """Where a step leads to from here."""
    match step:
        case int():
            return run.now_us + step
        case "retry":
            return run.now_us + run.retry_after_us
        case _:
            return run.now_us + max(0, run.retry_after_us - 1)


AMOUNTS, PERIODS = st.integers(1, 12), st.integers(1, 60)
WAITS = st.integers(1, 100)
WINDOWS = st.sampled_from([1, 7, 10, 20, 100]) | st.integers(1, 130)

token_buckets = st.builds(TokenBucket, AMOUNTS, PERIODS, st.integers(1, 8))
waiting_buckets = st.builds(TokenBucket, AMOUNTS, PERIODS, st.integers(1, 8), WAITS)
leaky_buckets = st.builds(LeakyBucket, AMOUNTS, PERIODS, WAITS)
sliding_windows = st.builds(SlidingWindow, st.integers(1, 8), WINDOWS)
fixed_windows = st.builds(FixedWindow, st.integers(1, 8), WINDOWS)
sliding_logs = st.builds(SlidingLog, st.integers(1, 8), WINDOWS)
tight_windows = st.builds(SlidingWindow, st.integers(1, 3), st.integers(2, 13).map(lambda tenth: 10 * tenth))
every_limit: st.SearchStrategy[Limit[Any]] = st.one_of(
    token_buckets, waiting_buckets, leaky_buckets, sliding_windows, fixed_windows, sliding_logs
)
