"""Handlers for threads on a server of asyncio, which runs them in its pool.

Law: a permit lasts as long as the handler's code runs, even if its call has ended; a stream at rest, which nobody wakes
again once its call was cancelled, gives it back at once.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn

from guardrail.adapters.grpc.nesting import StandIn
from guardrail.adapters.grpc.served import ServedCall, cut_off
from guardrail.adapters.grpc.status import leave, status_of

if TYPE_CHECKING:
    import grpc

    from guardrail.adapters.grpc.attributes import Metadata
    from guardrail.adapters.grpc.options import Options
    from guardrail.adapters.grpc.status import Answer, Trailers
    from guardrail.admission.permit import Permit
    from guardrail.errors import Refused


class Rpc:
    """Know whether the task of an RPC is over, which the context for threads does not say."""

    __slots__ = ("_lock", "_resting", "is_over")

    def __init__(self) -> None:
        self.is_over = False
        self._lock = Lock()
        self._resting: ThreadCall | None = None

    def end(self, _task: object) -> None:
        """End the RPC, and its stream if that is at rest."""
        with self._lock:
            self.is_over = True
            resting, self._resting = self._resting, None
        if resting is not None:
            resting.cut()

    def rest(self, call: ThreadCall) -> None:
        """Put a stream to rest."""
        with self._lock:
            if not self.is_over:
                self._resting = call
                return
        call.cut()

    def resume(self) -> bool:
        """Wake the stream, unless the RPC is over."""
        with self._lock:
            self._resting = None
            return not self.is_over


class ThreadContext(StandIn):
    """Stand before the context that gRPC gives to handlers in threads, and remember what it forgets.

    Attributes:
        permit: Ended before an abort is sent, so that the caller who sees it finds the place free.
    """

    def __init__(self, context: Any, rpc: Rpc) -> None:
        super().__init__(context)
        self.permit: Permit | None = None
        self._rpc = rpc
        self._code: object = None
        self._trailers: Trailers = ()

    def time_remaining(self) -> float | None:
        remaining: float | None = self._context.time_remaining()
        return remaining

    def peer(self) -> str:
        peer: str = self._context.peer()
        return peer

    def invocation_metadata(self) -> Metadata | None:
        metadata: Metadata | None = self._context.invocation_metadata()
        return metadata

    def ignore(self, refused: Refused) -> None:
        """End the permits of this guard and those further out, as a rule refuses the call."""
        if self.permit is not None:
            self.permit.exit(refused)
        if isinstance(self._context, ThreadContext):
            self._context.ignore(refused)

    def is_active(self) -> bool:
        return not self._rpc.is_over

    def code(self) -> object:
        return self._code

    def set_code(self, code: object) -> None:
        self._code = code
        self._context.set_code(code)

    def trailing_metadata(self) -> Trailers:
        return self._trailers

    def set_trailing_metadata(self, trailing_metadata: Trailers) -> None:
        self._trailers = tuple(trailing_metadata)
        self._context.set_trailing_metadata(self._trailers)

    def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Trailers = ()) -> NoReturn:
        self._code = status_of(code)
        if self.permit is not None:
            leave(self.permit, self._code)
        self._context.abort(code, details, tuple(trailing_metadata))
        raise AssertionError("an abort that does not raise")


class ThreadCall(ServedCall):
    """Let one call in, from the thread in which its handler runs."""

    __slots__ = ("_before", "_rpc")

    def __init__(self, rpc: Rpc, options: Options, resource: str, context: Any) -> None:
        self._rpc = rpc
        self._before = ThreadContext(context, rpc)
        super().__init__(options, resource, self._before)
        if not self.is_idle:
            self._before.permit = self.permit

    def rest(self) -> None:
        self._rpc.rest(self)

    def resume(self) -> bool:
        return self._rpc.resume()

    def _abort(self, answer: Answer, refused: Refused) -> NoReturn:
        self._before.ignore(refused)
        super()._abort(answer, refused)

    def cut(self) -> None:
        """Give the permit back, as nobody wants the rest of the stream."""
        leave(self.permit, cut_off(self.context.time_remaining()))
