"""Holds: resources that the other side has asked to be left alone for a while.

Law: until its instant a held resource is refused as RateLimited, and no longer; answers that arrive meanwhile may only
lengthen a hold. The guard's clock is the time, the guard's mode is obeyed, and memory is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from guardrail.core.verdict import Decision, Verdict
from guardrail.errors import RateLimited
from guardrail.telemetry.events import CallRefused

if TYPE_CHECKING:
    from guardrail.guard import Guard

MOST_HELD = 10_000  # resources; of more, the one held first is let go
_LOOKED_AT = 4  # holds that each new one looks at, for those whose time is up


@dataclass(slots=True)
class Hold:
    """Hold back one resource.

    Attributes:
        seen_us: The time when this was last looked at: a clock that steps back is treated as standing still.
        field: The header that asked for it.
    """

    until_us: int
    seen_us: int
    field: str


@dataclass(frozen=True, slots=True)
class Asked(Decision):
    """Say that the other side has asked to be left alone: of its limits no rule is known here."""

    def sentence(self) -> str:
        _, semicolon, when = Decision.sentence(self).partition("; ")
        return f"asked by its {self.rule} to stay away{semicolon}{when}"


class Holds:
    """Know the resources that are held back by one guard. Whoever calls holds the guard's lock."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[str, Hold] = {}

    def hold(self, resource: str, wait_us: int, field: str, now_us: int) -> None:
        """Hold a resource back for so long, or for longer if it already is."""
        until_us = now_us + wait_us
        known = self.find(resource, now_us)
        if known is not None and known.until_us >= until_us:
            return
        if known is None:
            self._make_room(now_us)
        self.held[resource] = Hold(until_us, now_us, field)

    def find(self, resource: str, now_us: int) -> Hold | None:
        """Return what holds a resource back now, if anything does."""
        hold = self.held.get(resource)
        if hold is None:
            return None
        if now_us < hold.seen_us:
            hold.until_us -= hold.seen_us - now_us
        hold.seen_us = now_us
        if now_us >= hold.until_us:
            del self.held[resource]
            return None
        return hold

    def _make_room(self, now_us: int) -> None:
        for resource in [name for name, _ in zip(self.held, range(_LOOKED_AT), strict=False)]:
            self.find(resource, now_us)
        if len(self.held) >= MOST_HELD:
            del self.held[next(iter(self.held))]


# All clients of a guard share its holds: many services make a session or client for each call.
_holds: WeakKeyDictionary[Guard, Holds] = WeakKeyDictionary()


def hold_back(guard: Guard, resource: str, wait_us: int, field: str) -> None:
    """Refuse the calls of a resource from now on, for so long."""
    with guard.ledger as now_us:
        _holds.setdefault(guard, Holds()).hold(resource, wait_us, field, now_us)


def held_back(guard: Guard, resource: str) -> RateLimited | None:
    """Return the refusal of a call to a resource that is held back, or None."""
    holds = _holds.get(guard)
    if holds is None or resource not in holds.held or guard.mode == "off":
        return None
    with guard.ledger as now_us:
        hold = holds.find(resource, now_us)
        if hold is None:
            return None
        decision = _decision(hold, now_us)
        shadow = guard.mode != "enforce"
        guard.ledger.say(CallRefused(resource, hold.field, "limit", "rate", decision, shadow=shadow))
    return None if shadow else RateLimited(resource, decision)


def _decision(hold: Hold, now_us: int) -> Decision:
    left = (hold.until_us - now_us) / 1_000_000
    said = Verdict(
        rule=hold.field,
        kind="limit",
        allowed=False,
        reason="rate",
        remaining=0,
        retry_after=left,
        reset_after=left,
        text="the other side's limit",
    )
    return Asked.of((said,))
