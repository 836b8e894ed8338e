"""A breaker as plain as it can be written: lists of everything that ever happened, searched anew for each question."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import combinations_with_replacement

from guardrail.core.breaker import Breaker
from guardrail.core.verdict import Outcome

Vote = tuple[bool, bool]  # failed, slow
Change = tuple[str, str, int]  # from, to, when on the caller's clock
ANY_VOTE: tuple[Vote, ...] = ((False, False), (True, False), (False, True), (True, True))


@dataclass
class Call:
    generation: int
    started: int
    deadline: int | None = None  # a probe's
    begun: int | None = None
    back: bool = False  # for the breaker: it may have been given up before it ended


@dataclass
class Model:
    rules: Breaker
    wall: int
    time: int = 0  # the caller's clock without its steps back
    phase: str = "closed"
    generation: int = 0
    outcomes: list[tuple[int, bool, bool]] = field(default_factory=list)  # since it closed: when, failed, slow
    unseen: int = 0  # so many of them came before the window had its shape
    opened: int = 0
    spans: int = 0  # openings since it was closed
    probes: list[Call] = field(default_factory=list)
    votes: list[tuple[int, Vote]] = field(default_factory=list)
    judged: int = 0  # so many of the votes have been looked at, and did not decide
    size: int = 0
    totals: list[Outcome] = field(default_factory=list)
    slow_total: int = 0

    def __post_init__(self) -> None:
        self.time = self.wall

    # what there is to see

    def window(self) -> list[Vote]:
        seen = self.outcomes[self.unseen :]
        if self.rules.window_calls is not None:
            return [(failed, slow) for _, failed, slow in seen[-self.rules.window_calls :]]
        width = math.ceil(Fraction(self.rules.window_us or 0, 10))
        newest = self.time // width
        return [(failed, slow) for when, failed, slow in seen if newest - 9 <= when // width <= newest]

    def row(self) -> int:
        failures = [failed for _, failed, _ in self.outcomes]
        return failures[::-1].index(False) if False in failures else len(failures)

    def open_until(self, opened: int, spans: int) -> int:
        doubled = self.rules.open_for_us * 2 ** (spans - 1)
        limit = self.rules.open_for_max_us
        return opened + (self.rules.open_for_us if limit is None else min(doubled, limit))

    def trial_at(self, time: int) -> tuple[str | None, int, bool]:
        """Return the verdict of the probes at *time* if nobody else comes back, when it fell, and if there is room."""
        lapsed = [probe for probe in self.probes if not probe.back and (probe.deadline or 0) <= time]
        begun = [probe for probe in lapsed if probe.begun is not None]
        votes = [(probe.deadline or 0, 0, self.vote(probe, False, probe.begun or 0)) for probe in begun]
        votes += [(when, 1, vote) for when, vote in self.votes]
        votes.sort(key=lambda vote: vote[:2])
        rates = self.rules.failure_rate, self.rules.slow_rate
        for count in range(self.judged + 1, len(votes) + 1):
            when = votes[count - 1][0]
            verdict = verdict_of(tuple(vote for _, _, vote in votes[:count]), self.size, *rates)
            if verdict is not None:
                return verdict, when, False
        out = [probe for probe in self.probes if not probe.back and (probe.deadline or 0) > time]
        return None, 0, len(out) + len(votes) < self.size

    def admits_at(self, time: int) -> bool:
        """Say whether a call would be let in at *time* if nothing happens before."""
        if self.phase == "half_open":
            verdict, when, room = self.trial_at(time)
            if verdict == "open":
                return time >= self.open_until(when, self.spans + 1)
            return verdict == "closed" or room
        if self.phase == "open":
            return time >= self.open_until(self.opened, self.spans)
        return self.phase != "forced_open"

    def vote(self, call: Call, failed: bool, end: int) -> Vote:
        slow = self.rules.slow_call_us is not None and end - call.started > self.rules.slow_call_us
        return failed, slow

    # what happens

    def look(self, wall: int) -> list[Change]:
        self.time += max(0, wall - self.wall)
        self.wall = wall
        if self.phase != "half_open":
            return []
        verdict, when, _ = self.trial_at(self.time)
        if verdict is not None:
            return [self.change(verdict, when)]
        for probe in self.probes:
            if not probe.back and (probe.deadline or 0) <= self.time:
                probe.back = True
                if probe.begun is not None:
                    self.votes.append((probe.deadline or 0, self.vote(probe, False, probe.begun)))
        self.judged = len(self.votes)
        return []

    def change(self, phase: str, when: int) -> Change:
        change = self.phase, phase, self.wall - (self.time - when)
        self.phase = phase
        self.generation += 1
        self.probes, self.votes, self.judged = [], [], 0
        if phase == "open":
            self.opened, self.spans = when, self.spans + 1
        if phase == "closed":
            self.outcomes, self.unseen, self.spans = [], 0, 0
        return change

    def enter(self) -> tuple[Call, list[Change]]:
        changes = []
        if self.phase == "open":
            changes.append(self.change("half_open", self.time))
            self.size = self.rules.half_open_calls
        call = Call(self.generation, self.time)
        if self.phase == "half_open":
            call.deadline = self.time + self.rules.probe_timeout_us
            self.probes.append(call)
        return call, changes

    def begin(self, call: Call, wall: int) -> None:
        self.time += max(0, wall - self.wall)
        self.wall = wall
        if call.begun is None:
            call.begun = self.time
            if call.deadline is not None and self.time >= call.deadline:
                call.back = True

    def end(self, call: Call, outcome: Outcome, wall: int) -> list[Change]:
        changes = self.look(wall)
        vote = self.vote(call, outcome == "failure", self.time if call.begun is None else call.begun)
        self.totals.append(outcome)
        self.slow_total += vote[1] and outcome != "ignored"
        came_back_late, call.back = call.back, True
        if call.generation != self.generation or came_back_late or outcome == "ignored":
            return changes
        if self.phase == "half_open":
            self.votes.append((self.time, vote))
            verdict, when, _ = self.trial_at(self.time)
            self.judged = len(self.votes)
            return [self.change(verdict, when)] if verdict else []
        if self.phase != "closed":
            return []
        self.outcomes.append((self.time, *vote))
        return [self.change("open", self.time)] if self.has_reached() else []

    def has_reached(self) -> bool:
        if self.rules.consecutive_failures is not None and self.row() >= self.rules.consecutive_failures:
            return True
        window = self.window()
        return len(window) >= self.rules.min_calls and opens(window, self.rules.failure_rate, self.rules.slow_rate)


def opens(votes: list[Vote], failure_rate: Fraction | None, slow_rate: Fraction | None) -> bool:
    failures = Fraction(sum(failed for failed, _ in votes), len(votes))
    slow = Fraction(sum(slow for _, slow in votes), len(votes))
    return (failure_rate is not None and failures >= failure_rate) or (slow_rate is not None and slow >= slow_rate)


@cache
def verdict_of(
    votes: tuple[Vote, ...], size: int, failure_rate: Fraction | None, slow_rate: Fraction | None
) -> str | None:
    """Try out everything that the missing probes could still bring."""
    if failure_rate is None and slow_rate is None:
        failure_rate = Fraction(1, 2)
    futures = {
        opens([*votes, *missing], failure_rate, slow_rate)
        for missing in combinations_with_replacement(ANY_VOTE, size - len(votes))
    }
    return None if len(futures) == 2 else "open" if futures == {True} else "closed"
