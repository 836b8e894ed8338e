"""What a caller gets whose own guard said no: an error of gRPC, and a call that is over.

Law: it never was on the wire; its cause is the refusal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Self

import grpc
import grpc.aio

from guardrail.adapters.grpc.status import answer_of

if TYPE_CHECKING:
    from types import TracebackType

    from guardrail.adapters.grpc.status import Trailers
    from guardrail.errors import Refused

    Future = grpc.Future[Any]
else:
    Future = grpc.Future


class RefusedCall(grpc.RpcError, grpc.Call, Future):
    """Be the error, the finished call and the finished future, as gRPC's own errors are. Iterating raises it."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.__cause__ = refused
        self._answer = answer_of(refused)

    def code(self) -> grpc.StatusCode:
        return self._answer.code

    def details(self) -> str:
        return self._answer.text

    def initial_metadata(self) -> Trailers:
        return ()

    def trailing_metadata(self) -> Trailers:  # type: ignore[override]  # the stubs contradict themselves here
        return self._answer.trailers

    def debug_error_string(self) -> str:
        return self._answer.text

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> None:  # type: ignore[override]  # as grpc's own errors
        return None

    def cancel(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def running(self) -> bool:
        return False

    def done(self) -> bool:
        return True

    def result(self, timeout: float | None = None) -> NoReturn:
        raise self

    def exception(self, timeout: float | None = None) -> Exception:
        return self

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        try:
            raise self
        except grpc.RpcError:
            return sys.exc_info()[2]

    def add_callback(self, callback: Callable[[], None]) -> bool:
        return False

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        fn(self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> NoReturn:
        raise self


def refused_error(refused: Refused) -> grpc.aio.AioRpcError:
    """Return the error for callers of asyncio."""
    answer = answer_of(refused)
    trailers = grpc.aio.Metadata.from_tuple(answer.trailers)
    error = grpc.aio.AioRpcError(answer.code, grpc.aio.Metadata(), trailers, answer.text, answer.text)
    error.__cause__ = refused
    return error
