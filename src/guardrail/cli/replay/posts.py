"""Posts: the gates of a straight way, each with what it says of the one call that is being decided.

Law: a post does with the states of its gate what the gate's own `Asked` does. Nothing that outlasts the decision is kept
in it: what ends a call that was let in goes with the call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from guardrail.admission.breaker_gate import BreakerGate
from guardrail.admission.bulkhead_gate import BulkheadGate
from guardrail.admission.limit_gate import LimitGate

if TYPE_CHECKING:
    from guardrail.admission.call import Call as Asking
    from guardrail.admission.gate import Gate
    from guardrail.admission.waiter import Waiter
    from guardrail.cli.replay.tally import RuleTally
    from guardrail.core.breaker_state import BreakerState
    from guardrail.core.bulkhead import BulkheadState
    from guardrail.core.limit import Limit, State

# given the time, whether the call failed, and the status of its answer
End: TypeAlias = Callable[[int, bool, str | None], None]


class Post(ABC):
    """Stand for one gate.

    Attributes:
        place: That of its key among the keys that are read.
        is_partial: Only for some keys it is enforced.
        looks: It wants to see the call, not only its key.
    """

    __slots__ = ("_allowed", "_key", "_tally", "gate", "is_partial", "looks", "place")

    def __init__(self, gate: Gate, tally: RuleTally) -> None:
        self.gate = gate
        self.place = 0
        self.is_partial = 0 < gate.enforced < 1
        self.looks = gate.applies is not None
        self._tally = tally
        self._key = ""
        self._allowed = True

    @abstractmethod
    def ask(self, key: str, call: Asking | None, cost: int, now_us: int) -> bool:
        """Ask. Only a bulkhead takes something then."""

    def conclude(self, now_us: int, *, let_in: bool, watching: bool) -> End | None:
        """Count what was said, and take for a call that is let in what is to be taken, or give it back.

        Returns:
            What ends the call here; None: there is nothing to end.
        """
        self._tally.add(self._key, allowed=self._allowed, watching=watching)
        return self._take(now_us, let_in=let_in) if self._allowed else None

    @abstractmethod
    def _take(self, now_us: int, *, let_in: bool) -> End | None:
        """Take for a call what it may have, and return what gives that back."""


class LimitPost(Post):
    """Ask one limit."""

    __slots__ = ("_cost", "_home", "_limit", "_state", "_usual")

    gate: LimitGate

    def __init__(self, gate: LimitGate, tally: RuleTally) -> None:
        super().__init__(gate, tally)
        self.looks = self.looks or isinstance(gate.cost, str)
        written: Limit[Any] = gate.states.limit
        self._usual: Limit[Any] = written if written == gate.terms.limit else gate.terms.limit
        self._limit = self._usual
        self._home, self._cost = "", 0
        self._state: State

    def ask(self, key: str, call: Asking | None, cost: int, now_us: int) -> bool:
        gate = self.gate
        limit = gate.terms_by_key(key).limit if gate.overrides else self._usual
        self._cost = cost = gate.fixed_cost(cost) if call is None else gate.cost_of(call)
        self._key, self._limit = key, limit
        self._home, state = gate.states.find(key, limit, now_us)
        self._state = state = limit.at(state, now_us)  # time only goes forward in a replay: no state is ahead of it
        self._allowed = limit.ask(state, now_us, cost, 0).allowed
        return self._allowed

    def _take(self, now_us: int, *, let_in: bool) -> None:
        if let_in and self._cost:
            self.gate.states.put(self._home, self._limit, self._limit.charge(self._state, now_us, self._cost))


class BreakerPost(Post):
    """Ask one breaker."""

    __slots__ = ("_state",)

    gate: BreakerGate
    _state: BreakerState

    def ask(self, key: str, call: Asking | None, cost: int, now_us: int) -> bool:
        states = self.gate.states
        self._key = key
        _, self._state = states.find(key, now_us)
        states.breaker.settle(self._state, now_us)
        self._allowed = states.breaker.ask(self._state, now_us).allowed
        return self._allowed

    def _take(self, now_us: int, *, let_in: bool) -> End | None:
        if not let_in:
            return None
        key, states = self._key, self.gate.states
        ticket, _ = states.breaker.admit(self._state, now_us)

        def end(now_us: int, failed: bool, code: str | None) -> None:
            _, state = states.find(key, now_us)
            states.breaker.record(state, ticket, self.gate.outcome_of(None, failed, code), now_us)

        return end


class BulkheadPost(Post):
    """Ask one bulkhead for a place."""

    __slots__ = ("_state",)

    gate: BulkheadGate
    _state: BulkheadState[Waiter]

    def ask(self, key: str, call: Asking | None, cost: int, now_us: int) -> bool:
        states = self.gate.states
        self._key = key
        _, self._state = states.find(key, now_us)
        self._allowed = states.bulkhead.take(self._state)
        return self._allowed

    def _take(self, now_us: int, *, let_in: bool) -> End | None:
        states, state = self.gate.states, self._state

        def end(_now_us: int, _failed: bool, _code: str | None) -> None:
            waiter = states.bulkhead.release(state)
            assert waiter is None, "nobody waits for a place of this one"

        if let_in:
            return end
        end(now_us, False, None)
        return None


def post_for(gate: Gate, tally: RuleTally) -> Post | None:
    """Return the post of a gate that decides at once and for good; None: a call may wait, or be charged only in the end."""
    match gate:
        case LimitGate(shared=None, lookup=None, on_failure_only=False):
            may_wait = any(terms.limit.max_wait_us for terms in (gate.terms, *gate.overrides.values()))
            return None if may_wait else LimitPost(gate, tally)
        case BreakerGate():
            return BreakerPost(gate, tally)
        case BulkheadGate(max_wait_us=0):
            return BulkheadPost(gate, tally)
        case _:
            return None
