"""The answer to a refused request: 429 or 503, as a problem that programs can read (RFC 9457).

Law: the answer says which rule, why and when to come back; of services behind this one it says nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from guardrail.adapters.http.headers import Fields, retry_after, standings_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.adapters.http.headers import HeaderStyle
    from guardrail.admission.gate import Standing
    from guardrail.admission.permit import Permit
    from guardrail.errors import Refused
    from guardrail.guard import Guard

TYPES = "https://iana.org/assignments/http-problem-types#"
TOO_MANY, UNAVAILABLE = 429, 503
TITLES = {TOO_MANY: "Too Many Requests", UNAVAILABLE: "Service Unavailable"}
PROBLEM = "application/problem+json"


class Answer(NamedTuple):
    """Hold an answer that is ready to be sent."""

    status: int
    fields: Fields
    body: bytes


def answer_to(refused: Refused) -> Answer:
    """Return the answer to a refused request, without what is left of the client's limits."""
    status = status_of(refused)
    problem: dict[str, object] = {
        "type": f"{TYPES}quota-exceeded" if status == TOO_MANY else f"{TYPES}temporary-reduced-capacity",
        "title": TITLES[status],
        "status": status,
    }
    if refused.is_outgoing:
        problem["detail"] = "a service behind this one cannot be called now"
    else:
        problem["detail"] = refused.decision.sentence()
        problem["reason"] = refused.reason
        violated = [one.rule for one in refused.decision.verdicts if not one.allowed and not one.shadow]
        problem["violated-policies"] = sorted(
            violated, key=lambda rule: rule != refused.rule
        )  # the one to wait for first
    if refused.retry_after is not None:
        problem["retry_after"] = refused.retry_after
    body = json.dumps(problem).encode()
    fields = [("Content-Type", PROBLEM), ("Content-Length", str(len(body))), *retry_after(refused.retry_after)]
    return Answer(status, fields, body)


def shown(permit: Permit | None, refused: Refused | None) -> Sequence[Standing]:
    """Return the limits that an answer shows: those that the request passed, and those that refused it further in."""
    found = () if permit is None else permit.standings()
    if refused is None or refused.is_outgoing:
        return found
    return [*found, *standings_in(refused.decision)]


def fields_of(style: HeaderStyle, guard: Guard, permit: Permit | None, refused: Refused | None) -> Fields:
    """Return the headers that an answer gets, unless it has them.

    Args:
        refused: Why the answer is guardrail's own; None: it is the app's.
    """
    fields = [] if refused is None else retry_after(refused.retry_after)
    if not style.shows:
        return fields
    return fields + style.fields(shown(permit, refused), guard.ledger.clock.now_us)


def status_of(refused: Refused) -> int:
    """Return 429 for a limit of ours that is used up, else 503."""
    if refused.kind != "limit" or refused.is_outgoing or refused.reason == "store_unavailable":
        return UNAVAILABLE
    return TOO_MANY
