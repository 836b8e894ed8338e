"""Thresholds of a breaker: what was configured, and what it makes of counts, durations and votes.

Law: a rate is reached by `>=`, a call is slow by `>`, both in exact arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from guardrail.core.breaker_trial import reaches
from guardrail.core.breaker_window import CallWindow, TimeWindow, Window

if TYPE_CHECKING:
    from guardrail.core.breaker_trial import Trial, TrialVerdict

_HALF = Fraction(1, 2)
_LONGEST_DOUBLING = 53  # 1 us doubled this often is past every duration
_COUNTED = (
    "slow_call_us",
    "consecutive_failures",
    "window_us",
    "window_calls",
    "min_calls",
    "open_for_us",
    "open_for_max_us",
    "half_open_calls",
    "probe_timeout_us",
)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Hold what a breaker decides by. Rates are in (0, 1].

    Raises:
        ValueError: They contradict each other, or are out of range.
    """

    failure_rate: Fraction | None = None
    slow_call_us: int | None = None
    slow_rate: Fraction | None = None
    consecutive_failures: int | None = None
    window_us: int | None = None  # this or window_calls
    window_calls: int | None = None
    min_calls: int = 10
    open_for_us: int = 5_000_000
    open_for_max_us: int | None = None  # doubles on each re-opening up to this
    half_open_calls: int = 3
    probe_timeout_us: int = 30_000_000

    def __post_init__(self) -> None:
        for name in _COUNTED:
            amount: int | None = getattr(self, name)
            if amount is not None and amount < 1:
                raise ValueError(f"{name} must be at least 1, got {amount}")
        for name in ("failure_rate", "slow_rate"):
            rate: Fraction | None = getattr(self, name)
            if rate is not None and not 0 < rate <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {rate}")
        has_rate = self.failure_rate is not None or self.slow_rate is not None
        if not has_rate and self.consecutive_failures is None:
            raise ValueError("a breaker needs failure_rate, slow_rate or consecutive_failures: it would never open")
        if (self.slow_call_us is None) != (self.slow_rate is None):
            raise ValueError("slow_call_us and slow_rate need each other: what is slow, and how much of it is too much")
        if (self.window_us is None) == (self.window_calls is None):
            raise ValueError("a breaker needs exactly one of window_us and window_calls")
        if has_rate and self.window_calls is not None and self.min_calls > self.window_calls:
            raise ValueError(
                f"min_calls ({self.min_calls}) must not be above window_calls ({self.window_calls}): "
                "the window would never hold enough"
            )
        if self.open_for_max_us is not None and self.open_for_max_us < self.open_for_us:
            raise ValueError(
                f"open_for_max_us ({self.open_for_max_us}) must not be below open_for_us ({self.open_for_us})"
            )

    def empty_window(self, now_us: int) -> Window:
        """Return a window of the configured shape."""
        if self.window_us is not None:
            return TimeWindow.starting(self.window_us, now_us)
        assert self.window_calls is not None
        return CallWindow(self.window_calls)

    def is_slow(self, duration_us: int) -> bool:
        """Tell whether a call took longer than it should."""
        return self.slow_call_us is not None and duration_us > self.slow_call_us

    def opened_for_us(self, reopenings: int) -> int:
        """Return how long the breaker stays open after so many re-openings in a row."""
        if self.open_for_max_us is None:
            return self.open_for_us
        return min(self.open_for_us << min(reopenings, _LONGEST_DOUBLING), self.open_for_max_us)

    def exceeded(self, row: int, window: Window) -> str | None:
        """Say which threshold a row of failures or a window has reached, if any."""
        if self.consecutive_failures is not None and row >= self.consecutive_failures:
            return f"{row} failed in a row"
        calls = window.calls
        if calls < self.min_calls:
            return None
        for name, count, rate in ("failure", window.failures, self.failure_rate), ("slow", window.slow, self.slow_rate):
            if rate is not None and reaches(count, calls, rate):
                return f"{name} rate {_percent(Fraction(count, calls))} >= {_percent(rate)} over {calls} calls"
        return None

    def verdict(self, trial: Trial) -> TrialVerdict | None:
        """Judge the probes by the rates; where none is set, half of them failing opens again."""
        no_rate = self.failure_rate is None and self.slow_rate is None
        return trial.verdict(_HALF if no_rate else self.failure_rate, self.slow_rate)


def _percent(rate: Fraction) -> str:
    return f"{float(rate) * 100:.4g} %"
