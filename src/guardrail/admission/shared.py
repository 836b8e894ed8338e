"""Shared limits: counted in a store, together with other processes.

Law: the store decides, and what it says is read with the code of local limits. While it cannot be asked, each rule's
`on_store_error` decides: `local` is this process's share of the limit, counted in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from guardrail.admission.call import subject_of, tag_of
from guardrail.admission.gate import Row
from guardrail.admission.limit_gate import AskedLimit
from guardrail.admission.overrides import Terms
from guardrail.core.limit import Charge
from guardrail.stores.protocol import Check, Refund

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.admission.call import Call
    from guardrail.admission.limit_gate import LimitGate
    from guardrail.admission.refusals import Refusals
    from guardrail.core.limit import State
    from guardrail.stores.protocol import Store

OnStoreError = Literal["local", "allow", "deny"]

MOST_PLACES = 10_000  # kept from call to call; making one takes a digest


@dataclass(frozen=True)
class Shared:
    """Hold where one rule is counted, and what happens while that is out of reach.

    Attributes:
        rule: The name the states are kept under.
        resource: The rule's `resource` as text: the subject of a limit without a key.
        refusals: What the store has refused lately.
    """

    store: Store
    rule: str
    resource: str
    on_store_error: OnStoreError
    refusals: Refusals
    _places: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def only_place(self) -> str:
        """Where the one state of a rule without a key is kept."""
        return self.place_of(self.resource)

    def place_of(self, subject: str) -> str:
        """Return where the state of a subject is kept. All limits on one subject are in the same slot of a cluster."""
        return f"{{{tag_of(subject)}}}:{self.rule}"

    def place_for(self, key: str) -> str | None:
        """Return the same for a subject whose key in this process is itself; None: that is a digest with a secret."""
        place = self._places.get(key)
        if place is None and key[:1] != "\0":
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            place = self._places[key] = self.place_of(key)
        return place

    def forget(self, subjects: Sequence[str] | None) -> None:
        """Forget what was counted for these subjects; None: for all of them.

        Raises:
            StoreError: The store could not be asked.
        """
        self.store.forget(self.rule, self._places_of(subjects))
        self.refusals.drop_rule(self.rule)

    async def aforget(self, subjects: Sequence[str] | None) -> None:
        """Forget what `forget` forgets, asking the store from this task."""
        await self.store.aforget(self.rule, self._places_of(subjects))
        self.refusals.drop_rule(self.rule)

    def _places_of(self, subjects: Sequence[str] | None) -> list[str] | None:
        return None if subjects is None else [self.place_of(subject) for subject in subjects]


class AskedShared(AskedLimit):
    """Ask one shared limit for one call."""

    __slots__ = ("_at_us", "_check", "_era", "_uncharged", "place", "shared")

    def __init__(self, gate: LimitGate, key: str, terms: Terms, cost: int, shared: Shared, place: str) -> None:
        super().__init__(gate, key, terms, cost)
        self.shared = shared
        self.place = place
        self._check = Check(place, terms.limit, cost)
        self._at_us = self._era = 0
        self._uncharged: State = ()

    @classmethod
    def in_store(cls, gate: LimitGate, call: Call, shared: Shared) -> AskedShared:
        """Ask for *call*, by its key, which all processes write alike."""
        key = gate.key_for(call)
        place = shared.place_for(key) if gate.key else shared.only_place
        if place is None:
            place = shared.place_of(subject_of(gate.key, call.get))
        return cls(gate, key, gate.terms_for(key, call), gate.cost_of(call), shared, place)

    def check(self, left_us: int | None) -> Check:
        """Return what the store is asked.

        Args:
            left_us: How long the call is willing to wait; None: as long as the rule.
        """
        limit = self.terms.limit
        patience_us = limit.max_wait_us if left_us is None else min(limit.max_wait_us, left_us)
        self._check = Check(self.place, limit, self.cost, 0 if self.watching else patience_us, self.watching)
        return self._check

    def recall(self, our_us: int) -> bool:
        """Tell whether the store is known to refuse what `check` returned; the row then says so.

        Args:
            our_us: The time by the clock of `refusals`.
        """
        if self.watching:
            return False
        check = self._check
        found = self.shared.refusals.recall(check.key, check.limit, check.cost, check.max_wait_us, our_us)
        if found is None:
            return False
        state, now_us = found.at(our_us)
        self.hear(state, 0, now_us, allowed=False, peek=True)
        return True

    def hear(self, state: State, era: int, now_us: int, *, allowed: bool, peek: bool) -> int:
        """Take in what the store said, and return how long the call has to wait for it.

        Args:
            state: As it stood at *now_us*, the store's time, before any charge.
            allowed: All rules in the store that do not just watch allow the call.
        """
        limit = self.terms.limit
        self._ruling = limit.ask(state, now_us, self.cost, self._check.max_wait_us)
        self._state = self._uncharged = state
        self._at_us, self._era = now_us, era
        if allowed and self._ruling.allowed:
            if self.cost:
                self._state = limit.charge(state, now_us, self.cost)
            if not peek:
                self.took = True
                if self.cost:
                    self.charges.append(Charge(self.cost, now_us, self._state, self._ruling.wait_us > 0))
        self.conclude(now_us)
        return self._ruling.wait_us

    def remember(self, sent_us: int) -> None:
        """Remember what the store said, if it said no: the next such call need not ask.

        Args:
            sent_us: The time by the clock of `refusals` before the question was sent.
        """
        if not self._ruling.allowed:
            retry_after_us = self._ruling.retry_after_us
            self.shared.refusals.note(self._check, self._uncharged, self._at_us, retry_after_us, sent_us)

    def stand_in(self) -> AskedLimit:
        """Return this process's share of the limit, to be asked instead. Inside a turn."""
        count = self.shared.store.live_processes()
        share = self.gate.terms.limit.share(count)
        if self.gate.states.limit != share:
            self.gate.states.switch(share)
        return AskedLimit(self.gate, self.key, Terms(self.terms.limit.share(count), self.terms.text), self.cost)

    def do_without(self, retry_after_us: int) -> bool:
        """Decide without the store, by the rule's policy; False: refused."""
        denied = self.shared.on_store_error == "deny"
        self.took = not denied
        capacity = self.terms.limit.capacity
        if denied:
            self.row = Row(self.terms.text, "store_unavailable", capacity, None, retry_after_us)
        else:
            self.row = Row(self.terms.text, None, capacity)
        return not denied

    def owe(self, cost: int, now_us: int) -> None:
        check = Check(self.place, self.terms.limit, cost)
        self.gate.ledger.afterwards(lambda: self.shared.store.owe([check]))

    def withdraw(self, now_us: int) -> None:
        if self.charges:
            self.give_back(now_us)
            self._state = self._uncharged
            self.conclude(self._at_us)

    def _return(self, charge: Charge, cost: int, now_us: int) -> None:
        self.shared.refusals.drop(self.place)
        refund = Refund(self.place, self.terms.limit, cost, charge, self._era)
        self.gate.ledger.afterwards(lambda: self.shared.store.give_back([refund]))
