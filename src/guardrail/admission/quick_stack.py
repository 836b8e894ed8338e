"""The quick way in past a stack: at most one rule of each kind, a breaker that is closed, a bulkhead with a free place.

Law: as in `quick.py`. What a call takes is written into its permit with nothing called in between, and so is what it gives
back: a signal that raises finds a call that has taken nothing, or a permit that gives it back as it goes, and one whose
handler calls, too, finds no place promised twice. The arithmetic is that of `core`, written out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.admission.breaker_gate import AskedBreaker
from guardrail.admission.bulkhead_gate import AskedBulkhead
from guardrail.admission.call import bounded
from guardrail.admission.closures import ratio_of, ticks_of
from guardrail.admission.permit import Permit
from guardrail.admission.quick import LocalWay, QuickPermit, way_past_limit
from guardrail.admission.stack import stack_of
from guardrail.admission.stock import BY_RESOURCE
from guardrail.clock import SystemClock
from guardrail.core.breaker_state import NOT_CALM_US, BreakerState, Ticket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.admission.attempt import Attempt
    from guardrail.admission.breaker_gate import BreakerGate
    from guardrail.admission.bulkhead_gate import BulkheadGate
    from guardrail.admission.call import KeyParts
    from guardrail.admission.gate import Gate, Standing
    from guardrail.admission.waiter import Waiter
    from guardrail.core.bulkhead import BulkheadState


class StackPermit(QuickPermit):
    """Take what a stack gives to a call, and hand it back."""

    __slots__ = (
        *("_begun_us", "_debt", "_forks", "_generation", "_granted_us", "_health"),
        *("_free", "_most", "_places", "_resets", "_steps", "_way"),
    )

    def __init__(self, way: StackWay, resource: str, key: str, cost: int) -> None:
        self._granted = False
        self._made = self._decision = None
        self._is_over = self.is_held = False
        self.resource = resource
        self._key = key
        self._cost = cost
        self._way = way
        self._health: BreakerState | None = None
        self._places: BulkheadState[Waiter] | None = None
        self._begun_us: int | None = None
        self._debt = self._generation = self._most = self._free = self._forks = self._steps = self._resets = 0

    @property
    def awaits_end(self) -> bool:
        return True

    def take(self) -> bool:
        """Take what there is to take; False: only the flow can decide, and nothing has been taken."""
        way, key = self._way, self._key
        ledger, limited, breaker, bulkhead = way.ledger, way.limited, way.breaker, way.bulkhead
        health = places = cell = None
        debt = spent = 0
        try:
            ledger.lock.acquire()
            if breaker is not None:
                health = breaker.states.states.get(key if way.breaker_key is None else way.breaker_key)
            if bulkhead is not None:
                places = bulkhead.states.states.get(key if way.bulkhead_key is None else way.bulkhead_key)
            if limited is not None:
                cell, spent = limited.find(key), limited.spent(self._cost)
            now_us = (way.ticks() + way.anchor_ns) // 1000
            # From here on nothing is called.
            if breaker is not None:
                if health is None or health.calm_until_us == NOT_CALM_US or now_us < health.seen_us:
                    return False
                self._generation = health.generation
            if bulkhead is not None:
                self._most = most = bulkhead.states.bulkhead.max_concurrent
                if places is None or places.in_use >= most or places.returning or places.arriving:
                    return False
                self._free = most - places.in_use - 1
            if limited is not None:
                if cell is None or not spent or now_us < cell.last_us:  # a new key: the flow makes room for it
                    return False
                debt = cell.debt - (now_us - cell.last_us) * limited.limit.r
                debt = debt + spent if debt > 0 else spent
                if debt > limited.limit.capacity_debt:
                    return False
                self._resets = limited.gate.states.resets
            self._debt, self._granted_us = debt, now_us
            self._health, self._places = health, places
            self._forks, self._steps = ledger.forks, ledger.steps
            if health is not None:
                health.seen_us = now_us
            if cell is not None:
                cell.debt = debt
                cell.last_us = now_us
            if places is not None:
                places.in_use += 1
            self._granted = True
            way.first.allowed += 1
            if way.second is not None:
                way.second.allowed += 1
                if way.third is not None:
                    way.third.allowed += 1
        finally:
            try:
                ledger.lock.release()
            except RuntimeError:  # the signal struck while this waited for the lock
                self._granted = False
        for tally in way.keyed:
            if tally.allowed >= tally.due:
                tally.sample(key)
        if ledger.deferred:
            ledger.drain()
        return True

    def exit(self, error: BaseException | None = None, *, failed: bool = False, code: str | None = None) -> None:
        breaker = self._way.breaker
        is_plain = breaker is None or breaker.outcome_of(error, failed, code) == "success"
        if not (is_plain and self._left()):
            Permit.exit(self, error, failed=failed, code=code)

    def begin(self) -> None:
        way = self._way
        if way.breaker is None or self._is_over:
            return
        if way.may_step or self._made is not None:
            Permit.begin(self)
        elif self._begun_us is None:  # for whatever threshold there may be in the end
            self._begun_us = (way.ticks() + way.anchor_ns) // 1000

    def standings(self) -> Sequence[Standing]:
        limited = self._way.limited
        return () if limited is None else limited.standings(self._debt)

    def __del__(self) -> None:
        if getattr(self, "_granted", False) and not self._is_over:  # a signal may have struck before it had its slots
            self._made = self._attempt  # the flow ends it
            Permit.__del__(self)

    def _left(self) -> bool:
        """End a call that went well, where nobody waits and the breaker stays closed; False: only the flow can.

        Inside of a turn, as of a finalizer, it can: whoever is in that turn may be about to wait for this place.
        """
        way, health, places, ledger = self._way, self._health, self._places, self._way.ledger
        if ledger.is_in_turn():
            return False
        is_calm, left, now_us = health is None, False, 0
        try:
            if ledger.lock.acquire(False):
                if health is not None and way.health_of(self._key) is health:
                    now_us = (way.ticks() + way.anchor_ns) // 1000
                    begun_us = self._begun_us or now_us
                    is_calm = way.stays_closed(health, self._generation, self._granted_us, begun_us, now_us)
                # From here on nothing is called.
                if (
                    is_calm
                    and self._made is None
                    and not self._is_over
                    and self._forks == ledger.forks
                    and (places is None or not (places.returning or places.arriving))
                ):
                    if health is not None:
                        health.seen_us = now_us
                        health.row = 0
                        health.total_successes += 1
                        health.window.calls += 1
                    if places is not None:
                        places.in_use -= 1
                    self._is_over = left = True
        finally:
            try:
                ledger.lock.release()
            except RuntimeError:  # it is somebody else's: leaving never waits
                left = False
        if ledger.deferred:
            ledger.drain()
        return left

    def _make(self) -> Attempt:
        way = self._way
        attempt = self._blank(way.ledger)
        attempt.ended = self._is_over
        if way.limited is not None:
            charged, since = (self._debt, self._granted_us), (self._steps, self._resets)
            attempt.limits.append(way.limited.asked(self._key, self._cost, charged, since))
        if way.breaker is not None and self._health is not None:
            breaker = AskedBreaker(way.breaker, self._key if way.breaker_key is None else way.breaker_key)
            breaker.was_admitted(self._health, Ticket(self._generation, self._granted_us, 0, self._begun_us))
            attempt.breakers.append(breaker)
        if way.bulkhead is not None and self._places is not None:
            bulkhead = AskedBulkhead(way.bulkhead, self._key if way.bulkhead_key is None else way.bulkhead_key)
            bulkhead.was_taken(self._places, self._most, self._free, self._forks)
            attempt.bulkheads.append(bulkhead)
        return attempt


class StackWay:
    """Decide by a breaker, a bulkhead and a token bucket, as far as they are there. A refusal is left to the flow.

    Attributes:
        parts: The key that those of them share which have one.
        breaker_key: Under which the breaker is kept, whatever the call's key; None: under that.
        bulkhead_key: The same of the bulkhead.
        keyed: The tallies of those with that key.
    """

    __slots__ = (
        *("anchor_ns", "breaker", "breaker_key", "bulkhead", "bulkhead_key", "first", "keyed", "ledger"),
        *("limited", "may_step", "parts", "second", "slow_call_us", "third", "thresholds", "ticks", "_bottom", "_top"),
    )

    def __init__(
        self,
        resource: str,
        gates: Sequence[Gate],
        parts: KeyParts,
        limited: LocalWay | None,
        breaker: BreakerGate | None,
        bulkhead: BulkheadGate | None,
    ) -> None:
        self.parts = parts
        self.limited = limited
        self.breaker = breaker
        self.bulkhead = bulkhead
        self.breaker_key = None if breaker is None else fixed_key(breaker, resource)
        self.bulkhead_key = None if bulkhead is None else fixed_key(bulkhead, resource)
        self.ledger = gates[0].ledger
        self.ticks, self.anchor_ns = ticks_of(self.ledger)
        self.may_step = type(self.ledger.clock) is not SystemClock  # back, so that the breaker has to look for it
        self.thresholds = None if breaker is None else breaker.states.breaker
        self.slow_call_us = None if self.thresholds is None else self.thresholds.slow_call_us
        self._top, self._bottom = (1, 0) if self.thresholds is None else ratio_of(self.thresholds)
        self.keyed = tuple(gate.tally for gate in gates if parts and gate.key == parts)
        self.first = gates[0].tally
        self.second, self.third = (*(gate.tally for gate in gates[1:]), None, None)[:2]

    def begin(self, resource: str, key: str, cost: int = 1, *, bare: bool = False) -> StackPermit | None:
        """Decide a call; None: only the flow can. No permit of a stack is bare: it has to be ended."""
        permit = StackPermit(self, resource, key, cost)
        return permit if permit.take() else None

    at_once = begin

    def health_of(self, key: str) -> BreakerState | None:
        """Return the breaker of a key by the thresholds that this way knows; None: there is none."""
        if self.breaker is None or self.breaker.states.breaker is not self.thresholds:
            return None
        return self.breaker.states.states.get(key if self.breaker_key is None else self.breaker_key)

    def stays_closed(self, health: BreakerState, generation: int, granted_us: int, begun_us: int, now_us: int) -> bool:
        """Tell whether the end of a call that went well only has to be counted. Calls nothing.

        Args:
            begun_us: When its stream or answer began; of others, now.
        """
        window, slow_call_us = health.window, self.slow_call_us
        return (
            health.seen_us <= now_us < health.calm_until_us
            and health.generation == generation
            and (not window.failures or window.failures * self._bottom < self._top * window.calls)
            and (slow_call_us is None or (begun_us - granted_us <= slow_call_us and not window.slow))
        )


def fixed_key(gate: Gate, resource: str) -> str | None:
    """Return the key that a rule has for every call to a resource; None: it depends on the call."""
    if not gate.key:
        return ""
    return bounded(resource) if gate.key == BY_RESOURCE else None


def way_past_stack(resource: str, gates: Sequence[Gate]) -> StackWay | None:
    """Return the quick way past at most one rule of each kind; None: only the flow gets past them. Takes a turn."""
    stack = stack_of(gates)
    parts = {gate.key for gate in gates} - {(), BY_RESOURCE}
    if stack is None or len(parts) > 1:
        return None
    limit, breaker, bulkhead = stack
    if breaker is not None and breaker.states.breaker.window_us is None:
        return None
    limited = None if limit is None else way_past_limit(limit)
    if limit is not None and (
        limited is None or limit.key == BY_RESOURCE
    ):  # it is asked by the call's key, another one
        return None
    return StackWay(resource, gates, next(iter(parts), ()), limited, breaker, bulkhead)
