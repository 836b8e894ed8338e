"""The same guard twice around one call: it counts once, and the log says so once. A guard on the wrong kind of server."""

import asyncio

import grpc
import grpc.aio
import pytest

from guardrail import Guard, attributes
from guardrail.adapters import grpc as on_threads
from guardrail.adapters import grpc_aio as on_asyncio
from guardrail.adapters.grpc.attributes import LOG
from guardrail.testing import FakeClock
from tests.adapters.grpc_functions import in_tasks, in_threads
from tests.adapters.grpc_scene import KINDS, NAME, Log, calling, error_of, looped, service, threaded

HELLO = f"/{NAME}/hello"
LIMIT = {"name": "in", "kind": "limit", "resource": f"/{NAME}/*", "rate": "2/min", "key": "resource"}
OUT = {**LIMIT, "name": "out", "resource": f"client /{NAME}/*"}
ONE = {"name": "one", "kind": "bulkhead", "resource": f"/{NAME}/*", "max_concurrent": 1}
ONE_OUT = {**ONE, "resource": f"client /{NAME}/*"}
EACH = [b"hello you", [b"0", b"1", b"2"], b"ab", [b"a", b"b"]]


def said(name):
    return [
        f"a {name} stands inside of another one with the same guard and leaves calls to that one; take one of them away"
    ]


def warnings_in(caplog):
    return [one.getMessage() for one in caplog.records if one.name == LOG]


def guard_of(*rules):
    return Guard(list(rules), clock=FakeClock())


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def serving(kind):
    """Run the service behind interceptors made by the server guard of the kind."""
    serve, handlers, server_guard = KINDS[kind]
    log = Log()
    log.go_on.set()
    return lambda *made: serve(service(handlers(log)), interceptors=[make(server_guard) for make in made])


def guarding(guard, **options):
    return lambda server_guard: server_guard(guard, **options)


@pytest.mark.parametrize("rules", [(LIMIT,), (LIMIT, ONE)], ids=["limit", "limit and places"])
def test_a_call_counts_once_on_a_server(serving, rules, caplog):
    guard = guard_of(*rules)
    with serving(guarding(guard), guarding(guard)) as target, calling(target) as client:
        for _ in range(2):
            assert EACH == [call() for call in client.each()]
        for call in client.each():
            assert grpc.StatusCode.RESOURCE_EXHAUSTED == error_of(call).code()
    assert said("ServerGuard") == warnings_in(caplog)


def test_one_interceptor_listed_twice_counts_once(serving, kind, caplog):
    one = KINDS[kind][2](guard_of(LIMIT))
    with serving(lambda _: one, lambda _: one) as target, calling(target) as client:
        assert [EACH, EACH] == [[call() for call in client.each()] for _ in range(2)]
    assert said("ServerGuard") == warnings_in(caplog)


def test_two_guards_count_each_for_itself(serving, caplog):
    outer, inner = guard_of(LIMIT), guard_of(LIMIT)
    with serving(guarding(outer), guarding(inner)) as target, calling(target) as client:
        client.unary("hello")
    assert [0, 0] == [guard.peek(HELLO).verdicts[0].remaining for guard in (outer, inner)]  # after one more of two
    assert [] == warnings_in(caplog)


def test_what_the_outer_one_exempts_is_the_inner_ones(serving, caplog):
    guard = guard_of(LIMIT)
    with serving(guarding(guard, exempt=[HELLO]), guarding(guard)) as target, calling(target) as client:
        assert [b"hello ", b"hello "] == [client.unary("hello") for _ in range(2)]
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error_of(lambda: client.unary("hello")).code()
    assert [] == warnings_in(caplog)


def test_a_call_served_by_what_another_call_has_started_is_not_that_call(caplog):
    """The tasks of a server that a handler starts have around them what the handler has."""
    guard = guard_of({**LIMIT, "rate": "1/min"})
    log = Log()

    async def nested(request, context):
        server = grpc.aio.server(interceptors=[on_asyncio.ServerGuard(guard)])
        server.add_generic_rpc_handlers([service(in_tasks(log), "pkg.Inner"), service(in_tasks(log))])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        codes = []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            for _ in range(2):
                try:
                    await channel.unary_unary(HELLO)(b"")
                except grpc.aio.AioRpcError as error:
                    codes.append(error.code())
        await server.stop(None)
        return str(len(codes)).encode()

    with looped(service({"nest": nested}), interceptors=[on_asyncio.ServerGuard(guard)]) as target:
        with calling(target) as client:
            assert b"1" == client.unary("nest")
    assert [] == warnings_in(caplog)


class Tagging(grpc.ServerInterceptor):
    """Stands between two guards, and has attributes of its own around the handler."""

    def intercept_service(self, continuation, handler_call_details):
        method = continuation(handler_call_details)

        def answer(request, context):
            with attributes(tenant="acme"):
                return method.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(answer)


def test_what_stands_between_two_guards_does_not_hide_the_outer_one(caplog):
    guard = guard_of(LIMIT)
    stack = [on_threads.ServerGuard(guard), Tagging(), on_threads.ServerGuard(guard)]
    with threaded(service(in_threads(Log())), interceptors=stack) as target, calling(target) as client:
        assert [b"hello ", b"hello "] == [client.unary("hello") for _ in range(2)]
    assert said("ServerGuard") == warnings_in(caplog)


@pytest.mark.parametrize("rules", [(OUT,), (OUT, ONE_OUT)], ids=["limit", "limit and places"])
def test_a_call_counts_once_on_a_channel(rules, caplog):
    guard = guard_of(*rules)
    twice = [on_threads.ClientGuard(guard), on_threads.ClientGuard(guard)]
    with threaded(service(in_threads(Log()))) as target, calling(target, *twice) as client:
        assert [EACH, EACH] == [[call() for call in client.each()] for _ in range(2)]
        for call in client.each():
            assert grpc.StatusCode.RESOURCE_EXHAUSTED == error_of(call).code()
    assert said("ClientGuard") == warnings_in(caplog)


