"""A breaker's trial: the probes of one half-open generation and their votes.

Law: never more than `size` probes are out or have voted; the verdict falls with the first vote after which no outcome
of the missing ones could change it, so with the last one at the latest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from fractions import Fraction

TrialVerdict = Literal["open", "closed"]


class Probe(NamedTuple):
    """Hold one call that is out to see whether the other side is well."""

    started_us: int
    deadline_us: int
    begun_us: int | None = None  # its stream has begun: at the deadline it votes success


@dataclass(slots=True)
class Trial:
    """Count the votes of up to *size* probes and keep the probes that are out.

    Attributes:
        sent: Probes sent so far; the newest one's id. Ids start at 1, so that 0 can mean an ordinary call.
        voted: Probes that came back with a vote.
    """

    size: int
    sent: int = 0
    voted: int = 0
    failures: int = 0
    slow: int = 0
    out: dict[int, Probe] = field(default_factory=dict)

    @property
    def has_room(self) -> bool:
        """Tell whether one more probe may go out."""
        return len(self.out) + self.voted < self.size

    def send(self, probe: Probe) -> int:
        """Send *probe* out and return its id."""
        self.sent += 1
        self.out[self.sent] = probe
        return self.sent

    def begin(self, probe_id: int, now_us: int) -> None:
        """Note that a probe's stream has begun, if the probe is still out and in time."""
        probe = self.out.get(probe_id)
        if probe is not None and now_us < probe.deadline_us:
            self.out[probe_id] = probe._replace(begun_us=now_us)

    def next_deadline(self) -> tuple[int, int]:
        """Return when the next of the probes out runs out of time, and its id."""
        return min((probe.deadline_us, probe_id) for probe_id, probe in self.out.items())

    def vote(self, failed: bool, slow: bool) -> None:
        """Count the vote of a probe that is no longer out."""
        self.voted += 1
        self.failures += failed
        self.slow += slow

    def verdict(self, failure_rate: Fraction | None, slow_rate: Fraction | None) -> TrialVerdict | None:
        """Judge over *size* results; None while the missing ones could still turn it either way."""
        missing = self.size - self.voted
        if self._reaches(0, failure_rate, slow_rate):
            return "open"
        return None if self._reaches(missing, failure_rate, slow_rate) else "closed"

    def copy(self) -> Trial:
        """Return a trial that goes its own way from here."""
        return replace(self, out=dict(self.out))

    def _reaches(self, more: int, failure_rate: Fraction | None, slow_rate: Fraction | None) -> bool:
        """Tell whether a rate is reached if *more* of the results are failures and slow."""
        failures, slow = self.failures + more, self.slow + more
        return reaches(failures, self.size, failure_rate) or reaches(slow, self.size, slow_rate)


def reaches(count: int, total: int, rate: Fraction | None) -> bool:
    """Tell whether *count* of *total* is at least *rate*; never where there is no rate."""
    return rate is not None and count * rate.denominator >= rate.numerator * total
