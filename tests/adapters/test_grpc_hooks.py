"""When the hook for resources is asked, and what a handler's own abort comes to."""

import grpc
import grpc.aio
import pytest

from guardrail import Guard
from guardrail.adapters.grpc_aio import ServerGuard
from guardrail.testing import FakeClock
from tests.adapters.grpc_scene import KINDS, NAME, Log, calling, error_of, guarded, looped, service

STOP = f"/{NAME}/stop"
BREAKER = {"name": "well", "kind": "breaker", "resource": STOP, "consecutive_failures": 1, "open_for": "10s"}
ONE = {"name": "one", "kind": "bulkhead", "resource": STOP, "max_concurrent": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_the_hook_for_the_resource_is_asked_once_for_a_method(kind):
    asked = []

    def resource(method):
        asked.append(method)
        return "shop"

    guard = Guard([{"kind": "limit", "resource": "shop", "rate": "6/min"}], clock=FakeClock())
    with guarded(kind, guard, Log(), resource=resource) as client:
        for _ in range(3):
            client.unary("hello")
            list(client.stream("count", b"1"))
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error_of(lambda: client.unary("hello")).code()
    assert [f"/{NAME}/hello", f"/{NAME}/count"] == asked


class Status(grpc.Status):
    """What a handler aborts with."""

    def __init__(self, code):
        self.code = code
        self.details = "as asked"
        self.trailing_metadata = (("x-mine", "1"),)


async def stop(request, context):
    await context.abort_with_status(Status(grpc.StatusCode[request.decode()]))


async def stop_stream(request, context):
    await context.write(b"first")
    await context.abort_with_status(Status(grpc.StatusCode[request.decode()]))


def test_an_abort_with_a_status_is_sent_whole():
    guard = Guard([BREAKER], clock=FakeClock())
    with looped(service({"stop": stop}), interceptors=[ServerGuard(guard)]) as target, calling(target) as client:
        error = error_of(lambda: client.unary("stop", b"NOT_FOUND"))
    assert (grpc.StatusCode.NOT_FOUND, "as asked") == (error.code(), error.details())
    assert "1" == dict(error.trailing_metadata())["x-mine"]


@pytest.mark.parametrize(("code", "state"), [("NOT_FOUND", "closed"), ("UNAVAILABLE", "open"), ("CANCELLED", "closed")])
@pytest.mark.parametrize("broken", [False, True], ids=["unary", "stream"])
def test_an_abort_with_a_status_is_the_outcome_for_breakers(code, state, broken):
    guard = Guard([BREAKER], clock=FakeClock())
    functions = {"broken": stop_stream} if broken else {"stop": stop}
    stack = [ServerGuard(guard, resource=lambda _: STOP)]
    with looped(service(functions), interceptors=stack) as target, calling(target) as client:
        call = (
            (lambda: list(client.stream("broken", code.encode())))
            if broken
            else (lambda: client.unary("stop", code.encode()))
        )
        assert grpc.StatusCode[code] is error_of(call).code()
    assert state == guard.breakers["well"].state


def test_who_sees_an_abort_with_a_status_finds_the_place_free():
    """The place is given back before the status is sent, while the handler is still there."""
    guard = Guard([ONE], clock=FakeClock())
    at_abort = []

    class Watching(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, handler_call_details):
            method = await continuation(handler_call_details)

            async def answer(request, context):
                return await method.unary_unary(request, Before(context))

            return grpc.unary_unary_rpc_method_handler(answer)

    class Before:
        def __init__(self, context):
            self._context = context

        def __getattr__(self, name):
            return getattr(self._context, name)

        async def abort(self, code, details, trailing_metadata):
            at_abort.append(guard.peek(STOP).allowed)
            await self._context.abort(code, details, trailing_metadata)

    stack = [Watching(), ServerGuard(guard)]
    with looped(service({"stop": stop}), interceptors=stack) as target, calling(target) as client:
        assert grpc.StatusCode.NOT_FOUND is error_of(lambda: client.unary("stop", b"NOT_FOUND")).code()
    assert [True] == at_abort
