"""Shared limits: counted in a store, together with other processes.

Law: the store decides, and what it says is read with the code of local limits. While it cannot be asked, each rule's
`on_store_error` decides: `local` is this process's share of the limit, counted in the ledger.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from guardrail.admission.call import subject_of
from guardrail.admission.gate import Row
from guardrail.admission.limit_gate import AskedLimit
from guardrail.admission.overrides import Terms
from guardrail.admission.replies import checked, complain, processes_of, raised
from guardrail.core.limit import Charge
from guardrail.stores.protocol import Check, Refund
from guardrail.telemetry.entry import hidden

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardrail.admission.call import Call
    from guardrail.admission.limit_gate import LimitGate
    from guardrail.admission.refusals import Refusals
    from guardrail.core.limit import State
    from guardrail.stores.protocol import Reply, Store, Unavailable

OnStoreError = Literal["local", "allow", "deny"]

MOST_PLACES = 10_000  # kept from call to call; making one takes a digest


@dataclass(frozen=True)
class Shared:
    """Hold where one rule is counted, and what happens while that is out of reach.

    Attributes:
        rule: The name the states are kept under.
        resource: The rule's `resource` as text: the subject of a limit without a key.
        keyed: The rule has a key.
        refusals: What the store has refused lately.
    """

    store: Store
    rule: str
    resource: str
    keyed: bool
    on_store_error: OnStoreError
    refusals: Refusals
    _places: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def only_place(self) -> str:
        """Where the one state of a rule without a key is kept."""
        return self.place_of(self.resource)

    def place_of(self, subject: str) -> str:
        """Return where the state of a subject is kept. All limits on one subject are in the same slot of a cluster."""
        return f"{{{hidden(subject)}}}:{self.rule}"

    def place_for(self, key: str) -> str | None:
        """Return where the state of a key is kept; None: this process knows the key only as a digest, ask by its subject."""
        place = self._places.get(key)
        if place is None and key[:1] != "\0":
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            place = self._places[key] = self.place_of(key)
        return place

    def ask(self, checks: Sequence[Check], *, peek: bool = False) -> Reply | Unavailable:
        """Ask the store. One that raises, or answers what makes no sense, which none should, is unavailable."""
        try:
            return checked(self.store.admit(checks, peek=peek), checks, self.store)
        except Exception as error:  # noqa: BLE001  whatever it is, it is logged, and the call is decided
            return raised(error)

    async def aask(self, checks: Sequence[Check], *, peek: bool = False) -> Reply | Unavailable:
        """Ask as `ask` does, from a task."""
        try:
            return checked(await self.store.aadmit(checks, peek=peek), checks, self.store)
        except Exception as error:  # noqa: BLE001  whatever it is, it is logged, and the call is decided
            return raised(error)

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

    def give_back(self, refund: Refund) -> None:
        """Give one charge back. Outside of a turn."""
        with self._unheard("giving back for"):
            self.store.give_back([refund])
        self.refusals.drop(refund.key)  # after that: what was asked before may still be refused for what is back now

    def owe(self, check: Check) -> None:
        """Charge more after the fact. Outside of a turn."""
        with self._unheard("charging more for"):
            self.store.owe([check])
        self.refusals.drop(check.key)

    @contextmanager
    def _unheard(self, act: str) -> Iterator[None]:
        """Keep from the call that has ended what a store must not, and yet may, raise."""
        try:
            yield
        except Exception:
            from logging import getLogger  # only a store that fails needs it

            getLogger("guardrail.store").exception("%s rule %r failed", act, self.rule)

    def _places_of(self, subjects: Sequence[str] | None) -> list[str] | None:
        if not self.keyed:
            return [self.only_place]
        return None if subjects is None else [self.place_of(subject) for subject in subjects]


class AskedShared(AskedLimit):
    """Ask one shared limit for one call."""

    __slots__ = ("_at_us", "_check", "_era", "_forks", "_heard_us", "_mark", "place", "shared")

    def __init__(self, gate: LimitGate, key: str, terms: Terms, cost: int, shared: Shared, place: str) -> None:
        super().__init__(gate, key, terms, cost)
        self.shared = shared
        self.place = place
        self._check = Check(place, terms.limit, cost)
        self._at_us = self._era = self._heard_us = 0
        self._forks = gate.ledger.forks
        self._mark: object = None

    @classmethod
    def in_store(cls, gate: LimitGate, call: Call, shared: Shared) -> AskedShared:
        """Ask for *call*, by its key, which all processes write alike."""
        key = gate.key_for(call)
        terms, cost = gate.terms_for(key, call), gate.cost_of(call)
        place = shared.place_for(key) if gate.key else shared.only_place
        if place is not None:
            return cls(gate, key, terms, cost, shared, place)
        subject = subject_of(gate.key, call.get)
        asked = cls(gate, key, terms, cost, shared, shared.place_of(subject))
        asked.watching = gate.only_watches(subject)  # by what all processes know it by, not by a digest of this one
        return asked

    def check(self, left_us: int | None) -> Check:
        """Return what the store is asked.

        Args:
            left_us: How long the call is willing to wait; None: as long as the rule.
        """
        limit = self.terms.limit
        patience_us = limit.max_wait_us if left_us is None else min(limit.max_wait_us, left_us)
        self._check = Check(self.place, limit, self.cost, 0 if self.watching else patience_us, self.watching)
        self._mark = self.shared.refusals.mark(self.place)
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
        self._state = state
        self._at_us, self._era, self._heard_us = now_us, era, self.gate.ledger.clock.now_us()
        if allowed and self._ruling.allowed:
            if self.cost:
                self._state = limit.charge(state, now_us, self.cost)
            if not peek:
                self.took = True
                if self.cost:
                    self.charges.append(Charge(self.cost, now_us, self._state, self._ruling.wait_us > 0))
        self.conclude(now_us)
        return self._ruling.wait_us

    def was_heard(self, heard_us: int, forks: int) -> None:
        """Write down when the store's answer was heard, by the ledger's clock, and in which process.

        Args:
            forks: The ledger's `forks` at that time.
        """
        self._heard_us, self._forks = heard_us, forks

    def remember(self, sent_us: int) -> None:
        """Remember what the store said, if it said no: the next such call need not ask.

        Args:
            sent_us: The time by the clock of `refusals` before the question was sent.
        """
        if not self._ruling.allowed:
            retry_after_us = self._ruling.retry_after_us
            self.shared.refusals.note(self._check, self._state, self._at_us, retry_after_us, sent_us, self._mark)

    def stand_in(self) -> AskedLimit:
        """Return this process's share of the limit, to be asked instead. Inside a turn."""
        store = self.shared.store
        count = processes_of(store)
        if count is None:
            self.gate.ledger.afterwards(lambda: complain(store))
            count = 1
        share = self.gate.terms.limit.share(count)
        if self.gate.states.limit != share:
            self.gate.states.switch(share)
        here = AskedLimit(self.gate, self.key, Terms(self.terms.limit.share(count), self.terms.text), self.cost)
        here.watching = False
        here.by_policy = True
        return here

    def do_without(self, retry_after_us: int) -> bool:
        """Decide without the store, by the rule's policy; False: refused."""
        self.by_policy = True
        denied = self.shared.on_store_error == "deny"
        capacity = self.terms.limit.capacity
        if denied:
            self.row = Row(self.terms.text, "store_unavailable", capacity, None, retry_after_us)
        else:
            self.row = Row(self.terms.text, None, capacity)
        return not denied

    def owe(self, cost: int, now_us: int) -> None:
        if self._is_ours():
            limit, at_us = self.terms.limit, self._stored_us(now_us)
            self._state = limit.charge(limit.at(self._state, at_us), at_us, cost)
            self.charges.append(Charge(cost, at_us, self._state))
            check = Check(self.place, limit, cost)
            self.gate.ledger.afterwards(lambda: self.shared.owe(check))

    def withdraw(self, now_us: int) -> None:
        if self.charges:
            limit, charge, at_us = self.terms.limit, self.charges[-1], self._stored_us(now_us)
            self.give_back(now_us)
            self._state = limit.at(limit.give_back(self._state, at_us, charge.cost, charge), at_us)
            self.conclude(at_us)

    def _return(self, charge: Charge, cost: int, now_us: int) -> None:
        if self._is_ours():
            refund = Refund(self.place, self.terms.limit, cost, charge, self._era)
            self.gate.ledger.afterwards(lambda: self.shared.give_back(refund))

    def _is_ours(self) -> bool:
        """Tell whether the call was made in this process: what a fork has copied, the parent gives back."""
        return self._forks == self.gate.ledger.forks

    def _stored_us(self, now_us: int) -> int:
        """Return the store's time, which is not earlier: it had gone on by when its answer was heard."""
        return self._at_us + max(0, now_us - self._heard_us)
