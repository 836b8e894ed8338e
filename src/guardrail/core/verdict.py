"""What is decided: one verdict for each rule that was asked, one decision for the call.

Law: over several rules, `retry_after` is the largest among those that refuse (None is larger than any), `remaining` the
smallest, `reset_after` the largest; waits for limits run side by side, those for bulkheads one after another. Shadow rules are listed, and count for nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["limit", "breaker", "bulkhead"]
Outcome = Literal["success", "failure", "ignored"]
Reason = Literal[
    "rate",
    "cost_too_large",
    "breaker_open",
    "breaker_probing",
    "breaker_forced",
    "bulkhead_full",
    "bulkhead_timeout",
    "store_unavailable",
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold what one rule said. Times are seconds.

    Attributes:
        limit: The rule's capacity: tokens of a limit, places of a bulkhead; None for a breaker.
        remaining: What is left of it after this call, or untouched by it after a refusal; never below 0.
        wait: How long the call had to wait for this rule, or would have to.
        shadow: The rule only watches: it never refuses.
        text: The rule's own numbers, such as `100/min`.
        keyed: The rule counts each value of its key apart.
        refill: Of a limit: in how long all of it comes back.
    """

    rule: str
    kind: Kind
    allowed: bool
    reason: Reason | None = None
    limit: int | None = None
    remaining: int | None = None
    retry_after: float | None = None
    reset_after: float | None = None
    wait: float = 0.0
    shadow: bool = False
    text: str = ""
    keyed: bool = False
    refill: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Hold what all rules together said of one call. Times are seconds.

    Attributes:
        rule: The refusing rule with the largest `retry_after`, or the admitting one with the smallest `remaining`.
        limit: Its capacity.
        wait: How long the call waited, or would have to.
        verdicts: One for each rule that was asked, in the order of the rules.
    """

    allowed: bool
    rule: str | None = None
    kind: Kind | None = None
    reason: Reason | None = None
    limit: int | None = None
    remaining: int | None = None
    retry_after: float | None = None
    reset_after: float | None = None
    wait: float = 0.0
    verdicts: tuple[Verdict, ...] = ()

    @classmethod
    def of(cls, verdicts: tuple[Verdict, ...]) -> Decision:
        """Combine the verdicts of all rules that were asked."""
        counted = [verdict for verdict in verdicts if not verdict.shadow]
        refusing = [verdict for verdict in counted if not verdict.allowed]
        remaining = [verdict.remaining for verdict in counted if verdict.remaining is not None]
        resets = [verdict.reset_after for verdict in counted if verdict.reset_after is not None]
        if refusing:
            binding = max(refusing, key=_retry_order)
        elif counted:
            binding = min(counted, key=_remaining_order)
        else:
            return cls(allowed=True, verdicts=verdicts)
        return cls(
            allowed=not refusing,
            rule=binding.rule,
            kind=binding.kind,
            reason=binding.reason,
            limit=binding.limit,
            remaining=min(remaining, default=None),
            retry_after=binding.retry_after,
            reset_after=max(resets, default=None),
            wait=sum(verdict.wait for verdict in counted if verdict.kind == "bulkhead")
            + max((verdict.wait for verdict in counted if verdict.kind == "limit"), default=0.0),
            verdicts=verdicts,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    def sentence(self) -> str:
        """Say in words which rule refused, why, and when to come back."""
        if self.allowed:
            return "allowed"
        text = next((one.text for one in self.verdicts if one.rule == self.rule and not one.allowed), "")
        when = "" if self.retry_after is None else f"; retry after {_seconds(self.retry_after)}"
        return _SENTENCES[self.reason or "rate"].format(text=text, rule=self.rule) + when


_SENTENCES: dict[Reason, str] = {
    "rate": "{text} exceeded by rule '{rule}'",
    "cost_too_large": "the call costs more than rule '{rule}' ever allows at once ({text}); make it smaller",
    "breaker_open": "breaker '{rule}' is open",
    "breaker_probing": "breaker '{rule}' is half-open and all its probes are out",
    "breaker_forced": "breaker '{rule}' was opened by hand",
    "bulkhead_full": "bulkhead '{rule}' is full ({text} at once)",
    "bulkhead_timeout": "no place of bulkhead '{rule}' came free in time ({text} at once)",
    "store_unavailable": "the store behind rule '{rule}' is unavailable and the rule denies without it",
}


def _retry_order(verdict: Verdict) -> float:
    return float("inf") if verdict.retry_after is None else verdict.retry_after


def _remaining_order(verdict: Verdict) -> float:
    return float("inf") if verdict.remaining is None else verdict.remaining


def _seconds(seconds: float) -> str:
    time_us = round(seconds * 1_000_000)
    if time_us < 1_000:
        return f"{time_us} us"
    return f"{-(-time_us // 1000) / 1000:.3f}".rstrip("0").rstrip(".") + " s"  # rounded up: who comes then gets in
