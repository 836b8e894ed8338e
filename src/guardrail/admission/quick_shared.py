"""The quick way in where the only rule is a limit that is kept in a store.

Law: as in `quick.py`. What the store has refused lately is refused without asking it; while it cannot be asked, the
rule's policy is carried out as in the flow.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeGuard

from guardrail.admission.account import concluded, count
from guardrail.admission.overrides import Terms
from guardrail.admission.permit import Permit
from guardrail.admission.quick import QuickPermit
from guardrail.admission.shared import AskedShared, Shared
from guardrail.stores.protocol import Check, Reply, Unavailable

if TYPE_CHECKING:
    from guardrail.admission.attempt import Attempt
    from guardrail.admission.limit_gate import LimitGate
    from guardrail.admission.refusals import Refusal


class SharedPermit(QuickPermit):
    """Remember what a store said to one call.

    Attributes:
        check: What the store is asked.
        found: What it says, or has said before.
    """

    __slots__ = ("_forks", "_heard_us", "_mark", "_sent_us", "_way", "check", "found")

    def __init__(
        self, way: SharedWay, resource: str, key: str, cost: int, check: Check, sent_us: int, mark: object
    ) -> None:
        self._made = self._decision = None
        self._is_over = self.is_held = self._granted = False
        self.resource = resource
        self._key = key
        self._cost = cost
        self.check = check
        self.found: Reply | Refusal | None = None
        self._way = way
        self._sent_us = sent_us
        self._mark = mark

    def ask(self) -> Permit:
        """Ask the store, and return what the call gets."""
        return self._heard(self._way.shared.ask((self.check,)))

    async def aask(self) -> Permit:
        """Ask as `ask` does, from a task."""
        return self._heard(await self._way.shared.aask((self.check,)))

    def refused_by(self) -> str:
        return self._way.gate.name

    def asked(self) -> AskedShared:
        """Return what the flow would have asked."""
        way, check = self._way, self.check
        terms = Terms(check.limit, way.gate.terms_by_key(self._key).text)
        return AskedShared(way.gate, self._key, terms, check.cost, way.shared, check.key)

    def _heard(self, answer: Reply | Unavailable) -> Permit:
        """Take in what the store said."""
        ledger = self._way.gate.ledger
        if isinstance(answer, Unavailable):
            return concluded(self._without_store(answer), ledger, self.resource)
        self.found = answer
        self._granted = answer.allowed
        self._heard_us, self._forks = ledger.clock.now_us(), ledger.forks
        tally = self._way.gate.tally
        if self._granted:
            tally.let_in(self._key)
            return self
        tally.keep_out(self._key, watching=False)
        check, state = self.check, answer.states[0]
        retry_after_us = check.limit.ask(state, answer.now_us, check.cost, 0).retry_after_us
        self._way.shared.refusals.note(check, state, answer.now_us, retry_after_us, self._sent_us, self._mark)
        return concluded(self, ledger, self.resource)

    def _without_store(self, unavailable: Unavailable) -> Permit:
        """Return the permit that the rule's policy has for this call."""
        ledger = self._way.gate.ledger
        attempt = self._blank(ledger)
        attempt.shared.append(self.asked())
        ledger.run(partial(_without_store, attempt), unavailable)
        return Permit(attempt)

    def _make(self) -> Attempt:
        attempt, asked = self._blank(self._way.gate.ledger), self.asked()
        found = self.found
        if isinstance(found, Reply):
            asked.hear(found.states[0], found.eras[0], found.now_us, allowed=found.allowed, peek=False)
            asked.was_heard(self._heard_us, self._forks)
        else:
            assert found is not None
            state, now_us = found.at(self._sent_us)
            asked.hear(state, 0, now_us, allowed=False, peek=False)
        attempt.shared.append(asked)
        return attempt


def _without_store(attempt: Attempt, unavailable: Unavailable) -> None:
    """Decide by the rule's policy."""
    now_us = attempt.ledger.now_us
    if attempt.hear(unavailable, now_us, peek=False) is not None:
        attempt.admit(now_us)
    else:
        count(attempt)


def is_open(permit: Permit | None) -> TypeGuard[SharedPermit]:
    """Tell whether a permit is still to be asked for."""
    return isinstance(permit, SharedPermit) and permit.found is None


class SharedWay:
    """Decide by one limit that is kept in a store."""

    __slots__ = ("gate", "parts", "shared")

    def __init__(self, gate: LimitGate, shared: Shared) -> None:
        self.gate = gate
        self.parts = gate.key
        self.shared = shared

    def at_once(self, resource: str, key: str, *, bare: bool = False) -> SharedPermit | None:
        """Decide a call of cost 1 that is known to be refused; None: the store has to be asked."""
        permit = self.begin(resource, key, 1)
        return None if is_open(permit) else permit

    def begin(self, resource: str, key: str, cost: int) -> SharedPermit | None:
        """Decide a call that is known to be refused, or return a permit to ask for; None: only the flow can."""
        gate, shared = self.gate, self.shared
        place = shared.place_for(key) if gate.key else shared.only_place
        if place is None:
            return None
        limit = gate.terms_by_key(key).limit if gate.overrides else gate.terms.limit
        taken = cost if gate.cost is None else gate.fixed_cost(cost)
        refusals = shared.refusals
        our_us = refusals.now_us()
        mark = refusals.mark(place)
        found = refusals.recall(place, limit, taken, 0, our_us)
        if found is None:
            return SharedPermit(self, resource, key, cost, Check(place, limit, taken), our_us, mark)
        check = found.check if found.check.cost == taken else Check(place, limit, taken)
        permit = SharedPermit(self, resource, key, cost, check, our_us, mark)
        permit.found = found
        gate.tally.keep_out(key, watching=False)
        concluded(permit, gate.ledger, resource)
        return permit
