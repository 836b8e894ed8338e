"""The client of asyncio: calls go out, or raise the error that says why not, in every shape a call has."""

import asyncio
import gc

import grpc
import grpc.aio
import pytest
from grpc_status import rpc_status

from guardrail import BreakerOpen, BulkheadFull, Guard, RateLimited
from guardrail.adapters.grpc_aio import ClientGuard
from guardrail.testing import FakeClock
from tests.adapters.grpc_functions import IN_TIME_S, in_tasks
from tests.adapters.grpc_scene import NAME, Log, looped, service

ALL = f"client /{NAME}/*"
LIMIT = {"name": "out", "kind": "limit", "resource": ALL, "rate": "1/min", "key": "resource"}
ONE = {"name": "one", "kind": "bulkhead", "resource": ALL, "max_concurrent": 1}
BREAKER = {"name": "peer", "kind": "breaker", "resource": ALL, "consecutive_failures": 1, "open_for": "10s"}
GIVEN_AS = {
    "one of a list": lambda guard: [guard],
    "itself": lambda guard: guard,
    "its parts": lambda guard: [*guard],
}


@pytest.fixture(scope="module")
def served():
    log = Log()
    log.go_on.set()
    with looped(service(in_tasks(log))) as target:
        yield target


class Client:
    def __init__(self, channel):
        self.channel = channel

    def unary(self, method, request=b"", **options):
        return self.channel.unary_unary(f"/{NAME}/{method}")(request, **options)

    def stream(self, method, request=b"", **options):
        return self.channel.unary_stream(f"/{NAME}/{method}")(request, **options)

    def total(self, *requests):
        return self.channel.stream_unary(f"/{NAME}/total")(iter(requests) if requests else None)

    def echo(self, *requests):
        return self.channel.stream_stream(f"/{NAME}/echo")(iter(requests) if requests else None)

    def each(self):
        yield lambda: self.unary("hello", b"you")
        yield lambda: everything(self.stream("count", b"3"))
        yield lambda: self.total(b"a", b"b")
        yield lambda: everything(self.echo(b"a", b"b"))


async def everything(stream):
    return [message async for message in stream]


def run(served, test, *rules, interceptors=list, guard=None, **options):
    """Run a test over a channel behind a guard."""
    guard = Guard(list(rules), clock=FakeClock()) if guard is None else guard

    async def main():
        interceptor = ClientGuard(guard, **options)
        given = [interceptor] if interceptors is list else interceptors(interceptor)
        async with grpc.aio.insecure_channel(served, interceptors=given) as channel:
            await test(Client(channel), guard)

    asyncio.run(asyncio.wait_for(main(), 60))


async def error_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("given", GIVEN_AS)
def test_each_arity_goes_out_and_is_refused_under_its_own_name(served, given):
    async def test(client, _):
        answers = []
        for call in client.each():
            answers.append(await call())
            error = await error_of(call())
            assert grpc.StatusCode.RESOURCE_EXHAUSTED == error.code()
            assert isinstance(error.__cause__, RateLimited)
        assert [b"hello you", [b"0", b"1", b"2"], b"ab", [b"a", b"b"]] == answers

    run(served, test, LIMIT, interceptors=GIVEN_AS[given])


def test_channels_take_other_interceptors_as_ever(served):
    seen = []

    class Watch(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, client_call_details, request):
            seen.append(client_call_details.method)
            return await continuation(client_call_details, request)

    async def test(client, _):
        assert b"hello you" == await client.unary("hello", b"you")

    run(served, test, LIMIT, interceptors=lambda guard: [Watch(), guard, Watch()])
    assert [f"/{NAME}/hello".encode()] * 2 == seen
    with pytest.raises(ValueError, match="must be"):
        run(served, test, interceptors=lambda guard: [guard, object()])


