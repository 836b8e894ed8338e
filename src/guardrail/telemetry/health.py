"""Health: whether a service can rely on its guard, in a word and with reasons.

Law: it is read off a snapshot. An open breaker is no illness of the guard: it is what the rules ask for, and named all the
same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardrail.core.breaker_state import BreakerSnapshot
    from guardrail.telemetry.snapshot import Snapshot

Status = Literal["ok", "degraded", "failing"]


@dataclass(frozen=True, slots=True)
class Health:
    """Say whether a service can rely on its guard, for a readiness endpoint. True unless it is `failing`.

    Attributes:
        status: `ok`; `degraded`: calls are decided, but not as the rule files ask for, or something is kept out for a
            while; `failing`: a rule refuses every call, because its store is away and it denies without it.
        reasons: Why, one sentence each.
    """

    status: Status
    reasons: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.status != "failing"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def health_of(snapshot: Snapshot) -> Health:
    """Return the health that a snapshot shows."""
    failing, degraded = list(_failing(snapshot)), list(_degraded(snapshot))
    status: Status = "failing" if failing else "degraded" if degraded else "ok"
    return Health(status, (*failing, *degraded))


def _failing(snapshot: Snapshot) -> Iterator[str]:
    if _is_away(snapshot):
        for rule in snapshot.rules:
            if rule.on_store_error == "deny" and rule.enforced == 1:
                yield f"rule '{rule.name}' refuses every call: its store is away, and it denies without it"


def _degraded(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.store is not None and _is_away(snapshot):
        yield f"{snapshot.store.store} is away: {snapshot.store.reason}"
    if snapshot.mode != "enforce":
        yield f"the guard's mode is {snapshot.mode}: no rule refuses"
    if snapshot.reload.error is not None:
        yield "the rule files cannot be used; the last good rules are in force"
    for rule in snapshot.rules:
        if _is_away(snapshot) and rule.on_store_error == "deny" and 0 < rule.enforced < 1:
            yield f"rule '{rule.name}' refuses {rule.enforced:.0%} of all keys: its store is away, and it denies without it"
    enforced = {rule.name for rule in snapshot.rules if rule.enforced}
    for breakers in snapshot.breakers:
        out = sum(map(_keeps_out, breakers.notable.values())) if breakers.rule in enforced else 0
        if out:
            yield (
                f"{out} breakers of '{breakers.rule}' keep calls out"
                if out > 1
                else f"breaker '{breakers.rule}' keeps calls out"
            )


def _is_away(snapshot: Snapshot) -> bool:
    return snapshot.store is not None and not snapshot.store.available


def _keeps_out(breaker: BreakerSnapshot) -> bool:
    """Tell whether a call would be refused now; an open breaker whose time is over lets the next one try."""
    return breaker.state == "forced_open" or bool(breaker.retry_after)
