"""Breaker: keeps calls away from something that is failing, and tries now and then whether it is well again.

Law: a result votes only in the generation that admitted its call, and at most once; a half-open generation never has
more than `half_open_calls` probes out or voted; every change of state, and every reset, starts a new generation.

    state          lets in                             ends
    closed         every call                          -> open: an outcome brings the failures in a row, or with
                                                       `min_calls` in the window a rate, to its threshold
    open           none before opened + open_for       -> half_open: the first call from then on
    half_open      probes, up to `half_open_calls`     -> closed or open: the first vote after which the missing ones
                                                       can no longer change the verdict over `half_open_calls` results
    forced_open    none                                -> closed: reset
    forced_closed  every call; outcomes do not vote    -> closed: reset

From any state a hand may force it open or closed, or reset it.

**Time alone decides very little.** Outcomes leave the window as it moves on, but thresholds are looked at only when an
outcome is recorded, so no passing of time ever opens a breaker. An open breaker stays open until somebody calls.
Only a probe's patience runs out by itself: at `probe_timeout` it loses its slot and its vote or, if its stream has
begun by then, votes success. That vote may be the deciding one, and then the breaker has closed or opened at that very
moment, no matter when somebody looks: looking often and looking seldom give the same history. `settle` catches up with
it, and is called first by whoever asks.

**The breaker has a clock of its own**: the caller's, which stands still while that one runs behind what has been seen.
Buckets, deadlines, the time it opened and the start of every call are kept in it, so a step back changes no age.

**Half-open looks at the rates only.** A row of failures has no meaning among probes that run side by side. Where no
rate is set at all, half of the probes failing opens it again.

One lock has to be held around every method; none waits, raises or calls out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from guardrail.core.breaker_state import (
    NOT_CALM_US,
    BreakerRuling,
    BreakerSnapshot,
    BreakerState,
    Phase,
    Ticket,
    Transition,
)
from guardrail.core.breaker_thresholds import Thresholds
from guardrail.core.breaker_trial import Probe, Trial

if TYPE_CHECKING:
    from guardrail.core.breaker_trial import TrialVerdict
    from guardrail.core.verdict import Outcome

_ADMITTED = BreakerRuling(allowed=True)
_FORCED = BreakerRuling(allowed=False, reason="breaker_forced")


@dataclass(frozen=True, slots=True)
class Breaker(Thresholds):
    """Decide by its thresholds what becomes of a call; the state is the caller's to keep."""

    def fresh(self, now_us: int) -> BreakerState:
        """Return a closed breaker that has seen nothing."""
        state = BreakerState(self.empty_window(now_us), now_us)
        state.calm()
        return state

    def settle(self, state: BreakerState, now_us: int) -> Transition | None:
        """Catch up with what time alone has decided. Call it before the others, with the same time."""
        own_us = state.look(now_us)
        if own_us < state.calm_until_us:
            return None
        state.window.advance(own_us)
        state.calm()
        if state.trial is None:
            return None
        decided = self._lapse(state.trial, own_us)
        return None if decided is None else self._end_trial(state, state.trial, *decided)

    def ask(self, state: BreakerState, now_us: int) -> BreakerRuling:
        """Say whether a call may go ahead; take nothing. *state* is settled at *now_us*."""
        own_us = state.look(now_us)
        if state.phase == "forced_open":
            return _FORCED
        if state.opened_us is None:
            return _ADMITTED
        if state.trial is None:
            wait_us = state.opened_us + self.opened_for_us(state.reopenings) - own_us
            return _ADMITTED if wait_us <= 0 else BreakerRuling(False, "breaker_open", wait_us)
        if state.trial.has_room:
            return _ADMITTED
        return BreakerRuling(False, "breaker_probing", self._next_room_us(state, state.trial) - own_us)

    def peek(self, state: BreakerState, now_us: int) -> BreakerRuling:
        """Say what `ask` would say, and leave no trace: not even of a clock that stepped back."""
        if state.phase == "closed":
            return _ADMITTED
        later = state.copy()
        self.settle(later, now_us)
        return self.ask(later, now_us)

    def admit(self, state: BreakerState, now_us: int) -> tuple[Ticket, Transition | None]:
        """Let in a call that `ask` has just allowed at *now_us*, and take its probe's slot."""
        own_us = state.look(now_us)
        transition = None
        if state.phase == "open":
            seconds = self.opened_for_us(state.reopenings) / 1_000_000
            transition = self._move(state, "half_open", f"the {seconds:g} s it had to stay open are over", own_us)
        if state.trial is None and state.phase == "half_open":
            state.trial = Trial(self.half_open_calls)
        if state.trial is None:
            return Ticket(state.generation, own_us), None
        probe_id = state.trial.send(Probe(own_us, own_us + self.probe_timeout_us))
        return Ticket(state.generation, own_us, probe_id), transition

    def begin(self, state: BreakerState, ticket: Ticket, now_us: int) -> Ticket:
        """Fix the duration of a call whose stream or response begins now; return the ticket to go on with."""
        own_us = state.look(now_us)
        if ticket.begun_us is not None:
            return ticket
        if state.trial is not None and ticket.generation == state.generation:
            state.trial.begin(ticket.probe_id, own_us)
        return ticket._replace(begun_us=own_us)

    def record(self, state: BreakerState, ticket: Ticket, outcome: Outcome, now_us: int) -> Transition | None:
        """Count how the call of *ticket* ended. Call it once for a ticket."""
        transition = self.settle(state, now_us)
        end_us = state.seen_us if ticket.begun_us is None else ticket.begun_us
        failed, slow = outcome == "failure", self.is_slow(end_us - ticket.started_us)
        if outcome == "ignored":
            state.total_ignored += 1
        else:
            state.total_successes += not failed
            state.total_failures += failed
            state.total_slow += slow
        if ticket.generation != state.generation:
            return transition
        if state.trial is not None:
            if state.trial.out.pop(ticket.probe_id, None) is None or outcome == "ignored":
                return None
            state.trial.vote(failed, slow)
            verdict = self.verdict(state.trial)
            return None if verdict is None else self._end_trial(state, state.trial, verdict, state.seen_us)
        if state.phase != "closed" or outcome == "ignored":
            return None
        state.row = state.row + 1 if failed else 0
        state.window.count(failed, slow)
        return self.judge(state)

    def judge(self, state: BreakerState) -> Transition | None:
        """Hold a closed breaker against its thresholds, now that an outcome has been counted."""
        reason = self.exceeded(state.row, state.window)
        return None if reason is None else self._open(state, reason, state.seen_us)

    def force_open(self, state: BreakerState, now_us: int) -> Transition | None:
        """Refuse every call until reset; None if it is forced open already."""
        return self._force(state, "forced_open", "opened by hand", now_us)

    def force_closed(self, state: BreakerState, now_us: int) -> Transition | None:
        """Let in every call until reset, whatever comes of it; None if it is forced closed already."""
        return self._force(state, "forced_closed", "closed by hand", now_us)

    def reset(self, state: BreakerState, now_us: int) -> Transition | None:
        """Close with an empty window in a new generation; None if it was closed already. Totals are kept."""
        transition = self._close(state, "reset by hand", state.look(now_us))
        return None if transition.from_state == "closed" else transition

    def adopt(self, state: BreakerState, old: Breaker) -> None:
        """Go on with a *state* written under *old* thresholds; its window too, if the window's shape is the same.

        Another shape starts another generation of a closed breaker: calls that began before do not count in it.
        """
        if (self.window_us, self.window_calls) != (old.window_us, old.window_calls):
            state.window = self.empty_window(state.seen_us)
            state.generation += state.phase == "closed"
            state.calm()

    def is_idle(self, state: BreakerState, now_us: int) -> bool:
        """Tell whether a fresh state would decide as this one; totals apart."""
        later = state.window.copy()
        later.advance(max(now_us + state.lag_us, state.seen_us))
        has_row = self.consecutive_failures is not None and state.row > 0
        return state.phase == "closed" and later.calls == 0 and not has_row

    def snapshot(self, state: BreakerState, now_us: int) -> BreakerSnapshot:
        """Show the breaker as it stands at *now_us*; leave no trace."""
        state = state.copy()
        self.settle(state, now_us)
        window, trial = state.window, state.trial
        retry_after_us = self.ask(state, now_us).retry_after_us
        return BreakerSnapshot(
            state=state.phase,
            generation=state.generation,
            calls=window.calls,
            failures=window.failures,
            slow=window.slow,
            failure_rate=window.failures / window.calls if window.calls else None,
            slow_rate=window.slow / window.calls if window.calls else None,
            consecutive_failures=state.row,
            opened_at=None if state.opened_us is None else (state.opened_us - state.lag_us) / 1_000_000,
            retry_after=None if retry_after_us is None else retry_after_us / 1_000_000,
            probes_out=len(trial.out) if trial else 0,
            probes_voted=trial.voted if trial else 0,
            total_successes=state.total_successes,
            total_failures=state.total_failures,
            total_slow=state.total_slow,
            total_ignored=state.total_ignored,
            reason=None if state.moved is None else state.moved.reason,
            moved_at=None if state.moved is None else state.moved.at_us / 1_000_000,
        )

    def _lapse(self, trial: Trial, now_us: int) -> tuple[TrialVerdict, int] | None:
        """Call in the probes whose time has run out by *now_us*; return the verdict and its time if that decided it."""
        while trial.out:
            deadline_us, probe_id = trial.next_deadline()
            if deadline_us > now_us:
                break
            probe = trial.out.pop(probe_id)
            if probe.begun_us is not None:
                trial.vote(failed=False, slow=self.is_slow(probe.begun_us - probe.started_us))
                verdict = self.verdict(trial)
                if verdict is not None:
                    return verdict, deadline_us
        verdict = None if trial.out or trial.has_room else self.verdict(trial)
        return None if verdict is None else (verdict, now_us)  # a signal has cut short what followed the last vote

    def _next_room_us(self, state: BreakerState, trial: Trial) -> int:
        """Return when the next call is let in if no probe comes back, by living through the deadlines to come."""
        trial = trial.copy()
        while True:
            deadline_us, _ = trial.next_deadline()
            decided = self._lapse(trial, deadline_us)
            if decided is not None and decided[0] == "open":
                return deadline_us + self.opened_for_us(state.reopenings + 1)
            if decided is not None or trial.has_room:
                return deadline_us

    def _end_trial(self, state: BreakerState, trial: Trial, verdict: TrialVerdict, at_us: int) -> Transition:
        votes = f"{trial.failures} failed and {trial.slow} slow of {trial.voted} probes back, {trial.size} in all"
        if verdict == "open":
            return self._open(state, f"{votes}: a rate has reached its threshold", at_us)
        return self._close(state, f"{votes}: no rate can reach its threshold", at_us)

    def _open(self, state: BreakerState, reason: str, at_us: int) -> Transition:
        state.reopenings += state.phase == "half_open"
        state.opened_us = at_us
        return self._move(state, "open", reason, at_us)

    def _close(self, state: BreakerState, reason: str, at_us: int) -> Transition:
        state.window.clear()
        state.row = state.reopenings = 0
        state.opened_us = None
        return self._move(state, "closed", reason, at_us)

    def _force(
        self, state: BreakerState, phase: Literal["forced_open", "forced_closed"], reason: str, now_us: int
    ) -> Transition | None:
        own_us = state.look(now_us)
        if state.phase == phase:
            return None
        state.opened_us = None
        return self._move(state, phase, reason, own_us)

    def _move(self, state: BreakerState, phase: Phase, reason: str, at_us: int) -> Transition:
        transition = Transition(state.phase, phase, reason, at_us - state.lag_us)
        state.phase = phase
        state.moved = transition
        state.generation += 1
        state.trial = None
        state.calm_until_us = NOT_CALM_US  # `calm` may be cut short
        state.calm()
        return transition
