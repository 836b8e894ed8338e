"""The quick way in where the only rule is a limit that is kept in a store.

Law: as in `quick.py`. What the store has refused lately is refused without asking it; while it cannot be asked, the
rule's policy is carried out as in the flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.admission.overrides import Terms
from guardrail.admission.permit import Permit, concluded
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
    """

    __slots__ = ("_forks", "_found", "_heard_us", "_way", "check")

    def __init__(self, way: SharedWay, resource: str, key: str, cost: int, check: Check) -> None:
        super().__init__(resource, key, cost, granted=False)
        self.check = check
        self._way = way
        self._found: Reply | tuple[Refusal, int] | None = None

    def heard(self, reply: Reply) -> None:
        """Take in what the store said."""
        ledger = self._way.gate.ledger
        self._found = reply
        self._granted = reply.allowed
        self._heard_us, self._forks = ledger.clock.now_us(), ledger.forks

    def recalled(self, refusal: Refusal, our_us: int) -> None:
        """Take in what the store has said before."""
        self._found = (refusal, our_us)

    def asked(self) -> AskedShared:
        """Return what the flow would have asked."""
        way, check = self._way, self.check
        terms = Terms(check.limit, way.gate.terms_by_key(self._key).text)
        return AskedShared(way.gate, self._key, terms, check.cost, way.shared, check.key)

    def without_store(self, unavailable: Unavailable) -> Permit:
        """Return the permit that the rule's policy has for this call."""
        ledger = self._way.gate.ledger
        attempt = self._blank(ledger)
        attempt.shared.append(self.asked())
        with ledger as now_us:
            if attempt.hear(unavailable, now_us, peek=False) is not None:
                attempt.admit(now_us)
        return Permit(attempt)

    def _make(self) -> Attempt:
        attempt, asked = self._blank(self._way.gate.ledger), self.asked()
        if isinstance(self._found, Reply):
            reply = self._found
            asked.hear(reply.states[0], reply.eras[0], reply.now_us, allowed=self._granted, peek=False)
            asked.was_heard(self._heard_us, self._forks)
        elif self._found is not None:
            refusal, our_us = self._found
            state, now_us = refusal.at(our_us)
            asked.hear(state, 0, now_us, allowed=False, peek=False)
        attempt.shared.append(asked)
        return attempt


class SharedWay:
    """Decide by one limit that is kept in a store."""

    __slots__ = ("gate", "shared")

    def __init__(self, gate: LimitGate, shared: Shared) -> None:
        self.gate = gate
        self.shared = shared

    def enter(self, resource: str, key: str, cost: int) -> Permit | None:
        check = self._check(key, cost)
        if check is None:
            return None
        permit = SharedPermit(self, resource, key, cost, check)
        refusals = self.shared.refusals
        sent_us, mark = refusals.now_us(), refusals.mark(check.key)
        if self._is_refused(permit, sent_us):
            return concluded(permit, self.gate.ledger, resource)
        return self._heard(permit, self.shared.store.admit((check,)), sent_us, mark)

    async def aenter(self, resource: str, key: str, cost: int) -> Permit | None:
        check = self._check(key, cost)
        if check is None:
            return None
        permit = SharedPermit(self, resource, key, cost, check)
        refusals = self.shared.refusals
        sent_us, mark = refusals.now_us(), refusals.mark(check.key)
        if self._is_refused(permit, sent_us):
            return concluded(permit, self.gate.ledger, resource)
        return self._heard(permit, await self.shared.store.aadmit((check,)), sent_us, mark)

    def _check(self, key: str, cost: int) -> Check | None:
        gate, shared = self.gate, self.shared
        place = shared.place_for(key) if gate.key else shared.only_place
        return None if place is None else Check(place, gate.terms_by_key(key).limit, gate.fixed_cost(cost))

    def _is_refused(self, permit: SharedPermit, our_us: int) -> bool:
        check = permit.check
        found = self.shared.refusals.recall(check.key, check.limit, check.cost, 0, our_us)
        if found is not None:
            permit.recalled(found, our_us)
        return found is not None

    def _heard(self, permit: SharedPermit, answer: Reply | Unavailable, sent_us: int, mark: object) -> Permit:
        if isinstance(answer, Unavailable):
            return concluded(permit.without_store(answer), self.gate.ledger, permit.resource)
        permit.heard(answer)
        if permit:
            return permit
        check, state = permit.check, answer.states[0]
        retry_after_us = check.limit.ask(state, answer.now_us, check.cost, 0).retry_after_us
        self.shared.refusals.note(check, state, answer.now_us, retry_after_us, sent_us, mark)
        return concluded(permit, self.gate.ledger, permit.resource)
