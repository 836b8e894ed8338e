"""Bulkheads at the gate: how many at once.

Law: a place is given back exactly once, by whoever holds it; a waiter that is handed a place it no longer wants passes
it on. Where a place changes hands, values are stored and nothing is called, so that no signal strikes in between: `leave`
finds it taken or not, and may be cut short and called again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrail.admission.gate import Gate, Row
from guardrail.admission.waiter import Waiter

if TYPE_CHECKING:
    from guardrail.admission.object_states import BulkheadStates
    from guardrail.core.bulkhead import BulkheadState
    from guardrail.core.verdict import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadGate(Gate):
    """Ask one bulkhead for a place, or queue for one."""

    states: BulkheadStates
    max_wait_us: int


class AskedBulkhead:
    """Hold, or wait for, one place for one call."""

    __slots__ = ("_forks", "_state", "_waiter", "gate", "holds", "key", "row", "waited_us", "watching")

    def __init__(self, gate: BulkheadGate, key: str) -> None:
        self.gate = gate
        self.key = key
        self.watching = gate.only_watches(key)
        self.row: Row | None = None
        self.holds = False
        self.waited_us = 0
        self._forks = 0
        self._state: BulkheadState[Waiter]
        self._waiter: Waiter | None = None

    def ask(self, now_us: int) -> bool:
        """Look whether there is a place, taking nothing."""
        states = self.gate.states
        self._state = states.look(self.key, now_us)
        places = states.bulkhead.view(self._state)
        if places and not self._state.waiting:
            self._allow(places - 1)
            return True
        self.refuse("bulkhead_full")
        return False

    def take(self, now_us: int) -> bool:
        """Take a place if one is free and nobody is ahead."""
        self._find(now_us)
        state, forks = self._state, self.gate.ledger.forks
        if state.returning or state.arriving or state.in_use >= self.gate.states.bulkhead.max_concurrent:
            self.refuse("bulkhead_full")
            return False
        state.in_use += 1
        self.holds = True
        self._forks = forks
        self._allow(self.gate.states.bulkhead.view(state))
        return True

    def was_taken(self, state: BulkheadState[Waiter], capacity: int, remaining: int, forks: int) -> None:
        """Write down a place that was taken without asking here.

        Args:
            capacity: Places there were then.
            remaining: Of them, free afterwards.
            forks: How often the process had been forked.
        """
        self._state = state
        self._forks = forks
        self.holds = True
        self.row = Row(self.gate.text, None, capacity, remaining)

    def queue(self, until_us: int, *, returning: bool) -> Waiter | None:
        """Stand in line; None: the line is as long as it may be.

        Args:
            returning: The call held a place before and slept for a limit: it stands ahead of new arrivals.
        """
        waiter = self._waiter = Waiter(until_us, lambda: self.gate.ledger.soon(self.leave))
        if not self.gate.states.bulkhead.queue(self._state, waiter, returning):
            self._waiter = None
            return None
        self.gate.ledger.waiting.add(waiter)
        return waiter

    def leave_queue(self) -> bool:
        """Stop waiting; True: with a place."""
        waiter, forks = self._waiter, self.gate.ledger.forks
        if waiter is None:
            return False
        self.gate.ledger.waiting.discard(waiter)
        if not waiter.granted:
            self.gate.states.bulkhead.leave(self._state, waiter)
            self._waiter = None
            return False
        self._waiter = None
        self.holds = True
        self._forks = forks
        self._allow(self.gate.states.bulkhead.view(self._state))
        return True

    def leave(self) -> None:
        """Give the place to whoever is next in line, and stand in no line any more."""
        self.leave_queue()
        if not self.holds:
            return
        state, ledger = self._state, self.gate.ledger
        row = state.returning or state.arriving
        if self._forks != ledger.forks:
            self.holds = False
        elif not row or state.in_use > self.gate.states.bulkhead.max_concurrent:
            state.in_use -= 1
            self.holds = False
        else:
            waiter = next(iter(row))
            waiter.granted = True
            self.holds = False
            del row[waiter]
            ledger.woken.append(waiter)  # as `wake` does, which is a call
            ledger.waiting.discard(waiter)

    def withdraw(self) -> None:
        """Leave, and show the places without this call: something else refuses it."""
        self.leave()
        if self.row is not None and self.row.allowed:
            self._allow(self.gate.states.bulkhead.view(self._state))

    def refuse(self, reason: Reason) -> None:
        """Write down that there is no place."""
        capacity = self.gate.states.bulkhead.max_concurrent
        self.row = Row(self.gate.text, reason, capacity, 0, wait_us=self.waited_us)

    def _find(self, now_us: int) -> None:
        states = self.gate.states
        _, self._state = states.find(self.key, now_us)
        self.gate.ledger.overflowed(self.gate.name, states)

    def _allow(self, remaining: int) -> None:
        capacity = self.gate.states.bulkhead.max_concurrent
        self.row = Row(self.gate.text, None, capacity, remaining, wait_us=self.waited_us)
