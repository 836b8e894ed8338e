"""The gRPC server of threads: calls are let in, or answered with the status of the refusal, where their handlers run.

Law: nothing is decided on the thread that polls for all calls; a permit lasts as long as the handler, a stream's until it
is finished or dropped; no handler runs for a call that has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc

from guardrail.adapters.grpc.arity import Function, answered_by, function_of
from guardrail.adapters.grpc.options import EXEMPT, Options, checked
from guardrail.adapters.grpc.served import Context, ServedCall

if TYPE_CHECKING:
    from guardrail.adapters.grpc.arity import Method
    from guardrail.adapters.grpc.attributes import UserHook
    from guardrail.adapters.grpc.options import ResourceHook
    from guardrail.guard import Guard

MOST_KNOWN = 1_000  # methods whose guarded handlers are kept; beyond that they are made for each call
Served = Callable[[Options, str, Any], ServedCall]


class ServerGuard(grpc.ServerInterceptor):
    """Guard the methods of a `grpc.server`, each under its name: `/pkg.Service/Method`.

    Args:
        guard: None: the default one, whichever it is when a call comes in.
        exempt: Methods that are not guarded, as `/pkg.Service/Method` or `/pkg.Service/*`; by default health and reflection.
        user: Says who is calling, from the context of a call; one that raises means that nobody is known.
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
        self._known: dict[str, tuple[Method, Method]] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler with a guard before it."""
        method = continuation(handler_call_details)
        name = handler_call_details.method
        known = self._known.get(name)
        if known is not None and known[0] is method:
            return known[1]
        if method is None or self._options.exempts(name):
            return method
        front = guarded(method, self._options, self._options.resource_of(name))
        if len(self._known) < MOST_KNOWN:
            self._known[name] = (method, front)
        return front


def guarded(method: Method, options: Options, resource: str) -> Method:
    """Return a handler with a guard before it."""
    around = around_stream if method.response_streaming else around_answer
    return answered_by(around(function_of(method), options, resource), method)


def around_answer(function: Function, options: Options, resource: str, served: Served = ServedCall) -> Function:
    """Guard a function that returns one message."""

    def answer(request: object, context: Context) -> object:
        call = served(options, resource, context)
        try:
            message = function(request, call.context)
        except BaseException as error:
            call.fail(error)
            raise
        call.finish()
        return message

    return answer


def around_stream(function: Function, options: Options, resource: str, served: Served = ServedCall) -> Function:
    """Guard a function that returns an iterator of messages."""

    def answer(request: object, context: Context) -> Iterator[object]:
        call = served(options, resource, context)
        messages: Any = None
        has_begun = False
        try:
            messages = function(request, call.context)
            with suppress(StopIteration):
                while call.resume():
                    message = next(messages)
                    if not has_begun:
                        has_begun = True
                        call.permit.begin()
                    call.rest()
                    yield message
                close(messages)
        except BaseException as error:
            try:
                close(messages)
            finally:
                call.fail(error)
            raise
        call.finish()

    return answer


def close(messages: object) -> None:
    """Let a stream clean up after itself, if it can."""
    closing = getattr(messages, "close", None)
    if callable(closing):
        closing()
