"""The gRPC client of threads: calls go out, or come back as the error that says why not.

Law: a permit lasts until the call has its status, is cancelled, or nobody has it any more. Whoever sees that a call is
over finds its place free.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import wrapt

from guardrail.adapters.escapes import as_outgoing, refusal_of
from guardrail.adapters.grpc.nesting import sent
from guardrail.adapters.grpc.outgoing import Continuation, Details, Outgoing, OutgoingGuard, Turn
from guardrail.adapters.grpc.refused import RefusedCall
from guardrail.adapters.grpc.status import GONE, leave, status_of

if TYPE_CHECKING:
    from guardrail.admission.permit import Permit


class ClientGuard(
    OutgoingGuard,
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Guard the calls of a channel, each under its name: `client /pkg.Service/Method`.

    A call that has to wait for its turn does so where it is made, also one that returns a future or a stream.
    """

    def _intercept(self, continuation: Continuation, details: Details, request: Any) -> Any:
        around = sent.get()
        try:
            outgoing = self._begin(details, request, around)
            return continuation(details, request) if outgoing is None else go(outgoing, continuation, details, request)
        finally:
            sent.set(around)

    intercept_unary_unary: Any = _intercept
    intercept_unary_stream: Any = _intercept
    intercept_stream_unary: Any = _intercept
    intercept_stream_stream: Any = _intercept


def go(outgoing: Outgoing, continuation: Continuation, details: Details, request: Any) -> Any:
    """Let a call go out when it is its turn, or return it refused."""
    guard, attributes, permit = outgoing
    if permit is None:
        turn = Turn(details.timeout)
        permit = guard.try_enter(attributes.resource, attributes, max_wait=turn.max_wait)
        left = turn.timeout_left()
        details = details if left is None else with_timeout(details, left)
    if not permit:
        return RefusedCall(as_outgoing(permit.refusal()))
    if not permit.awaits_end:
        return continuation(details, request)
    permit.is_held = True
    try:
        call = continuation(details, request)
    except BaseException as error:
        permit.exit(error)
        raise
    return watched(call, permit)


class ShorterDetails(NamedTuple):
    """Describe a call that has waited."""

    method: str | bytes
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


def with_timeout(details: Details, timeout: float) -> ShorterDetails:
    """Return the details with another timeout."""
    compression = getattr(details, "compression", None)
    return ShorterDetails(
        details.method, timeout, details.metadata, details.credentials, details.wait_for_ready, compression
    )


def watched(call: Any, permit: Permit) -> Any:
    """Return *call*, or what stands before it while it is not over."""
    if call.done():
        leave_with(permit, call)
        return call
    whole = weakref.ref(call, lambda _: permit.exit(GONE))  # gRPC cancels what is dropped, if nobody holds on to it

    def over() -> None:
        ended = whole()
        if ended is None:
            permit.exit(GONE)
        else:
            leave_with(permit, ended)

    if not call.add_callback(over):
        over()
    return OngoingCall(call, permit)


def leave_with(permit: Permit, call: Any) -> None:
    """End a call that has its status."""
    refused = refusal_of(call) if isinstance(call, grpc.RpcError) else None
    if refused is not None:
        permit.exit(refused)
    else:
        leave(permit, status_of(call.code()))


def looking(name: str) -> Callable[..., Any]:
    """Return a method that asks the call, and ends the permit if the call is over: its callbacks may be on their way."""

    def method(self: OngoingCall, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(self.__wrapped__, name)(*args, **kwargs)
        finally:
            self.look()

    method.__name__ = name
    return method


if TYPE_CHECKING:
    Proxy = wrapt.ObjectProxy[Any]
else:
    Proxy = wrapt.ObjectProxy


class OngoingCall(Proxy):
    """Stand before a call that is not over: a stream, a future, or both."""

    def __init__(self, call: Any, permit: Permit) -> None:
        super().__init__(call)
        self._self_permit = permit
        self._self_has_begun = False

    def look(self) -> None:
        """End the permit if the call is over."""
        if self.__wrapped__.done():
            leave_with(self._self_permit, self.__wrapped__)

    def __iter__(self) -> OngoingCall:
        return self

    def __next__(self) -> Any:
        try:
            message = next(self.__wrapped__)
        except BaseException:
            self.look()
            raise
        if not self._self_has_begun:
            self._self_has_begun = True
            self._self_permit.begin()
        return message

    result = looking("result")
    exception = looking("exception")
    traceback = looking("traceback")
    done = looking("done")
    running = looking("running")
    cancel = looking("cancel")
    cancelled = looking("cancelled")
    is_active = looking("is_active")
    code = looking("code")
    details = looking("details")
    trailing_metadata = looking("trailing_metadata")
