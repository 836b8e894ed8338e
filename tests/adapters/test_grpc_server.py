"""Servers of both kinds, with handlers of every kind, refuse and admit alike."""

import threading

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, QuotaFailure, RetryInfo
from grpc_status import rpc_status

from guardrail import Guard
from guardrail.telemetry.events import BreakerMoved
from guardrail.testing import FakeClock, RecordingListener
from tests.adapters.grpc_functions import eventually, in_threads
from tests.adapters.grpc_scene import KINDS, NAME, Log, calling, error_of, guarded, service

ALL = f"/{NAME}/*"
LIMIT = {"name": "per-client", "kind": "limit", "resource": ALL, "rate": "1/min", "key": ["resource", "client.ip"]}
PLACES = {"name": "places", "kind": "bulkhead", "resource": ALL, "max_concurrent": 3}
BREAKER = {"name": "well", "kind": "breaker", "resource": ALL, "consecutive_failures": 1, "open_for": "10s"}
OUTCOMES = {
    "OK": "success", "CANCELLED": "ignored", "UNKNOWN": "failure", "INVALID_ARGUMENT": "success",
    "DEADLINE_EXCEEDED": "failure", "NOT_FOUND": "success", "ALREADY_EXISTS": "success",
    "PERMISSION_DENIED": "success", "RESOURCE_EXHAUSTED": "failure", "FAILED_PRECONDITION": "success",
    "ABORTED": "success", "OUT_OF_RANGE": "success", "UNIMPLEMENTED": "success", "INTERNAL": "failure",
    "UNAVAILABLE": "failure", "DATA_LOSS": "failure", "UNAUTHENTICATED": "success",
}  # fmt: skip


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def log():
    made = Log()
    yield made
    made.go_on.set()


def details_of(error):
    status = rpc_status.from_call(error)
    found = {}
    for packed in status.details:
        for message in (RetryInfo(), QuotaFailure(), ErrorInfo()):
            if packed.Unpack(message):
                found[type(message).__name__] = message
    return found


def free(guard, method="hello"):
    """Return how many places another call would leave free."""
    return next(one.remaining for one in guard.peek(f"/{NAME}/{method}").verdicts if one.rule == "places")


def test_each_arity_is_admitted_and_refused_under_its_own_name(kind, log):
    guard = Guard([LIMIT], clock=FakeClock())
    with guarded(kind, guard, log) as client:
        answers = []
        for call in client.each():
            answers.append(call())
            assert grpc.StatusCode.RESOURCE_EXHAUSTED == error_of(call).code()
    assert [b"hello you", [b"0", b"1", b"2"], b"ab", [b"a", b"b"]] == answers


def test_a_refusal_says_which_rule_why_and_when_to_come_back(kind, log):
    guard = Guard([LIMIT], clock=FakeClock())
    with guarded(kind, guard, log) as client:
        client.unary("hello")
        error = error_of(lambda: client.unary("hello"))
    assert f"/{NAME}/hello: 1/min exceeded by rule 'per-client'; retry after 60 s" == error.details()
    assert "60000" == dict(error.trailing_metadata())["grpc-retry-pushback-ms"]
    details = details_of(error)
    assert ["RetryInfo", "QuotaFailure", "ErrorInfo"] == list(details)
    assert 60 == details["RetryInfo"].retry_delay.seconds
    assert ["per-client"] == [one.subject for one in details["QuotaFailure"].violations]
    assert ("RATE", "guardrail") == (details["ErrorInfo"].reason, details["ErrorInfo"].domain)
    about = {"rule": "per-client", "kind": "limit", "reason": "rate", "resource": f"/{NAME}/hello"}
    assert about == dict(details["ErrorInfo"].metadata)


def test_what_is_no_limit_is_unavailable(kind, log):
    guard = Guard([BREAKER], clock=FakeClock())
    guard.peek(f"/{NAME}/hello")
    guard.breakers[f"well//{NAME}/hello"].force_open()
    with guarded(kind, guard, log) as client:
        error = error_of(lambda: client.unary("hello"))
    assert grpc.StatusCode.UNAVAILABLE == error.code()
    assert ["QuotaFailure", "ErrorInfo"] == list(details_of(error))  # nobody knows when a hand is taken away
    assert "grpc-retry-pushback-ms" not in dict(error.trailing_metadata())


def test_a_call_that_costs_too_much_is_not_to_be_tried_again(kind, log):
    guard = Guard([{**LIMIT, "cost": 2}], clock=FakeClock())
    with guarded(kind, guard, log) as client:
        error = error_of(lambda: client.unary("hello"))
    assert "-1" == dict(error.trailing_metadata())["grpc-retry-pushback-ms"]
    assert "RetryInfo" not in details_of(error)


