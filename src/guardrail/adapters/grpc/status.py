"""Status: how a refusal is said in gRPC, and what a status says of the other side.

Law: a limit that is used up is RESOURCE_EXHAUSTED, every other refusal UNAVAILABLE, also that of a limit whose store is
away. The details are one whole `google.rpc.Status` whose message is the text of the status, and say nothing of the key.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from guardrail.core.verdict import Decision

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from guardrail.admission.permit import Permit
    from guardrail.errors import Refused

DOMAIN: Final = "guardrail"
DETAILS: Final = "grpc-status-details-bin"
PUSHBACK: Final = "grpc-retry-pushback-ms"  # gRFC A6: when the client's own retries may come, below 0 never
STORE_AWAY: Final = "store_unavailable"  # nobody has used up anything
MOST_VIOLATIONS = 16  # a trailer is no place for a book

FAILURES: Final = frozenset({
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
})  # fmt: skip
GONE: Final = GeneratorExit("the call was cancelled")  # nobody's fault: breakers ignore it

_NAMES: Final = {code: f"grpc.{code.name}" for code in grpc.StatusCode}
_NUMBERS: Final[dict[object, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}

Trailers = tuple[tuple[str, str | bytes], ...]


class Answer(NamedTuple):
    """Hold what is sent in place of an answer of the service."""

    code: grpc.StatusCode
    text: str
    trailers: Trailers


def answer_of(refused: Refused, code: grpc.StatusCode | None = None) -> Answer:
    """Return the status that says why a call may not go ahead.

    Args:
        code: None: that of the refusal.
    """
    code = code_of(refused) if code is None else code
    text = _plain(str(refused))
    details = _details(refused)
    packed = [Packed() for _ in details]
    for place, message in zip(packed, details, strict=True):
        place.Pack(message)
    status = Status(code=code.value[0], message=text, details=packed)
    trailers: Trailers = ((DETAILS, status.SerializeToString()),)
    pushback = _pushback(refused)
    return Answer(code, text, trailers if pushback is None else (*trailers, (PUSHBACK, pushback)))


def code_of(refused: Refused) -> grpc.StatusCode:
    """Return the status of a refusal."""
    is_used_up = refused.kind == "limit" and refused.reason != STORE_AWAY
    return grpc.StatusCode.RESOURCE_EXHAUSTED if is_used_up else grpc.StatusCode.UNAVAILABLE


def escaped(refused: Refused) -> Answer:
    """Return the answer to the caller of a service out of which a refusal escapes.

    Where it is one of the service's own calls that was refused, its callers have not used up anything.
    """
    return answer_of(refused, grpc.StatusCode.UNAVAILABLE if refused.is_outgoing else None)


def status_of(code: object, error: BaseException | None = None) -> grpc.StatusCode:
    """Return the final status of a call from what its service has set, and the error it ended with."""
    if isinstance(code, grpc.StatusCode):
        return code
    if code is None:
        return grpc.StatusCode.OK if error is None else grpc.StatusCode.UNKNOWN
    return _NUMBERS.get(code, grpc.StatusCode.UNKNOWN)


def leave(permit: Permit, code: grpc.StatusCode, error: BaseException | None = None) -> None:
    """End a call with its final status. Never waits and never raises.

    Args:
        error: What the service raised without choosing a status: rules may list its class.
    """
    if code is grpc.StatusCode.CANCELLED:
        permit.exit(GONE)
    else:
        permit.exit(error, failed=code in FAILURES, code=_NAMES[code])


def _details(refused: Refused) -> list[Message]:
    """Return the details: when to come back, what is used up, and what refused."""
    refusing = [
        verdict
        for verdict in refused.decision.verdicts
        if not verdict.allowed and not verdict.shadow and verdict.reason != STORE_AWAY
    ]
    violations = [
        QuotaFailure.Violation(subject=_plain(verdict.rule), description=_plain(Decision.of((verdict,)).sentence()))
        for verdict in refusing[:MOST_VIOLATIONS]
    ]
    about = {"rule": refused.rule, "kind": refused.kind, "reason": refused.reason, "resource": refused.resource}
    why = ErrorInfo(
        reason=(refused.reason or "refused").upper(),
        domain=DOMAIN,
        metadata={name: _plain(value) for name, value in about.items() if value is not None},
    )
    found: list[Message] = [why] if refused.reason == STORE_AWAY else [QuotaFailure(violations=violations), why]
    if refused.retry_after is not None:
        seconds, left_us = divmod(round(refused.retry_after * 1_000_000), 1_000_000)
        found.insert(0, RetryInfo(retry_delay=Duration(seconds=seconds, nanos=left_us * 1000)))
    return found


def _pushback(refused: Refused) -> str | None:
    if refused.retry_after is not None:
        return str(ceil(round(refused.retry_after * 1_000_000) / 1000))
    return "-1" if refused.reason == "cost_too_large" else None


def _plain(text: str) -> str:
    """Return text that can be sent: lone surrogates cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
