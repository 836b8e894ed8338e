"""The client of threads: calls go out, or come back as the error that says why not, in every shape a call has."""

import threading

import grpc
import pytest
from grpc_status import rpc_status

from guardrail import BreakerOpen, BulkheadFull, Guard, RateLimited
from guardrail.adapters.grpc import ClientGuard
from guardrail.adapters.grpc.client import OngoingCall
from guardrail.testing import FakeClock
from tests.adapters.grpc_functions import in_threads
from tests.adapters.grpc_scene import NAME, Log, calling, error_of, service, threaded

ALL = f"client /{NAME}/*"
LIMIT = {"name": "out", "kind": "limit", "resource": ALL, "rate": "1/min", "key": "resource"}
ONE = {"name": "one", "kind": "bulkhead", "resource": ALL, "max_concurrent": 1}
BREAKER = {"name": "peer", "kind": "breaker", "resource": ALL, "consecutive_failures": 1, "open_for": "10s"}


@pytest.fixture(scope="module")
def served():
    log = Log()
    log.go_on.set()
    with threaded(service(in_threads(log))) as target:
        yield target


@pytest.fixture
def client_of(served):
    """Open channels behind guards."""
    opened = []

    def open_channel(*rules, **options):
        guard = Guard(list(rules), clock=FakeClock())
        entered = calling(served, ClientGuard(guard, **options))
        opened.append(entered)
        return entered.__enter__(), guard

    yield open_channel
    for entered in opened:
        entered.__exit__(None, None, None)


def method(client, name):
    return client.channel.unary_unary(f"/{NAME}/{name}")


def test_each_arity_goes_out_and_is_refused_under_its_own_name(client_of):
    client, _ = client_of(LIMIT)
    answers = []
    for call in client.each():
        answers.append(call())
        error = error_of(call)
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error.code()
        assert isinstance(error.__cause__, RateLimited)
    assert [b"hello you", [b"0", b"1", b"2"], b"ab", [b"a", b"b"]] == answers


def test_the_error_reads_like_one_that_came_over_the_wire(client_of):
    client, _ = client_of(LIMIT)
    client.unary("hello")
    error = error_of(lambda: client.unary("hello"))
    assert f"client /{NAME}/hello: 1/min exceeded by rule 'out'; retry after 60 s" == error.details() == str(error)
    assert error.details() == rpc_status.from_call(error).message
    assert "60000" == dict(error.trailing_metadata())["grpc-retry-pushback-ms"]


@pytest.mark.parametrize("arity", ["future", "stream", "stream_unary future", "stream_stream"])
def test_a_refused_call_behaves_like_one_that_is_over(client_of, arity):
    client, guard = client_of({**BREAKER, "resource": "**"})
    guard.peek(f"client /{NAME}/x")
    guard.breakers[f"peer/client /{NAME}/x"].force_open()
    path = f"/{NAME}/x"
    call = {
        "future": lambda: client.channel.unary_unary(path).future(b""),
        "stream": lambda: client.channel.unary_stream(path)(b""),
        "stream_unary future": lambda: client.channel.stream_unary(path).future(iter([b""])),
        "stream_stream": lambda: client.channel.stream_stream(path)(iter([b""])),
    }[arity]()
    told = []
    call.add_done_callback(told.append)
    assert [call] == told
    assert not call.add_callback(lambda: None)
    assert (True, False, False, False) == (call.done(), call.running(), call.cancelled(), call.is_active())
    assert call.cancel() is False
    assert call.time_remaining() is None
    assert grpc.StatusCode.UNAVAILABLE == call.code()
    assert call.details() == call.debug_error_string()
    assert () == call.initial_metadata()
    assert call is call.exception()
    assert call.traceback() is not None
    assert isinstance(error_of(call.result).__cause__, BreakerOpen)
    assert isinstance(error_of(lambda: next(iter(call))).__cause__, BreakerOpen)
    assert isinstance(call, grpc.Call)
    assert isinstance(call, grpc.Future)


def test_whoever_sees_the_end_of_a_call_finds_its_place_free(client_of):
    client, _ = client_of(ONE)
    for _ in range(50):
        assert b"hello a" == method(client, "hello").future(b"a").result()
        assert [b"0", b"1"] == list(client.stream("count", b"2"))
        assert b"hello c" == method(client, "hello").with_call(b"c")[0]
        assert [b"d"] == list(client.echo(b"d"))
        assert grpc.StatusCode.NOT_FOUND == method(client, "answer").future(b"NOT_FOUND").exception().code()


def test_an_ongoing_call_holds_its_place_until_it_is_over(client_of):
    client, _ = client_of(ONE)
    stream = client.stream("endless")
    assert b"x" == next(stream)
    assert isinstance(error_of(lambda: client.stream("endless").result()).__cause__, BulkheadFull)
    assert isinstance(stream, grpc.Call)
    assert stream.is_active()
    assert stream.cancel()
    assert grpc.StatusCode.CANCELLED == stream.code()
    assert b"x" == next(client.stream("endless"))


def test_a_dropped_stream_gives_its_place_back_at_once(client_of):
    client, _ = client_of(ONE)
    for _ in range(20):
        assert b"x" == next(client.stream("endless"))


def test_a_stream_of_one_thread_gives_its_place_back_too(served):
    guard = Guard([ONE], clock=FakeClock())
    options = [(grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)]
    with grpc.insecure_channel(served, options=options) as channel:
        guarded = grpc.intercept_channel(channel, ClientGuard(guard))
        for _ in range(5):
            assert [b"0", b"1"] == list(guarded.unary_stream(f"/{NAME}/count")(b"2"))
            assert b"x" == next(guarded.unary_stream(f"/{NAME}/endless")(b""))