async def answers_of(channel):
    async def each_of(requests):
        for request in requests:
            yield request

    yield await channel.unary_unary(HELLO)(b"you")
    yield [message async for message in channel.unary_stream(f"/{NAME}/count")(b"3")]
    yield await channel.stream_unary(f"/{NAME}/total")(each_of([b"a", b"b"]))
    yield [message async for message in channel.stream_stream(f"/{NAME}/echo")(each_of([b"a", b"b"]))]


@pytest.mark.parametrize("rules", [(OUT,), (OUT, ONE_OUT)], ids=["limit", "limit and places"])
def test_a_call_counts_once_on_a_channel_of_asyncio(rules, caplog):
    guard = guard_of(*rules)

    async def main(target):
        twice = [on_asyncio.ClientGuard(guard), on_asyncio.ClientGuard(guard)]
        async with grpc.aio.insecure_channel(target, interceptors=twice) as channel:
            for _ in range(2):
                assert EACH == [answer async for answer in answers_of(channel)]
            with pytest.raises(grpc.aio.AioRpcError, match="exceeded by rule 'out'"):
                await channel.unary_unary(HELLO)(b"you")

    with threaded(service(in_threads(Log()))) as target:
        asyncio.run(main(target))
    assert said("ClientGuard") == warnings_in(caplog)


class Again(grpc.UnaryUnaryClientInterceptor):
    """Send each call twice."""

    def intercept_unary_unary(self, continuation, details, request):
        continuation(details, request)
        return continuation(details, request)


def test_a_call_that_is_sent_again_counts_again(caplog):
    guard = guard_of(OUT)
    stack = [Again(), on_threads.ClientGuard(guard)]
    with threaded(service(in_threads(Log()))) as target, calling(target, *stack) as client:
        client.unary("hello", b"you")
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error_of(lambda: client.unary("hello", b"you")).code()
    assert [] == warnings_in(caplog)


class AgainAsyncio(grpc.aio.UnaryUnaryClientInterceptor):
    """Send each call twice, from one task."""

    async def intercept_unary_unary(self, continuation, details, request):
        await (await continuation(details, request))
        return await continuation(details, request)


def test_a_call_of_asyncio_that_is_sent_again_counts_again(caplog):
    guard = guard_of(OUT)

    async def main(target):
        stack = [AgainAsyncio(), on_asyncio.ClientGuard(guard)]
        async with grpc.aio.insecure_channel(target, interceptors=stack) as channel:
            await channel.unary_unary(HELLO)(b"you")
            with pytest.raises(grpc.aio.AioRpcError, match="exceeded by rule 'out'"):
                await channel.unary_unary(HELLO)(b"you")

    with threaded(service(in_threads(Log()))) as target:
        asyncio.run(main(target))
    assert [] == warnings_in(caplog)


def test_what_the_outer_client_guard_exempts_is_the_inner_ones(caplog):
    guard = guard_of(OUT)
    stack = [on_threads.ClientGuard(guard, exempt=[HELLO]), on_threads.ClientGuard(guard)]
    with threaded(service(in_threads(Log()))) as target, calling(target, *stack) as client:
        assert [b"hello ", b"hello "] == [client.unary("hello") for _ in range(2)]
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error_of(lambda: client.unary("hello")).code()
    assert [] == warnings_in(caplog)


def test_two_client_guards_count_each_for_itself(caplog):
    outer, inner = guard_of(OUT), guard_of(OUT)
    stack = [on_threads.ClientGuard(outer), on_threads.ClientGuard(inner)]
    with threaded(service(in_threads(Log()))) as target, calling(target, *stack) as client:
        client.unary("hello")
    assert [0, 0] == [guard.peek(f"client {HELLO}").verdicts[0].remaining for guard in (outer, inner)]
    assert [] == warnings_in(caplog)


def test_another_call_that_an_interceptor_makes_meanwhile_counts(caplog):
    guard = guard_of(OUT)

    class First(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, details, request):
            other.unary("hello", b"other")
            return continuation(details, request)

    stack = [on_threads.ClientGuard(guard), First()]
    with threaded(service(in_threads(Log()))) as target, calling(target, on_threads.ClientGuard(guard)) as other:
        with calling(target, *stack) as client:
            client.unary("hello", b"you")
    assert not guard.peek(f"client {HELLO}").allowed
    assert [] == warnings_in(caplog)


def test_the_guard_of_asyncio_finds_no_handler_where_no_loop_runs():
    with pytest.raises(TypeError, match="grpc_aio is for grpc.aio.server"):
        on_asyncio.ServerGuard(Guard()).intercept_service(None, None)


def test_the_guard_of_asyncio_on_a_server_of_threads_says_which_one_to_take(caplog):
    with threaded(service(in_threads(Log())), interceptors=[on_asyncio.ServerGuard(Guard())]) as target:
        with calling(target) as client:
            codes = [error_of(lambda: client.unary("hello", timeout=20)).code() for _ in range(2)]
    assert [grpc.StatusCode.UNKNOWN] * 2 == codes
    text = "grpc_aio is for grpc.aio.server; take guardrail.adapters.grpc.ServerGuard"
    assert [f"Exception servicing handler: {text}"] * 2 == [one.getMessage() for one in caplog.records]


def test_the_guard_of_threads_is_refused_by_a_server_of_asyncio():
    async def main():
        with pytest.raises(ValueError, match="Interceptor must be ServerInterceptor"):
            grpc.aio.server(interceptors=[on_threads.ServerGuard(Guard())])

    asyncio.run(main())
