"""What a breaker remembers, and what it says: its state, tickets, rulings, transitions and snapshots.

Law: `calm_until_us` lies ahead only while the breaker is closed and its clock has never stepped back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from guardrail.core.breaker_trial import Trial
    from guardrail.core.breaker_window import Window
    from guardrail.core.verdict import Reason

NOT_CALM_US = -(1 << 62)  # earlier than any clock will show

Phase = Literal["closed", "open", "half_open", "forced_open", "forced_closed"]


class Ticket(NamedTuple):
    """Say which generation admitted a call, and since when it runs.

    Times are on the breaker's own clock: the caller's, standing still where that one steps back.
    """

    generation: int
    started_us: int
    probe_id: int = 0  # 0: not a probe
    begun_us: int | None = None  # the first item of its stream, or the start of the response, came then


class BreakerRuling(NamedTuple):
    """Hold what a breaker says to one call; nothing has been taken."""

    allowed: bool
    reason: Reason | None = None
    retry_after_us: int | None = None  # a retry then is admitted if nobody intervenes, 1 us earlier it is not


class Transition(NamedTuple):
    """Report one change of state, with a sentence that says why."""

    from_state: Phase
    to_state: Phase
    reason: str
    at_us: int


@dataclass(slots=True)
class BreakerState:
    """Hold all that changes of one breaker.

    The calm lane, for callers that inline it. Let `now_us` be the caller's clock; on one that never steps back, `seen_us`
    need be neither looked at nor written. While

        state.seen_us <= now_us < state.calm_until_us

    the breaker is closed, its clock is the caller's, nothing is due, and everybody is admitted; so

    - admitting is `state.seen_us = now_us`; the ticket is `(state.generation, now_us)`;
    - recording a success with the ticket's generation equal to `state.generation` that is not slow is

          state.seen_us = now_us
          state.row = 0
          state.total_successes += 1
          state.window.calls += 1                    # a TimeWindow; a CallWindow needs its `count(False, False)`

      and then `Breaker.judge(state)` if `window.failures or window.slow`: one more call can complete `min_calls`.

    Everything else goes through `Breaker`. The first step back closes the calm lane for good, as the two clocks
    differ from then on.

    Attributes:
        generation: Goes up by one with each change of state, each reset, and while closed each window of another shape.
        row: Failures since the last success, while closed.
        seen_us: The latest time on the breaker's own clock.
        lag_us: How far the caller's clock has stepped back, all steps together.
        opened_us: When it opened last, on its own clock; None while closed or forced.
        reopenings: How often in a row a trial has opened it again.
    """

    window: Window
    seen_us: int
    calm_until_us: int = NOT_CALM_US
    phase: Phase = "closed"
    generation: int = 0
    row: int = 0
    lag_us: int = 0
    opened_us: int | None = None
    reopenings: int = 0
    trial: Trial | None = None  # while half-open
    moved: Transition | None = None  # the last change of state
    total_successes: int = 0
    total_failures: int = 0
    total_slow: int = 0
    total_ignored: int = 0

    def look(self, now_us: int) -> int:
        """Return the time on the breaker's own clock, which stands still where the caller's steps back."""
        own_us = now_us + self.lag_us
        if own_us < self.seen_us:
            self.lag_us += self.seen_us - own_us
            self.calm_until_us = NOT_CALM_US
            return self.seen_us
        self.seen_us = own_us
        return own_us

    def calm(self) -> None:
        """Say anew how long the calm lane is open."""
        is_calm = self.phase == "closed" and self.lag_us == 0
        self.calm_until_us = self.window.until_us if is_calm else NOT_CALM_US

    def copy(self) -> BreakerState:
        """Return a state that goes its own way from here."""
        return replace(self, window=self.window.copy(), trial=self.trial and self.trial.copy())


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """Show one breaker as it stood at one moment. Rates are None while no call is in the window."""

    state: Phase
    generation: int
    calls: int  # in the window, as the next two
    failures: int
    slow: int
    failure_rate: float | None
    slow_rate: float | None
    consecutive_failures: int
    opened_at: float | None  # seconds on the caller's clock, as the next one
    retry_after: float | None  # None: calls are let through, or no time can be named
    probes_out: int
    probes_voted: int
    total_successes: int  # from here on: since the breaker was made, whatever the generation
    total_failures: int
    total_slow: int
    total_ignored: int
    reason: str | None = None  # why its state changed last; None: it never has
    moved_at: float | None = None  # seconds on the caller's clock
