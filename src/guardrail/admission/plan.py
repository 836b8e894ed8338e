"""Plan: the gates of one resource, and the ways past them.

Law: a plan belongs to one revision of the rules, and whichever way a call takes, it gets the same decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.admission.ambient import getter
from guardrail.admission.call import LONGEST_KEY, Call, bounded, key_of
from guardrail.admission.limit_gate import LimitGate
from guardrail.admission.permit import Permit, aenter, apeek, enter, peek
from guardrail.admission.quick import FreeWay, LocalWay, QuickPermit, way_past_limit
from guardrail.admission.quick_shared import SharedWay, is_open
from guardrail.admission.quick_stack import StackWay, way_past_stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardrail.admission.call import Get
    from guardrail.admission.gate import Gate
    from guardrail.admission.ledger import Ledger
    from guardrail.core.verdict import Decision

# Each has the key that its rules share (`parts`), and two ways in: `begin` may return a permit that is still to be asked for,
# `at_once` never does, and takes calls of cost 1.
Way = FreeWay | LocalWay | SharedWay | StackWay


class Plan:
    """Hold the gates of one resource.

    Attributes:
        way: The quick way past them, if there is one.
    """

    __slots__ = ("_fixed", "_name", "_parts", "gates", "ledger", "resource", "way")

    def __init__(self, resource: str, gates: Sequence[Gate], ledger: Ledger) -> None:
        self.resource = resource
        self.gates = gates
        self.ledger = ledger
        self.way = way_past(resource, gates) if gates else way_for_all(ledger)
        parts = self._parts = () if self.way is None else self.way.parts
        self._name = parts[0][0] if len(parts) == 1 and len(parts[0]) == 1 else None
        self._fixed = (
            "" if not parts else bounded(resource) if self._name == "resource" else None
        )  # the key of every call

    def begin(self, get: Get, cost: int) -> QuickPermit | None:
        """Decide a call, or begin to, where there is a quick way; None: only the flow can."""
        return None if self.way is None else self.way.begin(self.resource, self._key(get), cost)

    def at_once(self, attributes: Mapping[str, object], *, bare: bool = False) -> Permit | None:
        """Decide a call of cost 1 where there is a quick way that has no store to ask; None: nothing has been taken."""
        way = self.way
        if way is None:
            return None
        key = self._fixed
        if key is None:
            found = None if self._name is None else attributes.get(self._name)
            if type(found) is not str or len(found) > LONGEST_KEY:
                found = key_of(self._parts, getter(self.resource, attributes))
            key = found
        return way.at_once(self.resource, key, bare=bare)

    def enter(self, get: Get, cost: int, max_wait_us: int | None) -> Permit:
        """Take one call through the gates, waiting in this thread. Never raises Refused."""
        begun = self.begin(get, cost)
        if begun is None:
            return enter(self.gates, Call(self.resource, get, cost, max_wait_us), self.ledger)
        return begun.ask() if is_open(begun) else begun

    async def aenter(self, get: Get, cost: int, max_wait_us: int | None) -> Permit:
        """Take one call through the gates, waiting in this task. Never raises Refused."""
        begun = self.begin(get, cost)
        if begun is None:
            return await aenter(self.gates, Call(self.resource, get, cost, max_wait_us), self.ledger)
        return await begun.aask() if is_open(begun) else begun

    def peek(self, get: Get, cost: int, max_wait_us: int | None) -> Decision:
        """Return the decision that such a call would get now. Takes nothing and never waits for a rule."""
        return peek(self.gates, Call(self.resource, get, cost, max_wait_us), self.ledger)

    async def apeek(self, get: Get, cost: int, max_wait_us: int | None) -> Decision:
        """Return what `peek` returns, asking a store from this task."""
        return await apeek(self.gates, Call(self.resource, get, cost, max_wait_us), self.ledger)

    def _key(self, get: Get) -> str:
        """Return the key that the rules share: mostly the value of one attribute as it is."""
        if self._fixed is not None:
            return self._fixed
        value = get(self._name) if self._name is not None else None
        if type(value) is str and len(value) <= LONGEST_KEY:
            return value
        return key_of(self._parts, get)


def way_for_all(ledger: Ledger) -> Way | None:
    """Return the quick way of a resource that no rule is for."""
    return None if ledger.counts.measures_latency else FreeWay(ledger)


def way_past(resource: str, gates: Sequence[Gate]) -> Way | None:
    """Return the quick way past these gates, if there is one. Takes a turn."""
    if not gates or gates[0].ledger.counts.measures_latency:
        return None
    if len(gates) != 1 or not isinstance(gate := gates[0], LimitGate):
        return way_past_stack(resource, gates)
    if gate.shared is not None:
        return SharedWay(gate, gate.shared) if gate.is_plain else None
    return way_past_limit(gate)
