"""The gRPC client of asyncio: calls go out, or raise the error that says why not.

Law: a permit lasts until the call has its status, is cancelled, or nobody has it any more. Whoever sees that a call is
over finds its place free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc.aio

from guardrail.adapters.escapes import as_outgoing, refusal_of
from guardrail.adapters.grpc.nesting import sent
from guardrail.adapters.grpc.outgoing import Continuation, Details, Outgoing, OutgoingGuard, Turn
from guardrail.adapters.grpc.refused import refused_error
from guardrail.adapters.grpc.status import leave
from guardrail.adapters.grpc_aio.channels import spread_parts
from guardrail.adapters.grpc_aio.stream import GuardedStreamStream, GuardedUnaryStream, code_now

if TYPE_CHECKING:
    from guardrail.adapters.grpc.nesting import Sent
    from guardrail.admission.permit import Permit


class ClientGuard(OutgoingGuard, grpc.aio.ClientInterceptor):
    """Guard the calls of a channel, each under its name: `client /pkg.Service/Method`."""

    def _prepare(self) -> None:
        spread_parts(ClientGuard)

    def __iter__(self) -> Iterator[grpc.aio.ClientInterceptor]:
        """Return one interceptor for each arity, which is how a channel of asyncio takes them."""
        return iter([kind(self._begin) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)])


async def go(
    outgoing: Outgoing, continuation: Continuation, details: Details, request: Any
) -> tuple[Any, Permit | None]:
    """Let a call go out when it is its turn, and return it with its permit; None: nobody waits for its end."""
    guard, attributes, permit = outgoing
    if permit is None:
        turn = Turn(details.timeout)
        permit = await guard.atry_enter(attributes.resource, attributes, max_wait=turn.max_wait)
        left = turn.timeout_left()
        details = details if left is None else with_timeout(details, left)
    if not permit:
        raise refused_error(as_outgoing(permit.refusal()))
    if not permit.awaits_end:
        return await continuation(details, request), None
    permit.is_held = True
    try:
        return await continuation(details, request), permit
    except BaseException as error:
        leave_by(permit, error)
        raise


def watched(call: Any, permit: Permit) -> Any:
    """Return a call that ends its permit when it has its status."""
    if call.done():
        leave(permit, code_now(call))
    else:
        call.add_done_callback(lambda ended: leave(permit, code_now(ended)))
    return call


def leave_by(permit: Permit, error: BaseException) -> None:
    """End a call that never went out."""
    refused = refusal_of(error)
    if refused is None and isinstance(error, grpc.aio.AioRpcError):
        leave(permit, error.code())
    else:
        permit.exit(refused or error)


def with_timeout(details: Any, timeout: float) -> grpc.aio.ClientCallDetails:
    """Return the details with another timeout."""
    return grpc.aio.ClientCallDetails(
        details.method, timeout, details.metadata, details.credentials, details.wait_for_ready
    )


class _Part:
    """Hold how the interceptor of one arity decides a call."""

    def __init__(self, begin: Callable[[Details, Any, Sent | None], Outgoing | None]) -> None:
        self.begin = begin


def intercepting(front: Callable[[Any, Permit], Any]) -> Any:
    """Return the method of an interceptor.

    Args:
        front: Returns what stands before a call whose end is waited for.
    """

    async def intercept(part: _Part, continuation: Continuation, client_call_details: Details, request: Any) -> Any:
        around = sent.get()
        try:
            outgoing = part.begin(client_call_details, request, around)
            if outgoing is None:
                return await continuation(client_call_details, request)
            call, permit = await go(outgoing, continuation, client_call_details, request)
        finally:
            sent.set(around)
        return call if permit is None else front(call, permit)

    return intercept


class _UnaryUnary(_Part, grpc.aio.UnaryUnaryClientInterceptor):
    intercept_unary_unary = intercepting(watched)


class _UnaryStream(_Part, grpc.aio.UnaryStreamClientInterceptor):
    intercept_unary_stream = intercepting(GuardedUnaryStream)


class _StreamUnary(_Part, grpc.aio.StreamUnaryClientInterceptor):
    intercept_stream_unary = intercepting(watched)


class _StreamStream(_Part, grpc.aio.StreamStreamClientInterceptor):
    intercept_stream_stream = intercepting(GuardedStreamStream)
