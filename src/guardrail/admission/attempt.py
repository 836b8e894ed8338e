"""Attempt: one call at the gates, what they said to it and what it has taken from them.

Law: what is taken is written down in the same turn in which it is taken, so that whatever ends the attempt can give all
of it back. Everything but `decision` runs inside a turn of the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from guardrail.admission.account import count, tell_shadows
from guardrail.admission.breaker_gate import AskedBreaker, BreakerGate
from guardrail.admission.bulkhead_gate import AskedBulkhead, BulkheadGate
from guardrail.admission.flow import Ask
from guardrail.admission.limit_gate import AskedLimit, LimitGate
from guardrail.admission.shadow import Asked, look_on, watch
from guardrail.admission.shared import AskedShared, Shared
from guardrail.core.verdict import Decision
from guardrail.stores.protocol import Reply, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.admission.call import Call
    from guardrail.admission.gate import Gate, Standing
    from guardrail.admission.ledger import Ledger
    from guardrail.core.verdict import Outcome

A = TypeVar("A", bound=Asked)


class Attempt:
    """Carry one call through the gates of its resource."""

    __slots__ = (
        *("_asking", "_sent_us", "_shadow", "breakers", "bulkheads", "call", "cost", "ended"),
        *("granted", "ledger", "limits", "shared", "since_us", "until_us"),
    )

    def __init__(self, gates: Sequence[Gate], call: Call, ledger: Ledger) -> None:
        self.call = call
        self.cost = call.cost
        self.ledger = ledger
        self.breakers: list[AskedBreaker] = []
        self.bulkheads: list[AskedBulkhead] = []
        self.limits: list[AskedLimit] = []
        self.shared: list[AskedShared] = []  # also those that only watch: one question to the store is for all
        self._asking = False
        self._sent_us = 0
        self._shadow: list[Asked] = []
        for gate in gates:
            if gate.applies is None or gate.applies(call):
                self._add(gate)
        self.granted = False
        self.ended = False
        self.since_us = self.until_us = 0

    def decision(self) -> Decision:
        """Build what all rules together said."""
        asked = self.asked()
        asked.sort(key=lambda one: one.gate.order)
        return Decision.of(
            tuple(one.row.verdict(one.gate, shadow=one.watching) for one in asked if one.row is not None)
        )

    def standings(self) -> list[Standing]:
        """Return what is left of each limit with a key that does not just watch."""
        limits = [
            one for one in (*self.limits, *self.shared) if one.gate.key and not one.watching and one.row is not None
        ]
        limits.sort(key=lambda one: one.gate.order)
        found = [one.row.standing(one.gate.name) for one in limits if one.row is not None]
        return [standing for standing in found if standing is not None]

    def start(self, now_us: int) -> None:
        """Fix the time at which all waiting ends."""
        if self.call.max_wait_us is not None:
            self.until_us = now_us + self.call.max_wait_us

    def left_us(self, now_us: int) -> int | None:
        """Return how much longer the call itself is willing to wait; None: as long as the rules."""
        most_us = self.call.max_wait_us  # all there is, also where the clock has stepped back meanwhile
        return None if most_us is None else max(0, min(self.until_us - now_us, most_us))

    def ask_breakers(self, now_us: int) -> bool:
        """Ask every breaker, taking nothing."""
        return all([asked.ask(now_us) for asked in self.breakers])

    def charge(self, now_us: int) -> int | None:
        """Charge every limit of this process or none.

        Returns:
            How long the call has to wait before it starts; None: refused.
        """
        left_us = self.left_us(now_us)
        rulings = [asked.ask(now_us, left_us) for asked in self.limits]
        allowed = all([ruling.allowed for ruling in rulings])
        for asked in self.limits:
            if allowed:
                asked.spend(now_us)
            asked.conclude(now_us)
        return max((ruling.wait_us for ruling in rulings), default=0) if allowed else None

    def question(self, now_us: int, *, peek: bool) -> Ask | None:
        """Return what the store is to be asked; None: it is known to refuse."""
        left_us = self.left_us(now_us)
        shared = self.shared[0].shared
        self._sent_us = shared.refusals.now_us()
        checks = [asked.check(left_us) for asked in self.shared]
        if any([asked.recall(self._sent_us) for asked in self.shared]):
            return None
        self._asking = not peek
        return Ask(shared, checks, peek)

    def hear(self, answer: Reply | Unavailable, now_us: int, *, peek: bool) -> int | None:
        """Take in what the store said.

        Returns:
            How long the call has to wait before it starts; None: refused.
        """
        self._asking = False
        if isinstance(answer, Unavailable):
            return self._do_without(answer.retry_after_us, now_us, peek=peek)
        waits_us = [0]
        for asked, state, era in zip(self.shared, answer.states, answer.eras, strict=True):
            waits_us.append(asked.hear(state, era, answer.now_us, allowed=answer.allowed, peek=peek))
            if not (asked.watching or peek):  # what a peek sees of a clock that has stepped back is not written down
                asked.remember(self._sent_us)
        return max(waits_us) if answer.allowed else None

    def admit(self, now_us: int) -> None:
        """Let the call go ahead: the breakers count it, and the rules that only watch decide."""
        for breaker in self.breakers:
            breaker.admit(now_us)
        for asked in self._shadow:
            watch(asked, now_us)
        self.granted = True
        self.since_us = now_us
        count(self)
        tell_shadows(self)

    def asked(self) -> list[Asked]:
        """Return all rules that have a say, or would have."""
        return [*self.breakers, *self.bulkheads, *self.limits, *self.shared, *self._shadow]

    def refusing(self) -> str:
        """Return the name of the rule that keeps the call out longest: the one that a decision names."""
        rows = [(one.gate, one.row) for one in self.asked() if one.row is not None and not one.watching]
        refusing = [(gate, row.retry_after_us) for gate, row in rows if row.reason is not None]
        gate, _ = refusing[0] if len(refusing) == 1 else max(refusing, key=_lasting)
        return gate.name

    def look(self, now_us: int) -> bool:
        """Ask what is kept in this process as a call would ask it, and leave no trace; False: refused."""
        if not all([asked.peek(now_us) for asked in self.breakers]):
            return False
        if not all(asked.ask(now_us) for asked in self.bulkheads):
            return False
        left_us = self.left_us(now_us)
        allowed = all([asked.ask(now_us, left_us, peek=True).allowed for asked in self.limits])
        for limit in self.limits:
            limit.conclude(now_us)
        return allowed

    def look_on(self, now_us: int, *, allowed: bool) -> None:
        """Show what would be charged if all rules allow the call, and what those that only watch would decide."""
        if not allowed:
            self.give_back()
            return
        for limit in self.limits:
            limit.foresee(now_us)
            limit.conclude(now_us)
        for asked in self._shadow:
            look_on(asked, now_us)

    def leave_places(self) -> None:
        """Give every place to whoever is next in line."""
        for asked in self.bulkheads:
            asked.leave()

    def give_back(self) -> None:
        """Give back whatever was taken: the call does not go ahead, and its verdicts show the state without it."""
        for bulkhead in self.bulkheads:
            bulkhead.withdraw()
        for limit in (*self.limits, *self.shared):
            limit.withdraw(self.ledger.now_us)
            if limit.watching:
                limit.row = None

    def leave(self, outcome: Outcome, outcomes: Sequence[Outcome]) -> None:
        """End a call that went ahead. The first time counts.

        Args:
            outcome: How it went, for limits that charge failures only.
            outcomes: How it went, for each breaker of `tickets`.
        """
        if self.ended:
            return
        now_us = self.ledger.now_us
        for one in (*self.bulkheads, *self._shadows_of(AskedBulkhead)):
            one.leave()
        for breaker, verdict in zip(self.tickets(), outcomes, strict=True):
            breaker.record(verdict, now_us)
        if outcome != "failure":
            for limit in self._charged():
                if limit.gate.on_failure_only:
                    limit.give_back(now_us)
        # Not before: what a signal cuts short is done again, and each of these knows what is left of it.
        self.ended = True
        if self.granted and self.ledger.counts.measures_latency:
            self.ledger.counts.took(self.call.resource, now_us - self.since_us)

    def withdraw(self, answer: Reply | Unavailable | None) -> None:
        """Undo what was decided, or half decided, and nobody hears of: a listener, or a signal, ended the call meanwhile.

        Args:
            answer: What the store said last. A program that ended before it was heard has been charged all the same.
        """
        if self._asking and isinstance(answer, Reply):
            self.hear(answer, self.ledger.now_us, peek=False)
            self.give_back()
        self.leave("ignored", ["ignored" for _ in self.tickets()])
        for limit in self._charged():
            limit.give_back(self.ledger.now_us)

    def tickets(self) -> list[AskedBreaker]:
        """Return the breakers that are told how the call went."""
        return [*self.breakers, *self._shadows_of(AskedBreaker)]

    @property
    def holds_something(self) -> bool:
        """Tell whether there is anything to end: a place, an outcome that is waited for, a charge for failures only."""
        if self.bulkheads or self.tickets() or self._shadows_of(AskedBulkhead):
            return True
        return any(limit.gate.on_failure_only for limit in self._charged())

    def begin(self) -> None:
        """Note that the first item of a stream is there."""
        for breaker in self.tickets():
            breaker.begin(self.ledger.now_us)

    def settle(self, cost: int) -> None:
        """Correct the limits that took the call's own cost."""
        before, self.cost = self.cost, cost
        now_us = self.ledger.now_us
        for asked in self._charged():
            if asked.gate.cost is None and asked.took:
                if cost < before:
                    asked.give_back(now_us, before - cost)
                elif cost > before:
                    asked.owe(cost - before, now_us)

    def _add(self, gate: Gate) -> None:
        match gate:
            case BreakerGate():
                breaker = AskedBreaker(gate, gate.key_for(self.call))
                (self._shadow if breaker.watching else self.breakers).append(breaker)
            case BulkheadGate():
                bulkhead = AskedBulkhead(gate, gate.key_for(self.call))
                (self._shadow if bulkhead.watching else self.bulkheads).append(bulkhead)
            case LimitGate(shared=Shared() as shared):
                self.shared.append(AskedShared.in_store(gate, self.call, shared))
            case LimitGate():
                limit = AskedLimit.of(gate, self.call)
                (self._shadow if limit.watching else self.limits).append(limit)
            case _:
                raise TypeError(f"no way to ask {gate!r}")

    def _do_without(self, retry_after_us: int, now_us: int, *, peek: bool) -> int | None:
        """Decide by each rule's `on_store_error`: all of them allow the call, or nothing is charged."""
        for one in self.shared:
            one.gate.tally.errors += one.watching and not peek
        enforced = [asked for asked in self.shared if not asked.watching]
        here = [asked.stand_in() for asked in enforced if asked.shared.on_store_error == "local"]
        self.shared = [asked for asked in enforced if asked.shared.on_store_error != "local"]
        self.limits += here
        left_us = self.left_us(now_us)
        rulings = [asked.ask(now_us, left_us, peek=peek) for asked in here]
        allowed = all([asked.do_without(retry_after_us) for asked in self.shared]) and all(
            ruling.allowed for ruling in rulings
        )
        for asked in here:
            if allowed and not peek:
                asked.spend(now_us)
            asked.conclude(now_us)
        return max((ruling.wait_us for ruling in rulings), default=0) if allowed else None

    def _charged(self) -> list[AskedLimit]:
        """Return every limit that may have charged the call."""
        return [*self.limits, *self.shared, *self._shadows_of(AskedLimit)]

    def _shadows_of(self, kind: type[A]) -> list[A]:
        return [asked for asked in self._shadow if isinstance(asked, kind)]


def _lasting(refusal: tuple[Gate, int | None]) -> tuple[float, int]:
    """Order refusals by how long they last; of equal ones, that of the first rule comes last."""
    gate, retry_after_us = refusal
    return float("inf") if retry_after_us is None else retry_after_us, -gate.order
