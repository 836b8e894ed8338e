"""Quick ways in: where a resource has no rule, or only a limit of this process, a call is decided without the flow.

Of a limit in a store `quick_shared.py` knows, of stacks of rules `quick_stack.py`.

Law: what is decided here is what the flow would decide; a call it cannot decide is left to the flow, untouched. The
attempt is made up only when somebody looks at the permit or settles it: a limit alone holds nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Final

from guardrail.admission.attempt import Attempt
from guardrail.admission.call import Call
from guardrail.admission.closures import cells_of, ticks_of
from guardrail.admission.gate import Standing
from guardrail.admission.limit_gate import AskedLimit
from guardrail.admission.permit import Permit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.admission.call import KeyParts
    from guardrail.admission.ledger import Ledger
    from guardrail.admission.limit_gate import LimitGate
    from guardrail.admission.limit_states import Cell
    from guardrail.core.token_bucket import BucketState, TokenBucket

standing_of = partial(tuple.__new__, Standing)  # as `Standing(...)`, without a call of Python for every answer


class QuickPermit(Permit):
    """Say whether a call may go ahead about which the flow was not asked. It holds nothing, unless its kind says so."""

    __slots__ = ("_cost", "_granted", "_key", "resource")

    _made: Attempt | None
    resource: str
    _key: str
    _cost: int
    _granted: bool

    @property
    def _attempt(self) -> Attempt:
        if self._made is None:
            made = self._make()
            if self._made is None:  # nobody else has made it meanwhile: a call ends once
                self._made = made
        return self._made

    def __bool__(self) -> bool:
        return self._granted

    @property
    def awaits_end(self) -> bool:
        return False

    def __del__(self) -> None:
        """Leave nothing behind: nothing is held."""

    def exit(self, error: BaseException | None = None, *, failed: bool = False, code: str | None = None) -> None:
        self._is_over = True

    def begin(self) -> None:
        """Leave it at that: no breaker measures."""

    @abstractmethod
    def _make(self) -> Attempt:
        """Make up the attempt, which was not needed until now."""

    def _blank(self, ledger: Ledger) -> Attempt:
        attempt = Attempt((), Call(self.resource, lambda _: None, self._cost), ledger)
        attempt.granted = self._granted
        return attempt


class FreePermit(QuickPermit):
    """Let a call go ahead that no rule is for."""

    __slots__ = ("_ledger",)

    def __init__(self, ledger: Ledger, resource: str, cost: int) -> None:
        self._made = self._decision = None
        self._is_over = self.is_held = False
        self.resource = resource
        self._cost = cost
        self._granted = True
        self._ledger = ledger

    def standings(self) -> Sequence[Standing]:
        return ()

    def _make(self) -> Attempt:
        return self._blank(self._ledger)


class BarePermit(QuickPermit):
    """Let calls go ahead whose permits nobody looks at: one for all of them, as nothing is held."""

    __slots__ = ()

    def __init__(self) -> None:
        self._made = self._decision = None
        self._is_over = self.is_held = False
        self.resource = self._key = ""
        self._cost = 0
        self._granted = True

    def standings(self) -> Sequence[Standing]:
        return ()

    def _make(self) -> Attempt:
        raise TypeError("a bare permit remembers nothing: ask at_once() without bare=True")


BARE: Final = BarePermit()


class FreeWay:
    """Let every call go ahead: no rule is for it."""

    __slots__ = ("_ledger",)

    parts: KeyParts = ()

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def begin(self, resource: str, key: str, cost: int = 1, *, bare: bool = False) -> FreePermit | BarePermit:
        """Let a call go ahead."""
        return BARE if bare else FreePermit(self._ledger, resource, cost)

    at_once = begin


class LocalPermit(QuickPermit):
    """Remember what a limit of this process charged."""

    __slots__ = ("_charged", "_since", "_way")

    def __init__(
        self, way: LocalWay, resource: str, key: str, cost: int, charged: BucketState, since: tuple[int, int]
    ) -> None:
        self._made = self._decision = None
        self._is_over = self.is_held = False
        self.resource = resource
        self._key = key
        self._cost = cost
        self._granted = True
        self._way = way
        self._charged = charged
        self._since = since

    def standings(self) -> Sequence[Standing]:
        return self._way.standings(self._charged[0])

    def _make(self) -> Attempt:
        way = self._way
        attempt = self._blank(way.gate.ledger)
        attempt.limits.append(way.asked(self._key, self._cost, self._charged, self._since))
        return attempt


class LocalWay:
    """Decide by a token bucket of this process. A refusal is left to the flow, which knows what to say.

    Between `acquire` and `release` nothing but integers is made, so no finalizer can run there.
    """

    __slots__ = (
        *("_anchor_ns", "_cell", "_cost", "_find", "_ledger", "_tally", "_ticks"),
        *("gate", "limit", "parts", "refill_us"),
    )

    def __init__(self, gate: LimitGate, limit: TokenBucket) -> None:
        self.gate = gate
        self.limit = limit
        self.parts = gate.key
        self._ledger = gate.ledger
        self._tally = gate.tally
        self._cell, self._find = cells_of(gate)
        self._ticks, self._anchor_ns = ticks_of(gate.ledger)
        self._cost = gate.cost if isinstance(gate.cost, int) else None
        self.refill_us = limit.refill_us

    def begin(self, resource: str, key: str, cost: int = 1, *, bare: bool = False) -> LocalPermit | BarePermit | None:
        """Decide a call; None: only the flow can."""
        limit, ledger = self.limit, self._ledger
        spent = (cost if self._cost is None else self._cost) * limit.p
        debt = now_us = steps = resets = 0
        admitted = False
        try:
            ledger.lock.acquire()
            cell = self._cell or self._find(key)
            if cell is not None and spent:  # else a new key: the flow makes room for it
                now_us = (self._ticks() + self._anchor_ns) // 1000
                elapsed_us = now_us - cell.last_us
                debt = cell.debt - elapsed_us * limit.r
                debt = debt + spent if debt > 0 else spent
                if elapsed_us >= 0 and debt <= limit.capacity_debt:
                    cell.debt = debt
                    cell.last_us = now_us
                    steps, resets = ledger.steps, self.gate.states.resets
                    admitted = True
                    self._tally.allowed += 1
        finally:
            try:
                ledger.lock.release()
            except RuntimeError:  # a signal struck while this waited for the lock
                admitted = False
        if admitted and self._tally.allowed >= self._tally.due:
            self._tally.sample(key)
        if ledger.deferred:
            ledger.drain()
        if not admitted:
            return None
        return BARE if bare else LocalPermit(self, resource, key, cost, (debt, now_us), (steps, resets))

    at_once = begin

    def find(self, key: str) -> Cell | None:
        """Return the state of a key, inside a turn; None: there is none yet."""
        return self._cell or self._find(key)

    def spent(self, cost: int) -> int:
        """Return what a call of this cost adds to the debt."""
        return (cost if self._cost is None else self._cost) * self.limit.p

    def standings(self, debt: int) -> Sequence[Standing]:
        """Return what a bucket with this debt leaves to its key; nothing where there is none."""
        if not self.parts:
            return ()
        limit = self.limit
        remaining = (limit.capacity_debt - debt) // limit.p
        return (standing_of((self.gate.name, limit.burst, remaining, -(-debt // limit.r), self.refill_us)),)

    def asked(self, key: str, cost: int, charged: BucketState, since: tuple[int, int]) -> AskedLimit:
        """Return what the flow would have of a call that was charged here."""
        gate = self.gate
        asked = AskedLimit(gate, key, gate.terms, gate.fixed_cost(cost))
        asked.was_charged(charged, charged[1], since)
        return asked


def way_past_limit(gate: LimitGate) -> LocalWay | None:
    """Return the quick way past a plain limit of this process; None: it is none. Takes a turn."""
    if not gate.is_plain:
        return None
    with gate.ledger:  # one turn: what is captured here belongs to the numbers that were looked at
        bucket = gate.bucket_here()
        return None if bucket is None else LocalWay(gate, bucket)