@pytest.mark.parametrize("code", [code for code in OUTCOMES if code != "OK"])
def test_the_final_status_is_the_outcome_for_breakers(kind, log, code):
    guard = Guard([BREAKER], clock=FakeClock())
    methods = ["answer", "set_code"]
    with guarded(kind, guard, log) as client:
        error_of(lambda: client.unary("answer", code.encode()))
        error_of(lambda: client.unary("set_code", code.encode()))
        if kind != "threads of asyncio":  # where grpcio itself hangs when a stream aborts behind its first message
            methods.append("broken")
            error_of(lambda: list(client.stream("broken", code.encode())))
        states = {method: guard.breakers[f"well//{NAME}/{method}"].state for method in methods}
    expected = "open" if OUTCOMES[code] == "failure" else "closed"
    assert dict.fromkeys(states, expected) == states


def test_rules_may_list_statuses_and_exceptions(kind, log):
    rules = [
        {**BREAKER, "name": "listed", "failures": ["NOT_FOUND", "ValueError"]},
        {**BREAKER, "name": "ignored", "ignore": ["grpc.INTERNAL", "ValueError"]},
    ]
    guard = Guard(rules, clock=FakeClock())
    with guarded(kind, guard, log) as client:
        error_of(lambda: client.unary("answer", b"INTERNAL"))
        error_of(lambda: client.unary("crash"))
        assert "closed" == guard.breakers[f"listed//{NAME}/answer"].state
        assert "closed" == guard.breakers[f"ignored//{NAME}/answer"].state
        assert "open" == guard.breakers[f"listed//{NAME}/crash"].state
        assert "closed" == guard.breakers[f"ignored//{NAME}/crash"].state


def test_an_error_of_the_handler_is_a_failure_and_reaches_the_caller_as_ever(kind, log):
    guard = Guard([BREAKER, PLACES], clock=FakeClock())
    with guarded(kind, guard, log) as client:
        error = error_of(lambda: client.unary("crash"))
    assert grpc.StatusCode.UNKNOWN == error.code()
    assert "a bug" in error.details()
    assert "open" == guard.breakers[f"well//{NAME}/crash"].state
    assert 2 == free(guard)


def test_a_refusal_that_escapes_from_a_handler_is_answered_the_same_way(kind, log):
    guard = Guard([BREAKER, PLACES], clock=FakeClock())
    log.inner = Guard([{"name": "inner", "kind": "limit", "resource": "**", "rate": "1/min"}], clock=FakeClock())
    with guarded(kind, guard, log) as client:
        error = error_of(lambda: client.unary("refuse", b"orders"))
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error.code()
        assert "orders: 1/min exceeded by rule 'inner'; retry after 60 s" == error.details()
        assert "1" == dict(error.trailing_metadata())["x-mine"]
        assert 60 == details_of(error)["RetryInfo"].retry_delay.seconds
        assert "closed" == guard.breakers[f"well//{NAME}/refuse"].state
        assert 2 == free(guard)


def test_refusals_in_a_group_are_answered_as_one_and_with_a_bug_among_them_as_the_bug(kind, log):
    guard = Guard([BREAKER, PLACES], clock=FakeClock())
    log.inner = Guard([{"name": "inner", "kind": "limit", "resource": "**", "rate": "1/min"}], clock=FakeClock())
    with guarded(kind, guard, log) as client:
        error = error_of(lambda: client.unary("fan_out"))
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error.code()
        assert "fan: 1/min exceeded by rule 'inner'; retry after 60 s" == error.details()
        assert "closed" == guard.breakers[f"well//{NAME}/fan_out"].state
        assert grpc.StatusCode.UNKNOWN == error_of(lambda: client.unary("fan_out", b"bug")).code()
        assert "open" == guard.breakers[f"well//{NAME}/fan_out"].state
        assert 2 == free(guard)


def test_a_refused_call_of_the_service_itself_is_not_the_fault_of_its_caller(kind, log):
    log.inner = Guard([{"name": "inner", "kind": "limit", "resource": "**", "rate": "1/min"}], clock=FakeClock())
    with guarded(kind, Guard(), log) as client:
        error = error_of(lambda: client.unary("behind"))
    assert (grpc.StatusCode.UNAVAILABLE, True) == (error.code(), "payments" in error.details())


def test_what_rules_may_ask_is_there_for_decorators_in_handlers(kind, log):
    with guarded(kind, Guard(), log) as client:
        client.unary("hello")
    assert ["127.0.0.1"] == log.said


def test_rules_tell_callers_apart_by_metadata_and_user(kind, log):
    rules = [
        {"name": "tenant", "kind": "limit", "resource": ALL, "rate": "1/min", "key": "metadata.x-tenant"},
        {"name": "user", "kind": "limit", "resource": ALL, "rate": "2/min", "key": "user"},
    ]

    def user(context):
        return dict(context.invocation_metadata())["x-user"]

    with guarded(kind, Guard(rules, clock=FakeClock()), log, user=user) as client:

        def call(tenant, name):
            return client.unary("hello", metadata=(("x-tenant", tenant), ("x-user", name)))

        call("acme", "ann")
        assert "'tenant'" in error_of(lambda: call("acme", "ann")).details()
        call("bolt", "ann")
        assert "'user'" in error_of(lambda: call("core", "ann")).details()
        call("core", "bob")


