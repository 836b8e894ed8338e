"""A real guard, driven by a log in the log's own time.

    a call comes in         at its time, and takes the flow of admission, step by step; where nobody can wait, straight
    a call has to wait      it is put on the agenda, and goes on when its time has come or a place is handed to it
    a call was let in       it ends after as long as the log says it took; breakers hear its status then

Law: every decision is that of a live guard: its gates, its states, its flow. Only the driver is another one: where a
thread or a task would wait, the call is put on the agenda. What is due at the same time happens in this order: calls that
end or go on, in the order they were put there, then calls that come in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from guardrail.adapters.http.resources import UNMATCHED
from guardrail.admission.attempt import Attempt
from guardrail.admission.call import Call as Asking
from guardrail.admission.flow import Sleep, Steps, Wait, admission
from guardrail.admission.permit import Permit
from guardrail.cli.replay.call import Attributes, Call
from guardrail.cli.replay.routes import EXEMPT, Route, Routes
from guardrail.cli.replay.tally import Decided, RuleTally, Timeline
from guardrail.guard import Guard

if TYPE_CHECKING:
    from guardrail.cli.replay.posts import End
    from guardrail.rules.ruleset import RuleSet

_CODES = {status: f"http.{status}" for status in range(1_000)}
_LAST_US = 1 << 62


class LogClock:
    """Show the time that the replay has reached."""

    __slots__ = ("time_us",)

    def __init__(self) -> None:
        self.time_us = 0

    def now_us(self) -> int:
        """Return the time in microseconds."""
        return self.time_us

    def sleep(self, seconds: float) -> None:
        """Move on: nobody but the replay itself is there."""
        self.time_us += round(seconds * 1_000_000)

    async def asleep(self, seconds: float) -> None:
        """Move on, as `sleep` does."""
        self.sleep(seconds)


class Rehearsal:
    """Replay calls under one set of rules.

    Args:
        heard: Is told of every decision.

    Attributes:
        unasked: Calls that went past no rule: `unmatched` ones and `exempt` ones.
        waited: Calls that were let in after a wait; `waited_us`: how long all of these waits were together.
    """

    def __init__(self, rules: RuleSet, heard: Callable[[Decided], None] | None = None) -> None:
        self.rules = rules
        self.clock = LogClock()
        self.guard = Guard(rules, store="memory://", clock=self.clock)
        self.guard.mode = "enforce"  # whatever GUARDRAIL_MODE says of this machine
        self.tallies = {rule.name: RuleTally(rule) for rule in rules}
        self.routes = Routes(self.guard, self.tallies)
        self.unasked: Counter[str] = Counter()
        self.timeline = Timeline()
        self.allowed = self.refused = self.waited = self.waited_us = 0
        self._heard = heard
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._entries = 0

    def take(self, call: Call) -> None:
        """Let one call come in. Calls come in the order of their times; one that is late comes in now."""
        at_us = call.at_us
        if self._agenda and self._agenda[0][0] <= at_us:
            self._run(at_us)
        clock = self.clock
        clock.time_us = max(clock.time_us, at_us)
        route = self.routes.find(call)
        if not route.gates:
            self.unasked[EXEMPT if route.resource == EXEMPT else UNMATCHED] += 1
            self._conclude(call, route, True)
            return
        get = Attributes(call, route.resource).get
        cost = 1 if call.more is None else _cost(call.more.get("cost"))
        if route.straight is not None:
            allowed, ends = route.straight.decide(get, cost, clock.time_us)
            for end in ends:
                self._later(call, end)
            self._conclude(call, route, allowed)
            return
        attempt = Attempt(route.gates, Asking(route.resource, get, cost), self.guard.ledger)
        self._go_on(call, route, attempt, admission(attempt))

    def finish(self) -> None:
        """Let every call end that is still under way, and close the books."""
        self._run(_LAST_US)
        self.guard.close()

    def _go_on(self, call: Call, route: Route, attempt: Attempt, steps: Steps) -> None:
        """Take a call through the flow as far as it goes now."""
        with self.guard.ledger:
            try:
                need = steps.send(None)
            except StopIteration:
                need = None
        if need is None:
            self._end(call, route, attempt)
            return
        assert isinstance(need, Wait | Sleep), "there is no store to ask"
        is_over = False

        def go_on() -> None:
            nonlocal is_over
            if not is_over:  # a place may be handed over just when time is up
                is_over = True
                self._go_on(call, route, attempt, steps)

        if isinstance(need, Wait):
            need.waiter.wake = lambda: self._put(self.clock.time_us, go_on)
            if need.waiter.granted:
                self._put(self.clock.time_us, go_on)
        self._put(self.clock.time_us + round(need.seconds * 1_000_000), go_on)

    def _end(self, call: Call, route: Route, attempt: Attempt) -> None:
        """Write down what was decided, and let the call run if it was let in."""
        for one in attempt.asked():
            if one.row is not None:
                self.tallies[one.gate.name].add(one.key, allowed=one.row.allowed, watching=one.watching)
        if attempt.granted:
            wait_us = self.clock.time_us - max(call.at_us, 0)
            if wait_us > 0 and attempt.decision().wait:
                self.waited += 1
                self.waited_us += wait_us
            if route.holds:
                permit = Permit(attempt)
                self._later(call, lambda _, failed, code: permit.exit(failed=failed, code=code))
        self._conclude(call, route, attempt.granted)

    def _conclude(self, call: Call, route: Route, allowed: bool) -> None:
        if allowed:
            self.allowed += 1
        else:
            self.refused += 1
        self.timeline.add(call.at_us, allowed)
        if self._heard is not None:
            self._heard(Decided(call, route.resource, allowed))

    def _later(self, call: Call, end: End) -> None:
        """Let a call that was let in end when it has taken as long as the log says."""
        failed, code = call.status >= 500, _CODES.get(call.status)
        if call.duration_us:
            self._put(self.clock.time_us + call.duration_us, lambda: end(self.clock.time_us, failed, code))
        else:
            end(self.clock.time_us, failed, code)

    def _put(self, at_us: int, act: Callable[[], None]) -> None:
        self._entries += 1
        heappush(self._agenda, (at_us, self._entries, act))

    def _run(self, until_us: int) -> None:
        """Do what is due until then, each at its time."""
        agenda, clock = self._agenda, self.clock
        while agenda and agenda[0][0] <= until_us:
            at_us, _, act = heappop(agenda)
            clock.time_us = max(clock.time_us, at_us)
            act()


def _cost(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 16 else 1
