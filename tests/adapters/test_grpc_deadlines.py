"""Deadlines end every wait on a server, and nobody answers a call that has ended."""

import threading

import grpc
import pytest

from guardrail import Guard
from guardrail.testing import FakeClock
from tests.adapters.grpc_functions import eventually
from tests.adapters.grpc_scene import KINDS, NAME, Log, calling, error_of, guarded, service, threaded

ALL = f"/{NAME}/*"
LIMIT = {"name": "per-client", "kind": "limit", "resource": ALL, "rate": "1/min", "key": ["resource", "client.ip"]}
PLACES = {"name": "places", "kind": "bulkhead", "resource": ALL, "max_concurrent": 3}
BREAKER = {"name": "well", "kind": "breaker", "resource": ALL, "consecutive_failures": 1, "open_for": "10s"}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def log():
    made = Log()
    yield made
    made.go_on.set()


def free(guard, method="hello"):
    """Return how many places another call would leave free."""
    return next(one.remaining for one in guard.peek(f"/{NAME}/{method}").verdicts if one.rule == "places")


def test_a_wait_ends_with_the_deadline_of_the_call(kind, log):
    """Without a cap it would take its turn after 60 seconds."""
    guard = Guard([{**LIMIT, "max_wait": "10min"}])
    with guarded(kind, guard, log) as client:
        client.unary("hello")
        assert "RESOURCE_EXHAUSTED" == error_of(lambda: client.unary("hello", timeout=5)).code().name
    assert 1 == len(log.said)


def test_a_call_that_waits_for_a_place_gets_it_in_time(kind, log):
    guard = Guard([{**PLACES, "max_concurrent": 1, "max_wait": "1min"}])
    with guarded(kind, guard, log, resource=lambda method: ALL.replace("*", "all")) as client:
        first = client.channel.unary_unary(f"/{NAME}/wait").future(b"")
        log.entered.acquire()
        second = client.channel.unary_unary(f"/{NAME}/hello").future(b"you", timeout=20)
        assert not second.done()
        log.go_on.set()
        assert (b"", b"hello you") == (first.result(), second.result())


def test_a_call_that_ended_before_its_turn_runs_no_handler_and_takes_nothing(log):
    """One thread serves: the second call times out in the queue of the pool."""
    guard = Guard([{**LIMIT, "key": "metadata.x-tenant"}, PLACES])
    _, handlers, server_guard = KINDS["threads"]
    with threaded(service(handlers(log)), interceptors=[server_guard(guard)], workers=1) as target:
        with calling(target) as client:
            first = client.channel.unary_unary(f"/{NAME}/wait").future(b"")
            log.entered.acquire()
            error = error_of(lambda: client.unary("hello", timeout=0.05, metadata=(("x-tenant", "late"),)))
            assert grpc.StatusCode.DEADLINE_EXCEEDED == error.code()
            log.go_on.set()
            first.result()
            assert b"hello on" == client.unary("hello", b"on", metadata=(("x-tenant", "on"),))
    assert 1 == len(log.said)
    assert guard.peek(f"/{NAME}/hello", {"metadata.x-tenant": "late"}).allowed


@pytest.mark.parametrize("kind", ["threads", "threads of asyncio"])
def test_a_handler_that_outlives_its_deadline_is_a_failure_and_one_whose_caller_left_is_none(log, kind):
    guard = Guard([BREAKER, PLACES])
    with guarded(kind, guard, log) as client:
        call = client.channel.unary_unary(f"/{NAME}/wait").future(b"")
        log.entered.acquire()
        call.cancel()
        assert 1 == free(guard, "wait")  # its code still runs
        log.go_on.set()
        eventually(lambda: free(guard, "wait") == 2)
        assert "closed" == guard.breakers[f"well//{NAME}/wait"].state
        client.channel.unary_unary(f"/{NAME}/late").future(b"", timeout=0.05).exception()  # clocks differ by a hair
        eventually(lambda: guard.breakers[f"well//{NAME}/late"].state == "open")


def test_a_task_that_is_cut_off_by_its_deadline_is_a_failure_and_one_whose_caller_left_is_none(log):
    guard = Guard([BREAKER, PLACES])
    with guarded("tasks", guard, log) as client:
        call = client.channel.unary_unary(f"/{NAME}/wait").future(b"")
        log.entered.acquire()
        call.cancel()
        eventually(lambda: free(guard, "wait") == 2)
        assert "closed" == guard.breakers[f"well//{NAME}/wait"].state
        assert grpc.StatusCode.DEADLINE_EXCEEDED == error_of(lambda: client.unary("wait", timeout=0.05)).code()
        eventually(lambda: guard.breakers[f"well//{NAME}/wait"].state == "open")


def test_a_caller_that_leaves_while_it_waits_takes_nothing(kind, log):
    guard = Guard([{**PLACES, "max_concurrent": 1, "max_wait": "1min"}])
    with guarded(kind, guard, log, resource=lambda method: f"/{NAME}/all") as client:
        first = client.channel.unary_unary(f"/{NAME}/wait").future(b"")
        log.entered.acquire()
        second = client.channel.unary_unary(f"/{NAME}/hello").future(b"", timeout=0.05)
        assert second.exception().code() in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}
        log.go_on.set()
        first.result()
        assert b"hello on" == client.unary("hello", b"on")
        eventually(lambda: free(guard, "all") == 0)
    assert ["127.0.0.1"] == log.said


def test_a_call_that_was_cancelled_while_it_waited_runs_no_handler_and_gives_everything_back(log):
    asked, over = threading.Semaphore(0), threading.Event()

    def user(context):
        context.add_callback(over.set if dict(context.invocation_metadata()).get("x-late") else lambda: None)
        asked.release()
        return "ann"

    rules = [
        {"name": "user", "kind": "limit", "resource": f"/{NAME}/all", "rate": "10/day", "key": "user"},
        {**PLACES, "max_concurrent": 1, "max_wait": "1min", "key": "user"},
    ]
    guard = Guard(rules, clock=FakeClock())
    with guarded("threads", guard, log, resource=lambda method: f"/{NAME}/all", user=user) as client:
        first = client.channel.unary_unary(f"/{NAME}/wait").future(b"")
        log.entered.acquire()
        asked.acquire()
        late = client.channel.unary_unary(f"/{NAME}/hello").future(b"", metadata=(("x-late", "1"),))
        asked.acquire()  # the next thing it does is to queue
        assert late.cancel()
        assert over.wait(20)
        log.go_on.set()
        first.result()
        eventually(lambda: left(guard) == {"user": 8, "places": 0})
    assert [] == log.said


def left(guard):
    """Return what another call of the only user would leave."""
    return {one.rule: one.remaining for one in guard.peek(f"/{NAME}/all", {"user": "ann"}).verdicts}
