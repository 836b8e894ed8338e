"""Whatever happens, in whatever order and at whatever times, a breaker does what its plain model does."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guardrail.core.breaker import Breaker
from guardrail.core.breaker_state import Ticket, Transition
from guardrail.core.verdict import Outcome
from tests.core.breaker_model import Call, Change, Model

RATES = st.sampled_from([Fraction(1, 2), Fraction(1, 3), Fraction(2, 3), Fraction(1), Fraction("0.34")])
STEPS = st.sampled_from([0, 0, 1, 1, 2, 3, 5, 9, 13, 40, -1, -4, -20])
OUTCOMES = st.sampled_from(["success", "success", "failure", "failure", "ignored"])
WHICH = st.integers(0, 9)


@st.composite
def breakers(draw: st.DrawFn) -> Breaker:
    triggers = draw(st.sets(st.sampled_from(["failure", "slow", "row"]), min_size=1))
    by_time = draw(st.booleans())
    min_calls = draw(st.integers(1, 4))
    open_for_us = draw(st.integers(1, 6))
    return Breaker(
        failure_rate=draw(RATES) if "failure" in triggers else None,
        slow_call_us=draw(st.integers(1, 6)) if "slow" in triggers else None,
        slow_rate=draw(RATES) if "slow" in triggers else None,
        consecutive_failures=draw(st.integers(1, 4)) if "row" in triggers else None,
        window_us=draw(st.sampled_from([7, 20, 45])) if by_time else None,
        window_calls=None if by_time else draw(st.integers(min_calls, 6)),
        min_calls=min_calls,
        open_for_us=open_for_us,
        open_for_max_us=draw(st.none() | st.integers(open_for_us, 25)),
        half_open_calls=draw(st.integers(1, 4)),
        probe_timeout_us=draw(st.integers(1, 12)),
    )


class BreakerMachine(RuleBasedStateMachine):
    """Play the same history to a breaker and to its model."""

    @initialize(breaker=breakers(), now_us=st.integers(-50, 10**15))
    def start(self, breaker: Breaker, now_us: int) -> None:
        self.breaker, self.now_us = breaker, now_us
        self.state = breaker.fresh(now_us)
        self.model = Model(breaker, now_us)
        self.under_way: list[tuple[Ticket, Call]] = []
        self.settled = True  # the model shows what time has decided only when it has looked

    @rule(step_us=STEPS)
    def look(self, step_us: int) -> None:
        self.now_us += step_us
        same(self.breaker.settle(self.state, self.now_us), self.model.look(self.now_us))
        self.settled = True

    @rule(step_us=STEPS)
    def enter(self, step_us: int) -> None:
        self.knock(step_us)

    def knock(self, step_us: int = 0) -> int:
        """Enter, or return how long to wait for that."""
        self.look(step_us)
        ruling = self.breaker.ask(self.state, self.now_us)
        assert self.model.admits_at(self.model.time) == ruling.allowed
        if ruling.allowed:
            ticket, transition = self.breaker.admit(self.state, self.now_us)
            call, changes = self.model.enter()
            same(transition, changes)
            self.under_way.append((ticket, call))
            return 0
        reasons = {"open": "breaker_open", "half_open": "breaker_probing", "forced_open": "breaker_forced"}
        assert reasons[self.model.phase] == ruling.reason
        self.retry_after_is_exact(ruling.retry_after_us)
        return ruling.retry_after_us or 0

    @precondition(lambda self: self.under_way)
    @rule(step_us=STEPS, which=WHICH, looks=st.booleans())
    def begin(self, step_us: int, which: int, looks: bool) -> None:
        self.now_us += step_us
        index = -1 - which % len(self.under_way)  # the newest are the ones that matter most
        ticket, call = self.under_way[index]
        self.under_way[index] = self.breaker.begin(self.state, ticket, self.now_us), call
        self.model.begin(call, self.now_us)
        self.settled = False
        if looks:
            self.look(0)

    @precondition(lambda self: self.under_way)
    @rule(step_us=STEPS, which=WHICH, outcome=OUTCOMES)
    def end(self, step_us: int, which: int, outcome: Outcome) -> None:
        self.now_us += step_us
        ticket, call = self.under_way.pop(-1 - which % len(self.under_way))
        transition = self.breaker.record(self.state, ticket, outcome, self.now_us)
        same(transition, self.model.end(call, outcome, self.now_us))
        self.settled = True

    @rule(step_us=STEPS, outcomes=st.lists(OUTCOMES, min_size=1, max_size=6))
    def burst(self, step_us: int, outcomes: list[Outcome]) -> None:
        """Several calls, one inside the other: what a busy moment brings."""
        for _ in outcomes:
            self.enter(step_us=0)
        for which, outcome in enumerate(outcomes[: len(self.under_way)]):
            self.end(step_us=step_us, which=which, outcome=outcome)

    @rule(begins=st.lists(st.booleans(), min_size=1, max_size=4), step_us=STEPS, outcome=OUTCOMES)
    def break_and_probe(self, begins: list[bool], step_us: int, outcome: Outcome) -> None:
        """Make it open, wait for as long as it says, and send probes whose streams may begin; one comes back."""
        for _ in range(6):
            if self.model.phase == "closed":
                self.enter(step_us=0)
                self.end(step_us=7, which=0, outcome="failure")
        for begun in begins:
            self.come_back()
            if begun and self.under_way:
                self.begin(step_us=step_us, which=0, looks=begun)
        if self.under_way:
            self.end(step_us=step_us, which=0, outcome=outcome)

    @rule()
    def heal(self) -> None:
        """Let everything go well for a while."""
        for _ in range(5):
            self.come_back()
            if self.under_way:
                self.end(step_us=0, which=0, outcome="success")

    @rule(phase=st.sampled_from(["forced_open", "forced_closed", "closed"]), outcomes=st.lists(OUTCOMES, max_size=3))
    def force(self, phase: str, outcomes: list[Outcome]) -> None:
        """Change the state by hand, play some calls, and let it be again."""
        self.change_by_hand(phase)
        if outcomes:
            self.burst(step_us=1, outcomes=outcomes)
            self.change_by_hand("closed")

    @rule(breaker=breakers(), same_shape=st.booleans())
    def reload(self, breaker: Breaker, same_shape: bool) -> None:
        self.look(0)
        if same_shape:
            breaker = replace(self.breaker, open_for_us=1, open_for_max_us=5, probe_timeout_us=3)
        breaker.adopt(self.state, self.breaker)
        if (breaker.window_us, breaker.window_calls) != (self.breaker.window_us, self.breaker.window_calls):
            self.model.unseen = len(self.model.outcomes)
            self.model.generation += self.model.phase == "closed"
        self.breaker = self.model.rules = breaker

    def come_back(self) -> None:
        wait_us = self.knock()
        if wait_us:
            self.knock(wait_us)

    def change_by_hand(self, phase: str) -> None:
        self.look(0)
        breaker = self.breaker
        hands = {"forced_open": breaker.force_open, "forced_closed": breaker.force_closed, "closed": breaker.reset}
        transition = hands[phase](self.state, self.now_us)
        if phase == self.model.phase == "closed":
            self.model.change("closed", self.model.time)
            assert transition is None
        else:
            same(transition, [] if phase == self.model.phase else [self.model.change(phase, self.model.time)])

    @precondition(lambda self: self.settled)
    @invariant()
    def agree(self) -> None:
        shown, model = self.breaker.snapshot(self.state, self.now_us), self.model
        assert (model.phase, model.generation) == (shown.state, shown.generation)
        if model.phase == "closed":
            window = model.window()
            failures, slow = sum(failed for failed, _ in window), sum(slow for _, slow in window)
            assert (len(window), failures, slow, model.row()) == (
                shown.calls,
                shown.failures,
                shown.slow,
                shown.consecutive_failures,
            )
        out = sum(not probe.back for probe in model.probes)
        assert (out, len(model.votes)) == (shown.probes_out, shown.probes_voted)
        totals: dict[Any, int] = {"success": shown.total_successes, "failure": shown.total_failures}
        totals["ignored"] = shown.total_ignored
        assert {outcome: model.totals.count(outcome) for outcome in totals} == totals
        assert model.slow_total == shown.total_slow

    def retry_after_is_exact(self, retry_after_us: int | None) -> None:
        if retry_after_us is None:
            assert self.model.phase == "forced_open"
            return
        moments = range(self.model.time, self.model.time + retry_after_us)
        assert not any(self.model.admits_at(moment) for moment in moments)
        assert self.model.admits_at(self.model.time + retry_after_us)


def same(transition: Transition | None, changes: list[Change]) -> None:
    assert ([] if transition is None else [(transition.from_state, transition.to_state, transition.at_us)]) == changes


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
