"""A stream of asyncio that holds a permit, and stands before the call that is on the wire.

Law: the call on the wire does not hold on to what stands before it, so that a stream that nobody has any more is
collected and cancelled, as gRPC promises.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio

from guardrail.adapters.grpc.status import leave

if TYPE_CHECKING:
    from types import CoroutineType

    from guardrail.admission.permit import Permit

    UnaryStreamCall = grpc.aio.UnaryStreamCall[Any, Any]
    StreamStreamCall = grpc.aio.StreamStreamCall[Any, Any]
else:
    UnaryStreamCall = grpc.aio.UnaryStreamCall
    StreamStreamCall = grpc.aio.StreamStreamCall


class GuardedStream:
    """Do what streams of both kinds have in common."""

    def __init__(self, call: Any, permit: Permit) -> None:
        self._call = call
        self._permit = permit
        self._has_begun = False
        self._callbacks: list[Callable[[Any], None]] = []
        self._messages: AsyncIterator[Any] | None = None
        front = weakref.ref(self)

        def over(ended: Any) -> None:
            leave(permit, code_now(ended))
            stream = front()
            if stream is not None:
                stream.tell()

        if call.done():
            over(call)
        else:
            call.add_done_callback(over)

    def tell(self) -> None:
        """Call back those who want to know that the call is over."""
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        if self.done():
            callback(self)
        else:
            self._callbacks.append(callback)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._messages is None:
            self._messages = aiter(self._call)
        return self._seen(await anext(self._messages))

    async def read(self) -> Any:
        return self._seen(await self._call.read())

    def _seen(self, message: Any) -> Any:
        if not self._has_begun and message is not grpc.aio.EOF:
            self._has_begun = True
            self._permit.begin()
        return message

    # ---- as the call on the wire; its own coroutines, so that who awaits one holds on to it and not to us

    def cancel(self) -> bool:
        cancelled: bool = self._call.cancel()
        return cancelled

    def cancelled(self) -> bool:
        cancelled: bool = self._call.cancelled()
        return cancelled

    def done(self) -> bool:
        done: bool = self._call.done()
        return done

    def time_remaining(self) -> float | None:
        remaining: float | None = self._call.time_remaining()
        return remaining

    def initial_metadata(self) -> CoroutineType[Any, Any, grpc.aio.Metadata]:
        return self._ask("initial_metadata")

    def trailing_metadata(self) -> CoroutineType[Any, Any, grpc.aio.Metadata]:
        return self._ask("trailing_metadata")

    def code(self) -> CoroutineType[Any, Any, grpc.StatusCode]:
        return self._ask("code")

    def details(self) -> CoroutineType[Any, Any, str]:
        return self._ask("details")

    def debug_error_string(self) -> CoroutineType[Any, Any, str]:
        return self._ask("debug_error_string")

    def wait_for_connection(self) -> CoroutineType[Any, Any, None]:
        return self._ask("wait_for_connection")

    def _ask(self, name: str) -> CoroutineType[Any, Any, Any]:
        answer: CoroutineType[Any, Any, Any] = getattr(self._call, name)()
        return answer


class GuardedUnaryStream(GuardedStream, UnaryStreamCall):
    """Be the answer to one message."""


class GuardedStreamStream(GuardedStream, StreamStreamCall):
    """Be one side of a conversation."""

    @property
    def _done_writing_flag(self) -> bool:  # gRPC's own calls ask this of each other
        flag: bool = self._call._done_writing_flag  # noqa: SLF001
        return flag

    def write(self, request: Any) -> CoroutineType[Any, Any, None]:
        written: CoroutineType[Any, Any, None] = self._call.write(request)
        return written

    def done_writing(self) -> CoroutineType[Any, Any, None]:
        return self._ask("done_writing")


def code_now(call: Any) -> grpc.StatusCode:
    """Return the status of a call that is over: its coroutine has nothing to wait for, and ends at the first step.

    A task would come too late: who sees the end of a call and makes the next one must find the place free.
    """
    asking = call.code()
    try:
        asking.send(None)
    except StopIteration as told:
        code: grpc.StatusCode = told.value
        return code
    asking.close()
    return grpc.StatusCode.UNKNOWN
