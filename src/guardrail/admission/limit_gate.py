"""Limits at the gate: how often.

Law: a charge remembers what it took and when, so that it can be given back without letting anybody in too early.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from guardrail.admission.call import text_of
from guardrail.admission.gate import Gate, Row
from guardrail.core.limit import Charge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrail.admission.call import Call
    from guardrail.admission.limit_states import LimitStates
    from guardrail.admission.overrides import RateLookup, Terms
    from guardrail.core.limit import Ruling, State

LONGEST_COST = 15  # digits of an attribute that names a cost


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitGate(Gate):
    """Ask one limit.

    Attributes:
        overrides: Terms for single keys, from the rule.
        lookup: Terms for single keys, from elsewhere.
        cost: Tokens a call takes, or the attribute that says so; None: what the call says.
        on_failure_only: The charge is given back unless the outcome is a failure.
    """

    states: LimitStates
    terms: Terms
    overrides: Mapping[str, Terms]
    lookup: RateLookup | None
    cost: int | str | None
    on_failure_only: bool

    def terms_for(self, key: str) -> Terms:
        """Return the numbers that hold for *key*."""
        if self.lookup is not None and (found := self.lookup.terms(key)) is not None:
            return found
        return self.overrides.get(key, self.terms) if self.overrides else self.terms

    def cost_of(self, call: Call) -> int:
        """Return what *call* costs here. An attribute that is no whole number counts as the call's own cost."""
        cost = self.cost
        if cost is None:
            return call.cost
        if isinstance(cost, int):
            return cost
        text = text_of(call.get(cost))
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_COST else call.cost


class AskedLimit:
    """Ask one limit for one call."""

    __slots__ = ("_ruling", "_state", "_steps", "charges", "cost", "gate", "home", "key", "row", "terms", "watching")

    def __init__(self, gate: LimitGate, call: Call) -> None:
        self.gate = gate
        self.key = gate.key_for(call)
        self.watching = gate.only_watches(self.key)
        self.terms: Terms = gate.terms_for(self.key)
        self.cost = gate.cost_of(call)
        self.home = self.key
        self.charges: list[Charge] = []
        self.row: Row | None = None
        self._steps = 0
        self._state: State
        self._ruling: Ruling

    def ask(self, now_us: int, left_us: int | None, *, peek: bool = False) -> Ruling:
        """Ask, charging nothing. A clock that stepped back is written down even if the answer is no."""
        states, limit = self.gate.states, self.terms.limit
        self.home, state = states.find(self.key, limit, now_us)
        self.gate.ledger.overflowed(self.gate.name, states)
        ahead = limit.is_ahead(state, now_us)
        state = limit.at(state, now_us)
        if ahead and not peek:
            states.put(self.home, limit, state)
        max_wait_us = limit.max_wait_us if left_us is None else min(limit.max_wait_us, left_us)
        self._state, self._ruling = state, limit.ask(state, now_us, self.cost, max_wait_us)
        return self._ruling

    def spend(self, now_us: int) -> None:
        """Charge what was just asked for."""
        if self.cost:
            self._state = self._charge(self._state, self.cost, now_us, waited=self._ruling.wait_us > 0)

    def foresee(self, now_us: int) -> None:
        """Show the charge without making it."""
        if self.cost:
            self._state = self.terms.limit.charge(self._state, now_us, self.cost)

    def conclude(self, now_us: int) -> None:
        """Write the row: the state as it is now, charged or not."""
        limit, ruling = self.terms.limit, self._ruling
        remaining, reset_after_us = limit.view(self._state, now_us)
        self.row = Row(
            self.terms.text,
            ruling.reason,
            limit.capacity,
            remaining,
            ruling.retry_after_us,
            reset_after_us,
            ruling.wait_us,
        )

    def owe(self, cost: int, now_us: int) -> None:
        """Charge more after the fact; it may pass the capacity, and later calls wait for it."""
        limit = self.terms.limit
        self.home, state = self.gate.states.find(self.key, limit, now_us)
        self._charge(limit.at(state, now_us), cost, now_us, waited=False)

    def give_back(self, now_us: int, cost: int | None = None) -> None:
        """Give back *cost* tokens, latest charge first; None: everything that was taken."""
        while self.charges and cost != 0:
            charge = self.charges.pop()
            part = charge.cost if cost is None else min(cost, charge.cost)
            self._return(charge, part, now_us)
            if cost is not None:
                cost -= part
                if part < charge.cost:
                    self.charges.append(replace(charge, cost=charge.cost - part))

    def _return(self, charge: Charge, cost: int, now_us: int) -> None:
        states, limit = self.gate.states, self.terms.limit
        found = states.written(self.home)
        if self._steps == self.gate.ledger.steps and found is not None and found[0] == limit:
            states.put(self.home, limit, limit.give_back(found[1], now_us, cost, charge))

    def _charge(self, state: State, cost: int, now_us: int, *, waited: bool) -> State:
        charged: State = self.terms.limit.charge(state, now_us, cost)
        self.gate.states.put(self.home, self.terms.limit, charged)
        if not self.charges:
            self._steps = self.gate.ledger.steps
        self.charges.append(Charge(cost, now_us, charged, waited))
        return charged
