"""The gRPC server of threads: calls are let in, or answered with the status of the refusal, where their handlers run.

Law: nothing is decided on the thread that polls for all calls: it finds the handler, and asks the hook for the resource
once for a method. A permit lasts as long as the handler, a stream's until it is finished or dropped; no handler runs for a
call that has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc

from guardrail.adapters.grpc.arity import Function, Guarded, answered_by, function_of
from guardrail.adapters.grpc.options import Interceptor, Options
from guardrail.adapters.grpc.served import Context, FreshCall, ServedCall

if TYPE_CHECKING:
    from guardrail.adapters.grpc.arity import Method

Served = Callable[[Options, str, Any], ServedCall]


class ServerGuard(Interceptor[Guarded], grpc.ServerInterceptor):
    """Guard the methods of a `grpc.server`, each under its name: `/pkg.Service/Method`."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler with a guard before it."""
        method, name = continuation(handler_call_details), handler_call_details.method
        known = self._known.get(name)
        if known is not None and known.method is method:
            return known.front
        if method is None or self._options.exempts(name):
            return method
        resource = self._options.resource_of(name)
        return self._keep(name, Guarded(method, guarded(method, self._options, resource), resource)).front


def guarded(method: Method, options: Options, resource: str) -> Method:
    """Return a handler with a guard before it."""
    around = around_stream if method.response_streaming else around_answer
    served = ServedCall if method.request_streaming else FreshCall
    return answered_by(around(function_of(method), options, resource, served), method)


def around_answer(function: Function, options: Options, resource: str, served: Served) -> Function:
    """Guard a function that returns one message."""

    def answer(request: object, context: Context) -> object:
        call = served(options, resource, context)
        if call.is_idle:
            return function(request, context)
        try:
            message = function(request, call.context)
        except BaseException as error:
            call.fail(error)
            raise
        call.finish()
        return message

    return answer


def around_stream(function: Function, options: Options, resource: str, served: Served) -> Function:
    """Guard a function that returns an iterator of messages."""

    def answer(request: object, context: Context) -> Iterator[object]:
        call = served(options, resource, context)
        if call.is_idle:
            yield from function(request, context)
            return
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
