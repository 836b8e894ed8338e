"""A breaker with its state and its time, for tests that play calls against it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from guardrail.core.breaker import Breaker
from guardrail.core.breaker_state import BreakerRuling, Ticket, Transition
from guardrail.core.verdict import Outcome

HALF = Fraction(1, 2)
OPEN_FOR_US = 500
PROBE_TIMEOUT_US = 300


class Run:
    """Play calls against one breaker. Half of at least four calls failing opens it, unless *thresholds* say otherwise."""

    def __init__(self, now_us: int = 0, **thresholds: Any) -> None:
        given: dict[str, Any] = {"failure_rate": HALF, "window_us": 1000, "min_calls": 4, "open_for_us": OPEN_FOR_US}
        given |= {"half_open_calls": 3, "probe_timeout_us": PROBE_TIMEOUT_US}
        self.breaker = Breaker(**(given | thresholds))
        self.now_us = now_us
        self.state = self.breaker.fresh(now_us)
        self.early = self.enter()  # still under way when everybody else is done

    @classmethod
    def about_to_probe(cls, **thresholds: Any) -> Run:
        """Return a breaker that opened with its first failure and has been open long enough."""
        run = cls(**({"min_calls": 1} | thresholds))
        run.calls("failure")
        run.now_us += OPEN_FOR_US
        return run

    def ask(self) -> BreakerRuling:
        self.breaker.settle(self.state, self.now_us)
        return self.breaker.ask(self.state, self.now_us)

    def enter(self) -> Ticket:
        assert self.ask().allowed
        return self.breaker.admit(self.state, self.now_us)[0]

    def begin(self, ticket: Ticket) -> Ticket:
        return self.breaker.begin(self.state, ticket, self.now_us)

    def end(self, ticket: Ticket, outcome: Outcome) -> Transition | None:
        return self.breaker.record(self.state, ticket, outcome, self.now_us)

    def calls(self, *outcomes: Outcome, each_us: int = 0) -> Transition | None:
        """Play one call after the other and return what the last one changed."""
        transition = None
        for outcome in outcomes:
            ticket = self.enter()
            self.now_us += each_us
            transition = self.end(ticket, outcome)
        return transition

    def refused_for(self) -> int:
        """Return `retry_after_us`, having seen that it is exact."""
        refused = self.ask()
        assert not refused.allowed
        assert refused.retry_after_us is not None
        back_us = self.now_us + refused.retry_after_us
        assert not self.breaker.peek(self.state, back_us - 1).allowed
        assert self.breaker.peek(self.state, back_us).allowed
        return refused.retry_after_us
