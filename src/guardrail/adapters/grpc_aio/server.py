"""The gRPC server of asyncio: calls are let in, or answered with the status of the refusal, where their handlers run.

Law: a handler keeps its kind, as the server goes by it: coroutine, async generator, or a function for threads. A permit
lasts as long as the handler, a stream's until it is finished or closed.
"""

from __future__ import annotations

from asyncio import current_task
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import TYPE_CHECKING, Any

import grpc.aio

from guardrail.adapters.grpc.arity import Function, Guarded, answered_by, function_of
from guardrail.adapters.grpc.options import Interceptor, Options
from guardrail.adapters.grpc.server import around_answer, around_stream
from guardrail.adapters.grpc_aio.served import AioCall, AioContext
from guardrail.adapters.grpc_aio.threads import Rpc, ThreadCall

if TYPE_CHECKING:
    from guardrail.adapters.grpc.arity import Method


class ServerGuard(Interceptor[Guarded], grpc.aio.ServerInterceptor):
    """Guard the methods of a `grpc.aio.server`, each under its name: `/pkg.Service/Method`."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler with a guard before it."""
        method, name = await continuation(handler_call_details), handler_call_details.method
        known = self._known.get(name)
        if known is not None and known.method is method:
            return known.front
        if method is None or self._options.exempts(name):
            return method
        resource = self._options.resource_of(name)
        front = guarded(method, self._options, resource)
        if front is None:
            return guarded_in_thread(method, self._options, resource)
        return self._keep(name, Guarded(method, front)).front


def guarded(method: Method, options: Options, resource: str) -> Method | None:
    """Return a handler of the same kind with a guard before it; None: it is one for threads."""
    function = function_of(method)
    if iscoroutinefunction(function):
        around = around_writer if method.response_streaming else around_coroutine
        return answered_by(around(function, options, resource), method)
    if isasyncgenfunction(function):
        return answered_by(around_generator(function, options, resource), method)
    return None


def guarded_in_thread(method: Method, options: Options, resource: str) -> Method:
    """Return a handler with a guard before it, for the one call whose task this is called in."""
    function = function_of(method)
    rpc = Rpc()
    task = current_task()
    if task is not None:
        task.add_done_callback(rpc.end)
    in_thread = around_stream if method.response_streaming else around_answer
    return answered_by(in_thread(function, options, resource, partial(ThreadCall, rpc)), method)


def around_coroutine(function: Function, options: Options, resource: str) -> Function:
    """Guard a coroutine function that returns one message."""

    async def answer(request: object, context: AioContext) -> object:
        call = AioCall(options, resource, context)
        if not call.is_in:
            await call.take_turn()
        try:
            message = await function(request, call.context)
        except BaseException as error:
            await call.fail(error)
            raise
        call.finish()
        return message

    return answer


def around_writer(function: Function, options: Options, resource: str) -> Function:
    """Guard a coroutine function that writes its messages."""

    async def answer(request: object, context: AioContext) -> None:
        call = AioCall(options, resource, context)
        if not call.is_in:
            await call.take_turn()
        try:
            await function(request, call.context)
        except BaseException as error:
            await call.fail(error)
            raise
        call.finish()

    return answer


def around_generator(function: Function, options: Options, resource: str) -> Function:
    """Guard an asynchronous generator function."""

    async def answer(request: object, context: AioContext) -> AsyncIterator[object]:
        call = AioCall(options, resource, context)
        if not call.is_in:
            await call.take_turn()
        messages = function(request, call.context)
        has_begun = False
        try:
            async for message in messages:
                if not has_begun:
                    has_begun = True
                    call.permit.begin()
                yield message
        except BaseException as error:
            try:
                await messages.aclose()
            finally:
                await call.fail(error)
            raise
        call.finish()

    return answer
