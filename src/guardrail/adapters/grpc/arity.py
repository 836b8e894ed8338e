"""Arity: one message or a stream of them, in and out. Handlers of all four are taken apart and put together here.

Law: a handler comes back as it was, but for the function that answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc

if TYPE_CHECKING:
    Method = grpc.RpcMethodHandler[Any, Any]

Function = Callable[..., Any]  # of the service: takes a request or a stream of them, and a context


class Arity(NamedTuple):
    """Name what gRPC calls handlers of one arity, and makes them with."""

    name: str
    make: Callable[..., Method]


class Guarded(NamedTuple):
    """Hold the handler of a method, the one with a guard before it (None: each call gets its own), and the method's name."""

    method: Method
    front: Method | None
    resource: str


_ARITIES: Final = {
    (False, False): Arity("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): Arity("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): Arity("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): Arity("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def function_of(method: Method) -> Function:
    """Return what answers calls of a method."""
    function: Function = getattr(method, _arity_of(method).name)
    return function


def answered_by(function: Function, method: Method) -> Method:
    """Return *method* with another function that answers, in the same pool of threads if it has one of its own."""
    pool = getattr(function_of(method), "experimental_thread_pool", None)
    if pool is not None:
        function.__dict__["experimental_thread_pool"] = pool
    return _arity_of(method).make(function, method.request_deserializer, method.response_serializer)


def _arity_of(method: Method) -> Arity:
    return _ARITIES[bool(method.request_streaming), bool(method.response_streaming)]
