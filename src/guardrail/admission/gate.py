"""Gate: one rule of a resource, joined with its states and ready to be asked.

Law: whatever of a rule does not depend on the call is worked out in the gate, once for a plan. What one call needs of it
(its key, what it took) is in an `Asked`, one for each gate and call, whose methods run inside a turn of the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from guardrail.admission.call import Call, KeyParts, falls_within, key_of
from guardrail.core.verdict import Kind, Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from guardrail.admission.ledger import Ledger
    from guardrail.telemetry.counts import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Hold what every kind of gate has.

    Attributes:
        order: The rule's place among the rules of the plan; verdicts are listed in it.
        text: The rule's numbers as a person would write them.
        applies: Tells whether the rule's `when:` fits a call; None: always.
        enforced: The share of keys for which the rule is enforced; for the rest it only watches.
        tally: Counts what the rule decides for this resource.
    """

    order: int
    name: str
    kind: Kind
    text: str
    key: KeyParts
    applies: Callable[[Call], bool] | None
    enforced: Fraction
    ledger: Ledger
    tally: Tally

    @property
    def is_unconditional(self) -> bool:
        """Tell whether the rule decides every call to its resource, and is enforced for all of them."""
        return self.applies is None and self.enforced == 1

    def key_for(self, call: Call) -> str:
        """Return the key under which this rule counts *call*."""
        return key_of(self.key, call.get) if self.key else ""

    def only_watches(self, key: str) -> bool:
        """Tell whether the rule never refuses a call with this key."""
        share = self.enforced
        return share == 0 or (share != 1 and not falls_within(share.numerator, share.denominator, self.name, key))


class Standing(NamedTuple):
    """Hold what is left of one limit, in whole tokens and microseconds: what a header says, without a decision."""

    rule: str
    limit: int
    remaining: int
    reset_after_us: int
    refill_us: int


class Row:
    """Hold what one gate said of one call, in whole microseconds: a verdict that costs nothing until somebody looks."""

    __slots__ = (
        *("allowed", "capacity", "reason", "refill_us", "remaining"),
        *("reset_after_us", "retry_after_us", "text", "wait_us"),
    )

    def __init__(
        self,
        text: str,
        reason: Reason | None = None,
        capacity: int | None = None,
        remaining: int | None = None,
        retry_after_us: int | None = None,
        reset_after_us: int | None = None,
        wait_us: int = 0,
        refill_us: int | None = None,
    ) -> None:
        self.allowed = reason is None
        self.text = text
        self.reason: Reason | None = reason
        self.capacity = capacity
        self.remaining = remaining
        self.retry_after_us = retry_after_us
        self.reset_after_us = reset_after_us
        self.wait_us = wait_us
        self.refill_us = refill_us

    def standing(self, rule: str) -> Standing | None:
        """Return what is left of a limit; None where that is not known."""
        if self.capacity is None or self.remaining is None or self.reset_after_us is None or self.refill_us is None:
            return None
        return Standing(rule, self.capacity, self.remaining, self.reset_after_us, self.refill_us)

    def verdict(self, gate: Gate, *, shadow: bool) -> Verdict:
        """Return the same in seconds, for people."""
        return Verdict(
            rule=gate.name,
            kind=gate.kind,
            allowed=self.allowed,
            reason=self.reason,
            limit=self.capacity,
            remaining=self.remaining,
            retry_after=_seconds(self.retry_after_us),
            reset_after=_seconds(self.reset_after_us),
            wait=self.wait_us / 1_000_000,
            shadow=shadow,
            text=self.text,
            keyed=bool(gate.key),
            refill=_seconds(self.refill_us),
        )


def _seconds(time_us: int | None) -> float | None:
    return None if time_us is None else time_us / 1_000_000
