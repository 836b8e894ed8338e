"""The gRPC client of asyncio: calls go out, or raise the error that says why not.

Law: a permit lasts until the call has its status, is cancelled, or nobody has it any more. Whoever sees that a call is
over finds its place free.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import grpc.aio

from guardrail.adapters.grpc.options import EXEMPT, checked
from guardrail.adapters.grpc.outgoing import Continuation, Details, Outgoing, Resources
from guardrail.adapters.grpc.refused import refused_error
from guardrail.adapters.grpc.status import leave, refusal_in
from guardrail.adapters.grpc_aio.channels import spread_parts
from guardrail.adapters.grpc_aio.stream import GuardedStreamStream, GuardedUnaryStream, code_now

if TYPE_CHECKING:
    from guardrail.adapters.grpc.attributes import UserHook
    from guardrail.adapters.grpc.options import ResourceHook
    from guardrail.admission.permit import Permit
    from guardrail.guard import Guard


class ClientGuard(
    grpc.aio.UnaryUnaryClientInterceptor,
    grpc.aio.UnaryStreamClientInterceptor,
    grpc.aio.StreamUnaryClientInterceptor,
    grpc.aio.StreamStreamClientInterceptor,
):
    """Guard the calls of a channel, each under its name: `client /pkg.Service/Method`.

    Args:
        guard: None: the default one, whichever it is when a call goes out.
        exempt: Methods that are not guarded, as `/pkg.Service/Method` or `/pkg.Service/*`; by default health and reflection.
        user: Says for whom a call is made, from its details; one that raises means that nobody is known.
        resource: Gives methods other names, from `/pkg.Service/Method`; what it says of a method is kept.

    Raises:
        TypeError: An option is of the wrong kind.
        ValueError: One of the exempt methods is none.
    """

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        exempt: Iterable[str] = EXEMPT,
        user: UserHook | None = None,
        resource: ResourceHook | None = None,
    ) -> None:
        self._options = checked(guard, exempt, user, resource)
        self._resources = Resources(self._options)
        self._parts = (_UnaryUnary(self), _UnaryStream(self), _StreamUnary(self), _StreamStream(self))
        spread_parts(ClientGuard)

    def __iter__(self) -> Iterator[grpc.aio.ClientInterceptor]:
        """Return one interceptor for each arity, which is how a channel of asyncio takes them."""
        return iter(self._parts)

    async def intercept_unary_unary(self, continuation: Continuation, client_call_details: Any, request: Any) -> Any:
        return watched(*await self._call(continuation, client_call_details, request))

    async def intercept_unary_stream(self, continuation: Continuation, client_call_details: Any, request: Any) -> Any:
        call, permit = await self._call(continuation, client_call_details, request)
        return call if permit is None else GuardedUnaryStream(call, permit)

    async def intercept_stream_unary(
        self, continuation: Continuation, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return watched(*await self._call(continuation, client_call_details, request_iterator))

    async def intercept_stream_stream(
        self, continuation: Continuation, client_call_details: Any, request_iterator: Any
    ) -> Any:
        call, permit = await self._call(continuation, client_call_details, request_iterator)
        return call if permit is None else GuardedStreamStream(call, permit)

    async def _call(self, continuation: Continuation, details: Details, request: Any) -> tuple[Any, Permit | None]:
        """Let a call go out, and return it with its permit; None: it is exempt."""
        options = self._options
        resource = self._resources.of(details.method)
        if resource is None:
            return await continuation(details, request), None
        outgoing = Outgoing(options, resource, details)
        permit = await options.current().atry_enter(resource, outgoing.attributes, max_wait=outgoing.max_wait)
        if not permit:
            raise refused_error(permit.refusal())
        permit.is_held = True
        left = outgoing.timeout_left()
        try:
            return await continuation(details if left is None else with_timeout(details, left), request), permit
        except BaseException as error:
            leave_by(permit, error)
            raise


def watched(call: Any, permit: Permit | None) -> Any:
    """Return a call that ends its permit when it has its status."""
    if permit is not None:
        if call.done():
            leave(permit, code_now(call))
        else:
            call.add_done_callback(lambda ended: leave(permit, code_now(ended)))
    return call


def leave_by(permit: Permit, error: BaseException) -> None:
    """End a call that never went out."""
    if isinstance(error, grpc.aio.AioRpcError) and refusal_in(error) is None:
        leave(permit, error.code())
    else:
        permit.exit(refusal_in(error) or error)


def with_timeout(details: Any, timeout: float) -> grpc.aio.ClientCallDetails:
    """Return the details with another timeout."""
    return grpc.aio.ClientCallDetails(
        details.method, timeout, details.metadata, details.credentials, details.wait_for_ready
    )


class _Part:
    """Be the interceptor of one arity."""

    def __init__(self, whole: ClientGuard) -> None:
        self._whole = whole


class _UnaryUnary(_Part, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Continuation, client_call_details: Any, request: Any) -> Any:
        return await self._whole.intercept_unary_unary(continuation, client_call_details, request)


class _UnaryStream(_Part, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Continuation, client_call_details: Any, request: Any) -> Any:
        return await self._whole.intercept_unary_stream(continuation, client_call_details, request)


class _StreamUnary(_Part, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Continuation, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await self._whole.intercept_stream_unary(continuation, client_call_details, request_iterator)


class _StreamStream(_Part, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Continuation, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await self._whole.intercept_stream_stream(continuation, client_call_details, request_iterator)
