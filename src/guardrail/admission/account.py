"""The account of a call: what is counted of it, and who is told.

Law: a call is counted once, when it is admitted or refused, by every rule that had a say in that; an event is built only
if somebody wants to hear it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from guardrail.admission.limit_gate import AskedLimit
from guardrail.telemetry.events import CallRefused

if TYPE_CHECKING:
    from guardrail.admission.attempt import Attempt
    from guardrail.admission.ledger import Ledger
    from guardrail.admission.permit import Permit
    from guardrail.admission.shadow import Asked
    from guardrail.core.verdict import Decision, Reason


def count(attempt: Attempt) -> None:
    """Count what each rule said: those that refused, and if the call goes ahead, all of them. Inside a turn."""
    for asked in attempt.asked():
        row = asked.row
        if row is None or not (attempt.granted or row.reason is not None):
            continue
        tally = asked.gate.tally
        if isinstance(asked, AskedLimit) and asked.by_policy:
            tally.errors += 1
        if row.reason is not None:
            tally.keep_out(asked.key, watching=asked.watching)
        else:
            tally.let_in(asked.key)
        if row.wait_us and isinstance(asked, AskedLimit):  # a bulkhead's waits were counted as they ended
            attempt.ledger.counts.waited(asked.gate.name, row.wait_us)


def tell_shadows(attempt: Attempt) -> None:
    """Tell of each rule that only watches and would have refused the call, once this turn is over."""
    for asked in attempt.asked():
        if asked.watching and asked.row is not None and asked.row.reason is not None:
            attempt.ledger.afterwards(partial(_tell_shadow, attempt, asked, asked.row.reason))


def concluded(permit: Permit, ledger: Ledger, resource: str) -> Permit:
    """Return *permit*, having told of it if it was refused. Outside of a turn."""
    if not permit:
        logged = ledger.log.wants(permit.refused_by())
        if logged or ledger.listeners:
            ledger.announce(_refused(resource, permit.decision), logged=logged)
    return permit


def _tell_shadow(attempt: Attempt, asked: Asked, reason: Reason) -> None:
    ledger, gate = attempt.ledger, asked.gate
    logged = ledger.log.wants(gate.name)
    if logged or ledger.listeners:
        event = CallRefused(attempt.call.resource, gate.name, gate.kind, reason, attempt.decision(), shadow=True)
        ledger.announce(event, logged=logged)


def _refused(resource: str, decision: Decision) -> CallRefused:
    assert decision.rule is not None
    assert decision.kind is not None
    assert decision.reason is not None
    return CallRefused(resource, decision.rule, decision.kind, decision.reason, decision, shadow=False)