def test_the_error_reads_like_one_that_came_over_the_wire(served):
    async def test(client, _):
        await client.unary("hello")
        call = client.unary("hello")
        error = await error_of(call)
        assert f"client /{NAME}/hello: 1/min exceeded by rule 'out'; retry after 60 s" == error.details()
        assert error.details() == rpc_status.from_call(error).message
        assert "60000" == error.trailing_metadata()["grpc-retry-pushback-ms"]
        assert (True, False) == (call.done(), call.cancelled())
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == await call.code()
        assert error.details() == await call.details()

    run(served, test, LIMIT)


def test_whoever_sees_the_end_of_a_call_finds_its_place_free(served):
    async def test(client, _):
        for _ in range(50):
            assert b"hello a" == await client.unary("hello", b"a")
            assert [b"0", b"1"] == await everything(client.stream("count", b"2"))
            assert b"ab" == await client.total(b"a", b"b")
            assert [b"d"] == await everything(client.echo(b"d"))
            assert grpc.StatusCode.NOT_FOUND == (await error_of(client.unary("answer", b"NOT_FOUND"))).code()

    run(served, test, ONE)


def test_reading_and_writing_by_hand_works_as_ever(served):
    async def test(client, _):
        echo = client.echo()
        await echo.write(b"a")
        assert b"a" == await echo.read()
        assert isinstance((await error_of(client.unary("hello"))).__cause__, BulkheadFull)
        await echo.write(b"b")
        await echo.done_writing()
        assert b"b" == await echo.read()
        assert grpc.aio.EOF == await echo.read()
        assert grpc.StatusCode.OK == await echo.code()
        total = client.total()
        await total.write(b"a")
        await total.done_writing()
        assert b"a" == await total

    run(served, test, {**ONE, "key": "no.such"})


def test_an_ongoing_stream_behaves_as_ever(served):
    async def test(client, guard):
        told = []
        stream = client.stream("endless")
        stream.add_done_callback(told.append)
        await stream.wait_for_connection()
        assert () == tuple(await stream.initial_metadata())
        assert b"x" == await stream.read()
        assert isinstance((await error_of(everything(client.stream("endless")))).__cause__, BulkheadFull)
        assert (False, False, []) == (stream.done(), stream.cancelled(), told)
        assert stream.cancel()
        assert grpc.StatusCode.CANCELLED == await stream.code()
        assert (True, True, [stream]) == (stream.done(), stream.cancelled(), told)
        assert "Locally cancelled by application!" == await stream.details()
        assert guard.peek(f"client /{NAME}/endless").allowed
        ended = client.stream("count", b"1")
        assert [b"0"] == await everything(ended)
        ended.add_done_callback(told.append)
        assert [stream, ended] == told
        assert () == tuple(await ended.trailing_metadata())

    run(served, test, ONE)


def test_a_dropped_stream_is_collected_and_gives_its_place_back(served):
    """Without a guard grpcio keeps a stream until its server ends it."""

    async def test(client, guard):
        stream = client.stream("endless")
        assert b"x" == await anext(aiter(stream))
        del stream
        async with asyncio.timeout(IN_TIME_S):
            while not guard.peek(f"client /{NAME}/endless").allowed:
                gc.collect()
                await asyncio.sleep(0)

    run(served, test, ONE)


def test_a_call_that_is_cancelled_while_it_waits_takes_nothing(served):
    async def test(client, guard):
        async with guard.enter(f"client /{NAME}/hello"):
            call = client.unary("hello")
            waiting = asyncio.ensure_future(asyncio.wait_for(call, 0.05))
            with pytest.raises(TimeoutError):
                await waiting
        assert b"hello on" == await client.unary("hello", b"on")

    run(served, test, guard=Guard([{**ONE, "max_wait": "1min"}]))


@pytest.mark.parametrize(
    ("code", "state"), [("NOT_FOUND", "closed"), ("UNAVAILABLE", "open"), ("CANCELLED", "closed"), ("INTERNAL", "open")]
)
def test_the_final_status_is_the_outcome_for_breakers(served, code, state):
    async def test(client, guard):
        await error_of(client.unary("answer", code.encode()))
        await error_of(everything(client.stream("broken", code.encode())))
        states = [guard.breakers[f"peer/client /{NAME}/{name}"].state for name in ("answer", "broken")]
        assert [state] * 2 == states

    run(served, test, BREAKER)