def test_callbacks_are_told_after_the_place_is_free(client_of):
    client, guard = client_of(ONE)
    told = threading.Event()
    remaining = []
    call = method(client, "wait").future(b"")

    def over(_):
        remaining.append(guard.peek(f"client /{NAME}/wait").allowed)
        told.set()

    call.add_done_callback(over)
    assert told.wait(20)
    assert [True] == remaining


@pytest.mark.parametrize(
    ("code", "state"), [("NOT_FOUND", "closed"), ("UNAVAILABLE", "open"), ("CANCELLED", "closed"), ("INTERNAL", "open")]
)
def test_the_final_status_is_the_outcome_for_breakers(client_of, code, state):
    client, guard = client_of(BREAKER)
    error_of(lambda: client.unary("answer", code.encode()))
    error_of(lambda: list(client.stream("broken", code.encode())))
    method(client, "set_code").future(code.encode()).exception()
    states = [guard.breakers[f"peer/client /{NAME}/{name}"].state for name in ("answer", "broken", "set_code")]
    assert [state] * 3 == states


@pytest.mark.parametrize(("rule", "stands_before"), [({**LIMIT, "rate": "100/s"}, False), (ONE, True)])
def test_a_call_whose_end_nobody_waits_for_is_grpcs_own(client_of, rule, stands_before):
    client, _ = client_of(rule)
    stream = client.stream("endless")
    assert stands_before is isinstance(stream, OngoingCall)
    stream.cancel()


def test_how_long_calls_take_is_counted_for_rules_that_nobody_has_to_end(served):
    guard = Guard([{**LIMIT, "rate": "100/s"}], measure_latency=True)
    with calling(served, ClientGuard(guard)) as client:
        client.unary("hello")
    assert [1] == [one.distribution.count for one in guard.snapshot().latencies]


def test_a_server_that_is_not_there_is_a_failure():
    guard = Guard([BREAKER], clock=FakeClock())
    with calling("127.0.0.1:1", ClientGuard(guard)) as client:
        assert error_of(lambda: client.unary("hello")).__cause__ is None
        assert isinstance(error_of(lambda: client.unary("hello")).__cause__, BreakerOpen)


def test_two_guards_may_stand_in_a_row_and_ignore_what_the_other_refuses(served):
    outer, inner = Guard([BREAKER], clock=FakeClock()), Guard([LIMIT], clock=FakeClock())
    with calling(served, ClientGuard(outer), ClientGuard(inner)) as client:
        for call in client.each():
            call()
            assert isinstance(error_of(call).__cause__, RateLimited)
        names = ("hello", "count", "total", "echo")
        assert ["closed"] * 4 == [outer.breakers[f"peer/client /{NAME}/{name}"].state for name in names]


def test_an_error_further_in_ends_the_permit(served):
    class Broken(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, client_call_details, request):
            raise KeyboardInterrupt

    guard = Guard([ONE], clock=FakeClock())
    with calling(served, ClientGuard(guard), Broken()) as client:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                client.unary("hello")


def test_a_wait_is_taken_off_the_timeout_of_the_call(served):
    """The clock is ours, and the timeout is real: what reaches the server is less than what was given."""
    timeouts = []

    class Watch(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, client_call_details, request):
            timeouts.append(client_call_details.timeout)
            assert (("x-a", "1"),) == client_call_details.metadata
            return continuation(client_call_details, request)

    guard = Guard([{**ONE, "max_wait": "1min"}])
    with calling(served, ClientGuard(guard), Watch()) as client:
        with guard.enter(f"client /{NAME}/hello") as permit:
            threading.Timer(0.05, permit.exit).start()
            client.unary("hello", timeout=30, metadata=(("x-a", "1"),))
        client.unary("hello", timeout=30, metadata=(("x-a", "1"),))
    assert timeouts[0] <= 29.95
    assert 29.95 < timeouts[1] <= 30


def test_a_wait_ends_with_the_timeout_of_the_call(served):
    guard = Guard([{**LIMIT, "max_wait": "10min"}])
    with calling(served, ClientGuard(guard)) as client:
        client.unary("hello")
        assert isinstance(error_of(lambda: client.unary("hello", timeout=5)).__cause__, RateLimited)


def test_rules_tell_calls_apart_by_metadata_and_user(client_of):
    tenant = {**LIMIT, "name": "tenant", "key": "metadata.x-tenant"}
    user = {**LIMIT, "name": "user", "rate": "2/min", "key": "user"}
    client, _ = client_of(tenant, user, user=lambda details: dict(details.metadata)["x-user"])

    def call(tenant, name):
        return client.unary("hello", metadata=(("x-tenant", tenant), ("x-user", name)))

    call("acme", "ann")
    assert "'tenant'" in error_of(lambda: call("acme", "ann")).details()
    call("bolt", "ann")
    assert "'user'" in error_of(lambda: call("core", "ann")).details()
    call("core", "bob")


def test_health_checks_are_exempt_and_methods_may_have_other_names(client_of):
    nothing = {**LIMIT, "resource": "**", "cost": 2}
    client, _ = client_of(nothing, resource=lambda method: "everything")
    health = client.channel.unary_unary("/grpc.health.v1.Health/Check").future(b"").exception()
    assert (grpc.StatusCode.UNIMPLEMENTED, None) == (health.code(), health.__cause__)
    assert error_of(lambda: client.unary("hello")).details().startswith("everything: ")
