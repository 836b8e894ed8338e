"""Limits at the gate: how often.

Law: a charge remembers what it took and when, so that it can be given back without letting anybody in too early.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from guardrail.admission.call import text_of, values_of
from guardrail.admission.gate import Gate, Row
from guardrail.core.limit import ALLOWED, LARGEST, Charge
from guardrail.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrail.admission.call import Call
    from guardrail.admission.limit_states import LimitStates
    from guardrail.admission.overrides import RateLookup, Terms
    from guardrail.admission.shared import Shared
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
        shared: Where the limit is counted together with other processes; None: in this one.
    """

    states: LimitStates
    terms: Terms
    overrides: Mapping[str, Terms]
    lookup: RateLookup | None
    cost: int | str | None
    on_failure_only: bool
    shared: Shared | None

    @property
    def is_plain(self) -> bool:
        """Tell whether the rule decides every call at once, by its key and a cost in numbers: no attribute, no wait."""
        return (
            self.is_unconditional
            and self.lookup is None
            and not self.on_failure_only
            and not isinstance(self.cost, str)
            and self.terms.limit.max_wait_us == 0
        )

    def bucket_here(self) -> TokenBucket | None:
        """Return the token bucket that decides all keys of a plain limit in this process, if one does. Inside a turn."""
        limit = self.terms.limit
        if self.shared is not None or self.overrides or not isinstance(limit, TokenBucket):
            return None
        return limit if self.states.limit == limit else None

    def terms_for(self, key: str, call: Call) -> Terms:
        """Return the numbers that hold for the key of *call*."""
        if self.lookup is not None:
            found = self.lookup.terms(key, lambda: values_of(self.key, call.get))
            if found is not None:
                return found
        return self.terms_by_key(key)

    def terms_by_key(self, key: str) -> Terms:
        """Return the numbers that the rule itself has for a key."""
        return self.overrides.get(key, self.terms) if self.overrides else self.terms

    def fixed_cost(self, cost: int) -> int:
        """Return what a call of this cost costs here, where no attribute says so."""
        return self.cost if isinstance(self.cost, int) else cost

    def cost_of(self, call: Call) -> int:
        """Return what *call* costs here. An attribute that is no whole number counts as the call's own cost.

        One with more digits than any limit has room for costs too much.
        """
        cost = self.cost
        if cost is None:
            return call.cost
        if isinstance(cost, int):
            return cost
        text = text_of(call.get(cost), cost)
        if not text.isascii() or not text.isdecimal():
            return call.cost
        return int(text) if len(text) <= LONGEST_COST else LARGEST


class AskedLimit:
    """Ask one limit for one call.

    Attributes:
        by_policy: Its store could not be asked: the rule's `on_store_error` decides.
    """

    __slots__ = (
        *("_ruling", "_since", "_state", "by_policy", "charges", "cost", "gate", "home"),
        *("key", "row", "terms", "took", "watching"),
    )

    def __init__(self, gate: LimitGate, key: str, terms: Terms, cost: int) -> None:
        self.gate = gate
        self.key = key
        self.watching = gate.only_watches(key)
        self.terms = terms
        self.cost = cost
        self.home = key
        self.by_policy = False
        self.charges: list[Charge] = []
        self.took = False  # the cost of the call, which may be 0, and still has it
        self.row: Row | None = None
        self._since = (0, 0)
        self._state: State
        self._ruling: Ruling

    @classmethod
    def of(cls, gate: LimitGate, call: Call) -> AskedLimit:
        """Ask for *call*, by its key."""
        key = gate.key_for(call)
        return cls(gate, key, gate.terms_for(key, call), gate.cost_of(call))

    def ask(self, now_us: int, left_us: int | None, *, peek: bool = False) -> Ruling:
        """Ask, charging nothing. A clock that stepped back is written down even if the answer is no."""
        limit = self.terms.limit
        self._state = self._find(self.key, now_us, peek=peek)
        max_wait_us = limit.max_wait_us if left_us is None else min(limit.max_wait_us, left_us)
        self._ruling = limit.ask(self._state, now_us, self.cost, max_wait_us)
        return self._ruling

    def was_charged(self, state: State, now_us: int, since: tuple[int, int]) -> None:
        """Write down a charge that was made without asking here.

        Args:
            state: What it left.
            since: The ledger's `steps` and the states' `resets` at that time.
        """
        self.took = True
        self._state, self._ruling, self._since = state, ALLOWED, since
        self.charges.append(Charge(self.cost, now_us, state))
        self.conclude(now_us)

    def spend(self, now_us: int) -> None:
        """Charge what was just asked for."""
        self.took = True
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
            limit.refill_us,
        )

    def owe(self, cost: int, now_us: int) -> None:
        """Charge more after the fact; it may pass the capacity, and later calls wait for it."""
        state = self._find(self.home if self.charges else self.key, now_us)
        self._charge(state, cost, now_us, waited=False)

    def withdraw(self, now_us: int) -> None:
        """Give everything back, and show the state without it: something else refuses the call."""
        if self.charges:
            self.give_back(now_us)
            self._state = self._find(self.home, now_us)
            self.conclude(now_us)

    def give_back(self, now_us: int, cost: int | None = None) -> None:
        """Give back *cost* tokens, latest charge first; None: everything, and for good."""
        if cost is None:
            self.took = False
        while self.charges and cost != 0:
            charge = self.charges.pop()
            part = charge.cost if cost is None else min(cost, charge.cost)
            self._return(charge, part, now_us)
            if cost is not None:
                cost -= part
                if part < charge.cost:
                    self.charges.append(replace(charge, cost=charge.cost - part))

    def _find(self, key: str, now_us: int, *, peek: bool = False) -> State:
        """Return the state as it stands now. One that is ahead of the clock tells that this has stepped back."""
        states, limit, ledger = self.gate.states, self.terms.limit, self.gate.ledger
        self.home, state = states.find(key, limit, now_us)
        ledger.overflowed(self.gate.name, states)
        standing: State = limit.at(state, now_us)
        if not peek and limit.is_ahead(state, now_us):
            states.put(self.home, limit, standing)
            ledger.steps += 1  # no turn need have seen it: the compiled path takes none
        return standing

    def _return(self, charge: Charge, cost: int, now_us: int) -> None:
        states, limit = self.gate.states, self.terms.limit
        found = states.written(self.home)
        if found is None or found[0] != limit or limit.is_ahead(found[1], now_us):
            return
        if self._since == (self.gate.ledger.steps, states.resets):
            states.put(self.home, limit, limit.give_back(found[1], now_us, cost, charge))

    def _charge(self, state: State, cost: int, now_us: int, *, waited: bool) -> State:
        charged: State = self.terms.limit.charge(state, now_us, cost)
        self.gate.states.put(self.home, self.terms.limit, charged)
        if not self.charges:
            self._since = (self.gate.ledger.steps, self.gate.states.resets)
        self.charges.append(Charge(cost, now_us, charged, waited))
        return charged
