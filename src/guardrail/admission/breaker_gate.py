"""Breakers at the gate: is the other side well.

Law: a ticket is recorded exactly once, on the breaker that gave it out, and only while its generation lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrail.admission.gate import Gate, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.admission.object_states import BreakerName, BreakerStates
    from guardrail.core.breaker_state import BreakerState, Ticket, Transition
    from guardrail.core.verdict import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerGate(Gate):
    """Ask one breaker.

    Attributes:
        outcome_of: Classifies how a call ended: its error, whether its result is a failure, the status of its answer.
        named: Names the breaker of a key.
    """

    states: BreakerStates
    outcome_of: Callable[[BaseException | None, bool, str | None], Outcome]
    named: Callable[[str], BreakerName]


class AskedBreaker:
    """Ask one breaker for one call, and tell it how the call went."""

    __slots__ = ("_state", "_ticket", "gate", "key", "row", "watching")

    def __init__(self, gate: BreakerGate, key: str) -> None:
        self.gate = gate
        self.key = key
        self.watching = gate.only_watches(key)
        self.row: Row | None = None
        self._state: BreakerState
        self._ticket: Ticket | None = None

    def ask(self, now_us: int) -> bool:
        """Ask, taking nothing."""
        states = self.gate.states
        _, self._state = states.find(self.key, now_us)
        self.gate.ledger.overflowed(self.gate.name, states)
        self._report(states.breaker.settle(self._state, now_us))
        ruling = states.breaker.ask(self._state, now_us)
        self.row = Row(self.gate.text, ruling.reason, retry_after_us=ruling.retry_after_us)
        return ruling.allowed

    def peek(self, now_us: int) -> bool:
        """Ask without leaving a trace."""
        states = self.gate.states
        ruling = states.breaker.peek(states.look(self.key, now_us), now_us)
        self.row = Row(self.gate.text, ruling.reason, retry_after_us=ruling.retry_after_us)
        return ruling.allowed

    def admit(self, now_us: int) -> None:
        """Take a ticket, and with it a probe's slot where there are probes. Only after `ask` allowed it in this turn."""
        state, sent = self._state, 0 if self._state.trial is None else self._state.trial.sent
        try:
            self._ticket, transition = self.gate.states.breaker.admit(state, now_us)
        except BaseException:  # of a signal: a probe that has no ticket would never come back
            if state.trial is not None:
                for probe_id in [one for one in state.trial.out if one > sent]:
                    del state.trial.out[probe_id]
            raise
        self._report(transition)

    def was_admitted(self, state: BreakerState, ticket: Ticket) -> None:
        """Write down a ticket that was given out without asking here."""
        self._state = state
        self._ticket = ticket
        self.row = Row(self.gate.text)

    def begin(self, now_us: int) -> None:
        """Note that the first item of a stream is there."""
        if self._ticket is not None:
            self._ticket = self.gate.states.breaker.begin(self._state, self._ticket, now_us)

    def record(self, outcome: Outcome, now_us: int) -> None:
        """Hand the ticket in, to the breaker of this key: one that made room meanwhile has left a fresh one its place."""
        ticket = self._ticket
        if ticket is not None:
            states = self.gate.states
            _, self._state = states.find(self.key, now_us)
            transition = states.breaker.record(self._state, ticket, outcome, now_us)
            # Not before: what a signal cuts short is recorded anew, or a probe would never come back.
            self._ticket = None
            self._report(transition)

    def _report(self, transition: Transition | None) -> None:
        if transition is not None:
            self.gate.ledger.moved(self.gate.states, self.gate.named(self.key), transition)
