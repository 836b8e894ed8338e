"""The gRPC server of asyncio: calls are let in, or answered with the status of the refusal, where their handlers run.

Law: a handler keeps its kind, as the server goes by it: coroutine, async generator, or a function for threads. A permit
lasts as long as the handler, a stream's until it is finished or closed.
"""

from __future__ import annotations

from asyncio import current_task, get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import TYPE_CHECKING, Any

import grpc.aio

from guardrail.adapters.grpc.arity import Function, Guarded, answered_by, function_of
from guardrail.adapters.grpc.options import Interceptor, Options
from guardrail.adapters.grpc.server import around_answer, around_stream
from guardrail.adapters.grpc_aio.served import AioCall, AioContext, FreshAioCall
from guardrail.adapters.grpc_aio.threads import Rpc, ThreadCall

if TYPE_CHECKING:
    from guardrail.adapters.grpc.arity import Method

MISPLACED = "grpc_aio is for grpc.aio.server; take guardrail.adapters.grpc.ServerGuard"


class ServerGuard(Interceptor[Guarded], grpc.aio.ServerInterceptor):
    """Guard the methods of a `grpc.aio.server`, each under its name: `/pkg.Service/Method`."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Method | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # a coroutine, of which mypy and pyright have two ideas
        """Return what finds the handler, with a guard before it.

        Raises:
            TypeError: It is a server of threads that asks.
        """
        try:
            get_running_loop()
        except RuntimeError:
            raise TypeError(MISPLACED) from None
        return self._found(continuation, handler_call_details)

    async def _found(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Method | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Method | None:
        method, name = await continuation(handler_call_details), handler_call_details.method
        known = self._known.get(name)
        if known is not None and known.method is method:
            front = known.front
        elif method is None or self._options.exempts(name):
            return method
        else:
            resource = self._options.resource_of(name)
            known = self._keep(name, Guarded(method, guarded(method, self._options, resource), resource))
            front = known.front
        return guarded_in_thread(known.method, self._options, known.resource) if front is None else front


def guarded(method: Method, options: Options, resource: str) -> Method | None:
    """Return a handler of the same kind with a guard before it; None: it is one for threads."""
    function = function_of(method)
    served = AioCall if method.request_streaming else FreshAioCall
    if iscoroutinefunction(function):
        around = around_writer if method.response_streaming else around_coroutine
        return answered_by(around(function, options, resource, served), method)
    if isasyncgenfunction(function):
        return answered_by(around_generator(function, options, resource, served), method)
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


def around_coroutine(function: Function, options: Options, resource: str, served: type[AioCall]) -> Function:
    """Guard a coroutine function that returns one message."""

    async def answer(request: object, context: AioContext) -> object:
        call = served(options, resource, context)
        if not call.is_in and not await call.take_turn():
            return await function(request, context)
        try:
            message = await function(request, call.context)
        except BaseException as error:
            await call.fail(error)
            raise
        call.finish()
        return message

    return answer


def around_writer(function: Function, options: Options, resource: str, served: type[AioCall]) -> Function:
    """Guard a coroutine function that writes its messages."""

    async def answer(request: object, context: AioContext) -> None:
        call = served(options, resource, context)
        if not call.is_in and not await call.take_turn():
            await function(request, context)
            return
        try:
            await function(request, call.context)
        except BaseException as error:
            await call.fail(error)
            raise
        call.finish()

    return answer


def around_generator(function: Function, options: Options, resource: str, served: type[AioCall]) -> Function:
    """Guard an asynchronous generator function."""

    async def answer(request: object, context: AioContext) -> AsyncIterator[object]:
        call = served(options, resource, context)
        if not call.is_in and not await call.take_turn():
            async with aclosing(function(request, context)) as all_of_it:
                async for message in all_of_it:
                    yield message
            return
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