def test_health_and_reflection_are_exempt_unless_configured_otherwise(kind, log):
    health = "grpc.health.v1.Health"
    nothing = {"name": "nothing", "kind": "limit", "resource": "**", "rate": "1/min", "cost": 2}
    serve, handlers, server_guard = KINDS[kind]
    for options, refused in (({}, [False, True]), ({"exempt": [ALL]}, [True, False])):
        guarding = [server_guard(Guard([nothing]), **options)]
        services = (service(handlers(log), health), service(handlers(log)))
        with serve(*services, interceptors=guarding) as target, calling(target) as client:
            calls = [client.channel.unary_unary(f"/{name}/hello") for name in (health, NAME)]
            assert refused == [isinstance(call.future(b"").exception(), grpc.RpcError) for call in calls]


def test_methods_may_have_other_names(kind, log):
    guard = Guard([{"name": "greet", "kind": "limit", "resource": "greet", "rate": "1/min"}])
    with guarded(kind, guard, log, resource=lambda method: "greet") as client:
        client.unary("hello")
        assert "greet: 1/min" in error_of(lambda: client.total(b"a")).details()


def test_how_long_calls_take_is_counted_for_rules_that_nobody_has_to_end(kind, log):
    guard = Guard([{**LIMIT, "rate": "100/s"}], measure_latency=True)
    with guarded(kind, guard, log) as client:
        client.unary("hello")
        list(client.stream("count", b"3"))
        counted = {f"/{NAME}/hello": 1, f"/{NAME}/count": 1}
        eventually(lambda: counted == {one.resource: one.distribution.count for one in guard.snapshot().latencies})


def test_unknown_methods_are_unknown_still(kind, log):
    with guarded(kind, Guard([LIMIT]), log) as client:
        assert grpc.StatusCode.UNIMPLEMENTED == error_of(lambda: client.unary("nothing")).code()


def test_two_guards_may_stand_in_a_row_and_ignore_what_the_other_refuses(kind, log):
    serve, handlers, server_guard = KINDS[kind]
    outer, inner = Guard([BREAKER], clock=FakeClock()), Guard([LIMIT], clock=FakeClock())
    guarding = [server_guard(outer), server_guard(inner)]
    with serve(service(handlers(log)), interceptors=guarding) as target, calling(target) as client:
        for call in client.each():
            call()
            assert grpc.StatusCode.RESOURCE_EXHAUSTED == error_of(call).code()
        methods = ("hello", "count", "total", "echo")
        assert ["closed"] * 4 == [outer.breakers[f"well//{NAME}/{method}"].state for method in methods]


def test_a_stream_is_measured_until_its_first_message(kind, log):
    """A breaker for slow calls does not mind a long stream: its clock stands still until the stream has begun."""
    clock = FakeClock()
    listener = RecordingListener()
    slow = {**BREAKER, "slow_call": "1s", "slow_rate": 0.1, "min_calls": 1}
    del slow["consecutive_failures"]
    guard = Guard([slow], clock=clock, listeners=[listener])
    with guarded(kind, guard, log) as client:
        messages = client.channel.stream_stream(f"/{NAME}/echo")(one_by_one := Requests())
        one_by_one.put(b"a")
        assert b"a" == next(messages)
        clock.advance(100)
        one_by_one.put(b"b")
        one_by_one.put(None)
        assert [b"b"] == list(messages)
        eventually(lambda: guard.breakers[f"well//{NAME}/echo"].snapshot().calls == 1)
    assert [] == listener.of(BreakerMoved)


class Requests:
    """A stream of requests that is written by hand."""

    def __init__(self):
        self._ready = threading.Semaphore(0)
        self._waiting = []

    def put(self, request):
        self._waiting.append(request)
        self._ready.release()

    def __iter__(self):
        return self

    def __next__(self):
        self._ready.acquire()
        request = self._waiting.pop(0)
        if request is None:
            raise StopIteration
        return request


def test_nothing_is_decided_on_the_thread_that_polls(log):
    """A user hook that blocks holds up its own call only."""
    polling = set()

    def user(context):
        polling.add(threading.current_thread().name)
        return "ann"

    rules = [{"name": "user", "kind": "limit", "resource": ALL, "rate": "100/s", "key": "user"}]
    with guarded("threads", Guard(rules), log, user=user) as client:
        client.unary("hello")
        list(client.stream("count", b"1"))
    assert polling == {name for name in polling if name.startswith("ThreadPoolExecutor")}
    assert polling


def test_a_pool_of_its_own_stays_a_methods_own(log):
    from concurrent.futures import ThreadPoolExecutor

    functions = in_threads(log)
    with ThreadPoolExecutor(1, thread_name_prefix="own") as pool:
        functions["hello"].experimental_thread_pool = pool
        serve, _, server_guard = KINDS["threads"]
        with serve(service(functions), interceptors=[server_guard(Guard())]) as target, calling(target) as client:
            client.unary("hello")
    assert {"own_0"} == log.threads
