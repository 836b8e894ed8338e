"""Permit: what a call gets from the gates, and hands back when it is over.

Law: the first exit counts, later ones do nothing; a permit that is dropped without an exit gives back what it holds.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NoReturn

from guardrail.admission.account import concluded
from guardrail.admission.attempt import Attempt
from guardrail.admission.flow import admission, adrive, drive, looking
from guardrail.admission.outcome import plain_outcome
from guardrail.errors import BreakerOpen, BulkheadFull, RateLimited, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.admission.call import Call
    from guardrail.admission.gate import Gate, Standing
    from guardrail.admission.ledger import Ledger
    from guardrail.core.verdict import Decision, Kind, Outcome

REFUSALS: dict[Kind, type[Refused]] = {"limit": RateLimited, "breaker": BreakerOpen, "bulkhead": BulkheadFull}


class Permit:
    """Say whether a call may go ahead; true if it may. Safe from any thread or task.

    Attributes:
        is_held: Something ends it for sure, such as a decorated generator: nobody is told to.
    """

    __slots__ = ("_decision", "_dropped", "_is_over", "_made", "is_held")

    def __init__(self, attempt: Attempt | None) -> None:
        self._decision: Decision | None = None
        self._is_over = False  # `attempt.ended` comes later, where another thread holds the lock
        self.is_held = False
        self._made = attempt

    def __bool__(self) -> bool:
        return self._attempt.granted

    def __repr__(self) -> str:
        state = "refused" if not self else "over" if self._is_over else "granted"
        return f"<Permit for {self._attempt.call.resource!r}: {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a permit ends one call, so it is neither copied nor pickled")

    @property
    def _attempt(self) -> Attempt:
        """The call at the gates, and what it has taken from them."""
        assert self._made is not None
        return self._made

    @property
    def decision(self) -> Decision:
        """What all rules together said, granted or not."""
        if self._decision is None:
            self._decision = self._attempt.decision()
        return self._decision

    @property
    def awaits_end(self) -> bool:
        """Tell whether the end of the call matters: to what it holds, or to whoever counts how long calls take."""
        return self._attempt.holds_something or self._attempt.ledger.counts.measures_latency

    def standings(self) -> Sequence[Standing]:
        """Return what is left of each limit with a key, granted or not: what a header says, cheaper than a decision."""
        return self._attempt.standings()

    def exit(self, error: BaseException | None = None, *, failed: bool = False, code: str | None = None) -> None:
        """End the call. Never waits and never raises.

        Args:
            error: What the call raised.
            failed: The call came back, but its answer is a failure.
            code: The status of the answer, such as `http.503` or `grpc.UNAVAILABLE`: what a rule lists in `failures`
                and `ignore` is judged by the rule, not by *failed*.
        """
        attempt = self._attempt
        if attempt.granted and not self._is_over:
            ledger, outcome = attempt.ledger, plain_outcome(error, failed)
            outcomes: list[Outcome] = [breaker.gate.outcome_of(error, failed, code) for breaker in attempt.tickets()]
            ledger.deferred.append(lambda: attempt.leave(outcome, outcomes))
            self._is_over = True  # not before: what a signal keeps from getting here, `__del__` ends
            ledger.drain()

    async def aexit(self, error: BaseException | None = None, *, failed: bool = False, code: str | None = None) -> None:
        """End the call, as `exit` does; the twin for `async with` by hand."""
        self.exit(error, failed=failed, code=code)

    def begin(self) -> None:
        """Say that the answer has begun: a stream's first item, a response's start. Breakers measure until here."""
        if self._attempt.granted:
            self._attempt.ledger.soon(self._attempt.begin)

    def settle(self, cost: int) -> None:
        """Correct the cost of the call, once it is known. Only limits that took the call's own cost are corrected.

        A surplus is given back; a deficit is charged now, and later calls wait for it.

        Raises:
            TypeError: The cost is no whole number.
            ValueError: It is below 0.
        """
        checked_cost(cost)
        if self._attempt.granted:
            self._attempt.ledger.soon(lambda: self._attempt.settle(cost))

    def refused_by(self) -> str:
        """Return the name of a rule that keeps the call out; cheaper than a decision."""
        return self._attempt.refusing()

    def refusal(self) -> Refused:
        """Return the error that says why the call may not go ahead, a new one each time."""
        decision = self.decision
        kind = REFUSALS[decision.kind] if decision.kind else Refused
        return kind(self._attempt.call.resource, decision)

    def __del__(self) -> None:
        attempt = getattr(self, "_made", None)  # a signal may have struck before there was one
        if attempt is not None and attempt.granted and not self._is_over and attempt.holds_something:
            self._dropped = Dropped(attempt, None if self.is_held else f"{self!r} was dropped; call its exit()")


class Dropped:
    """End the call of a permit that nobody has ended, once the permit is gone.

    It goes with the permit, and not before: of a cycle, all is finalized before anything is freed, in any order, and a
    generator that has the permit ends the call itself when its own cleanup is done.
    """

    __slots__ = ("_attempt", "_warning")

    def __init__(self, attempt: Attempt, warning: str | None) -> None:
        self._attempt = attempt
        self._warning = warning

    def __del__(self) -> None:
        attempt = self._attempt
        if not attempt.ended:
            ignored: list[Outcome] = ["ignored" for _ in attempt.tickets()]
            attempt.ledger.soon(lambda: attempt.leave("ignored", ignored))
            if self._warning is not None:
                warnings.warn(self._warning, ResourceWarning, stacklevel=2, source=attempt)


def enter(gates: Sequence[Gate], call: Call, ledger: Ledger) -> Permit:
    """Carry *call* through the gates, waiting in this thread. Never raises Refused."""
    attempt = Attempt(gates, call, ledger)
    permit = _kept(attempt)
    drive(attempt, admission(attempt))
    concluded(permit, ledger, call.resource)
    permit.is_held = False
    return permit


async def aenter(gates: Sequence[Gate], call: Call, ledger: Ledger) -> Permit:
    """Carry *call* through the gates, waiting in this task. Never raises Refused."""
    attempt = Attempt(gates, call, ledger)
    permit = _kept(attempt)
    await adrive(attempt, admission(attempt))
    concluded(permit, ledger, call.resource)
    permit.is_held = False
    return permit


def peek(gates: Sequence[Gate], call: Call, ledger: Ledger) -> Decision:
    """Return the decision that *call* would get now. Takes nothing and never waits."""
    attempt = Attempt(gates, call, ledger)
    drive(attempt, looking(attempt))
    return attempt.decision()


async def apeek(gates: Sequence[Gate], call: Call, ledger: Ledger) -> Decision:
    """Return what `peek` returns, asking a store from this task."""
    attempt = Attempt(gates, call, ledger)
    await adrive(attempt, looking(attempt))
    return attempt.decision()


def _kept(attempt: Attempt) -> Permit:
    """Return the permit for a call that is still to be decided: if a signal strikes, it goes, and gives everything back."""
    permit = Permit(attempt)
    permit.is_held = True
    return permit


def checked_cost(cost: object) -> int:
    """Return *cost*.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is below 0.
    """
    if not isinstance(cost, int) or isinstance(cost, bool):
        raise TypeError(f"cost must be a whole number of tokens, such as cost=3, got {cost!r}")
    if cost < 0:
        raise ValueError(f"cost must be at least 0, got {cost}; tokens are given back with permit.settle(n)")
    return cost