def test_a_server_that_is_not_there_is_a_failure():
    async def test(client, _):
        assert (await error_of(client.unary("hello"))).__cause__ is None
        assert isinstance((await error_of(client.unary("hello"))).__cause__, BreakerOpen)

    run("127.0.0.1:1", test, BREAKER)


def test_two_guards_may_stand_in_a_row_and_ignore_what_the_other_refuses(served):
    outer = Guard([BREAKER], clock=FakeClock())

    async def test(client, _):
        for call in client.each():
            await call()
            assert isinstance((await error_of(call())).__cause__, RateLimited)
        names = ("hello", "count", "total", "echo")
        assert ["closed"] * 4 == [outer.breakers[f"peer/client /{NAME}/{name}"].state for name in names]

    run(served, test, LIMIT, interceptors=lambda inner: [ClientGuard(outer), inner])


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata()), "open"),
        (grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), grpc.aio.Metadata()), "closed"),
        (OSError("a bug"), "open"),
    ],
)
def test_an_error_further_in_ends_the_permit(served, error, state):
    class Broken(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, client_call_details, request):
            raise error

    async def test(client, guard):
        with pytest.raises(type(error)):
            await client.unary("hello")
        assert state == guard.breakers[f"peer/client /{NAME}/hello"].state
        assert guard.peek(f"client /{NAME}/hello").allowed is (state == "closed")

    run(served, test, ONE, BREAKER, interceptors=lambda guard: [guard, Broken()])


def test_an_answer_made_up_further_in_is_a_success(served):
    class Cache(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, client_call_details, request):
            return b"cached"

    async def test(client, guard):
        for _ in range(2):
            assert b"cached" == await client.unary("hello")

    run(served, test, ONE, interceptors=lambda guard: [guard, Cache()])


def test_a_wait_is_taken_off_the_timeout_of_the_call(served):
    timeouts = []

    class Watch(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, client_call_details, request):
            timeouts.append(client_call_details.timeout)
            return await continuation(client_call_details, request)

    async def test(client, guard):
        permit = await guard.atry_enter(f"client /{NAME}/hello")
        asyncio.get_running_loop().call_later(0.05, permit.exit)
        await client.unary("hello", timeout=30)
        await client.unary("hello", timeout=30)

    run(served, test, guard=Guard([{**ONE, "max_wait": "1min"}]), interceptors=lambda guard: [guard, Watch()])
    assert timeouts[0] <= 29.95
    assert 29.95 < timeouts[1] <= 30


def test_rules_tell_calls_apart_by_metadata_and_user(served):
    tenant = {**LIMIT, "name": "tenant", "key": "metadata.x-tenant"}
    user = {**LIMIT, "name": "user", "rate": "2/min", "key": "user"}

    async def test(client, _):
        def call(tenant, name):
            return client.unary("hello", metadata=(("x-tenant", tenant), ("x-user", name)))

        await call("acme", "ann")
        assert "'tenant'" in (await error_of(call("acme", "ann"))).details()
        await call("bolt", "ann")
        assert "'user'" in (await error_of(call("core", "ann"))).details()
        await call("core", "bob")

    run(served, test, tenant, user, user=lambda details: details.metadata["x-user"])


def test_health_checks_are_exempt(served):
    async def test(client, _):
        for check in (
            client.channel.unary_unary("/grpc.health.v1.Health/Check")(b""),
            everything(client.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")),
            everything(client.channel.stream_stream("/grpc.reflection.v1.ServerReflection/Info")(iter([b""]))),
        ):
            assert (await error_of(check)).__cause__ is None  # the server does not know the method

    run(served, test, {**LIMIT, "resource": "**", "cost": 2})
