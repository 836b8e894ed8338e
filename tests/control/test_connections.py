"""Who holds connections and says nothing costs a bounded number of threads for a bounded time, and locks nobody out."""

import errno
import threading
import time
from contextlib import ExitStack

import pytest

from guardrail.control import connections, exchange
from guardrail.control.connections import MOST, MOST_UNKNOWN
from guardrail.telemetry.health import Health
from tests.control.scene import PATIENCE, ask, connected, guard_of, head, received, served, until_closed, wait_until


@pytest.fixture
def control():
    with served(guard_of()) as control:
        yield control


def crowd(stack, control, count, sent=b"GET /v1/health HTTP/1.1\r\nHost: x"):
    """Connections that begin a request and do not end it."""
    found = [stack.enter_context(connected(control)) for _ in range(count)]
    for one in found:
        one.sendall(sent)
    return found


def threads():
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_a_slow_client_is_ended_however_it_drips(monkeypatch):
    monkeypatch.setattr(connections, "LONGEST_S", 0.6)
    begun, drops = time.monotonic(), 0
    with served(guard_of()) as control, connected(control) as connection:
        connection.settimeout(0.05)
        while time.monotonic() < begun + PATIENCE:
            try:
                connection.sendall(b"G")
                if not connection.recv(1):
                    break
            except TimeoutError:  # nothing to hear yet
                drops += 1
            except ConnectionError:
                break
    assert 0.5 < time.monotonic() - begun < PATIENCE
    assert drops


def test_a_client_that_is_silent_is_ended_sooner(monkeypatch):
    monkeypatch.setattr(exchange.Exchange, "timeout", 0.2)
    with served(guard_of()) as control, connected(control) as connection:
        connection.sendall(b"GET / HTTP")
        assert until_closed(connection)


def test_a_client_that_does_not_read_is_ended(monkeypatch):
    guard, asked = guard_of(), threading.Event()

    def talkative():
        asked.set()
        return Health("ok", ("x" * 20_000_000,))

    monkeypatch.setattr(guard, "health", talkative)
    with served(guard) as control, connected(control) as deaf:
        with monkeypatch.context() as hasty:
            hasty.setattr(connections, "LONGEST_S", 1.0)  # until then, its answer has to have begun
            deaf.sendall(head(control))
            assert asked.wait(PATIENCE)
        wait_until(lambda: not control._endpoint.open, "it was ended")
        assert 200 == ask(control, path="/v1/snapshot").status


def test_idle_connections_do_not_lock_anybody_out(control):
    with ExitStack() as stack:
        found = crowd(stack, control, 3 * MOST)
        assert [200] * 5 == [ask(control).status for _ in range(5)]
        assert any(received(one) == b"" for one in found[:MOST_UNKNOWN])  # the oldest have made room


def test_there_are_never_more_threads_than_that(control):
    with ExitStack() as stack:
        most = 0
        for _ in range(5):
            crowd(stack, control, MOST)
            most = max(most, len(control._endpoint.open))
            wait_until(lambda: threads() <= MOST, "those that were ended have ended")
        assert 0 < most <= MOST
        assert threads()
        assert 200 == ask(control).status
    wait_until(lambda: threads() == 0, "all threads have ended")


def test_not_even_those_with_the_token_get_more_threads(monkeypatch):
    monkeypatch.setattr(connections, "LONGEST_S", 3.0 * PATIENCE)
    guard, entered, go_on = guard_of(), threading.Semaphore(0), threading.Event()

    def slow(rule, key=None):
        entered.release()
        assert go_on.wait(PATIENCE)

    monkeypatch.setattr(guard, "reset", slow)
    with served(guard) as control, ExitStack() as stack:
        asking = []
        for number in range(MOST + 8):
            asking.append(stack.enter_context(connected(control)))
            asking[-1].sendall(head(control, "POST", "/v1/rules/per-user/reset?key=u1"))
            assert number >= MOST or entered.acquire(timeout=PATIENCE)
        assert [b""] * 8 == [received(one) for one in asking[MOST:]]
        wait_until(lambda: threads() == MOST, "nobody else has a thread")
        go_on.set()
        assert all(b"200 OK" in one.recv(4096) for one in asking[:MOST])


def test_who_has_shown_the_token_is_not_ended_for_others(monkeypatch):
    """A slow answer, such as of a store, does not make room for a crowd."""
    guard, entered, go_on = guard_of(), threading.Event(), threading.Event()

    def slow(rule, key=None):
        entered.set()
        assert go_on.wait(PATIENCE)

    monkeypatch.setattr(guard, "reset", slow)
    with served(guard) as control, ExitStack() as stack:
        asking = stack.enter_context(connected(control))
        asking.sendall(head(control, "POST", "/v1/rules/per-user/reset?key=u1"))
        assert entered.wait(PATIENCE)
        crowd(stack, control, 2 * MOST_UNKNOWN)
        assert 200 == ask(control).status
        go_on.set()
        assert b"200 OK" in asking.recv(4096)


def test_a_hanging_client_never_reaches_a_guarded_call():
    """A crowd that stands still at the door, one client that reads nothing, and another thread that calls meanwhile."""
    guard = guard_of({"name": "plenty", "resource": "orders", "kind": "limit", "rate": "1000000/s"})
    with served(guard) as control, ExitStack() as stack:
        crowd(stack, control, MOST)
        deaf = stack.enter_context(connected(control))
        deaf.sendall(head(control, path="/v1/snapshot"))
        slowest = 0.0
        for _ in range(2000):
            begun = time.perf_counter()
            guard.try_enter("orders").exit()
            slowest = max(slowest, time.perf_counter() - begun)
        assert 2000 == next(one.allowed for one in guard.snapshot().rules)
        assert slowest < 3.0  # a client that is waited for takes 5 s and more


def test_many_requests_at_once_are_all_answered(control):
    found = []
    asking = [
        threading.Thread(target=lambda: found.append(ask(control, path="/v1/snapshot").status)) for _ in range(12)
    ]
    for one in asking:
        one.start()
    for one in asking:
        one.join(PATIENCE)
    assert [200] * 12 == found


def test_where_no_connection_can_be_taken_up_it_is_not_tried_all_the_time(control, monkeypatch):
    tries = []

    def none_left():
        tries.append(time.monotonic())
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(connections.ThreadingTCPServer, "get_request", lambda self: none_left())
        with connected(control):
            wait_until(lambda: len(tries) >= 3, "it was tried again")
    assert tries[2] - tries[0] >= 2 * connections.TICK_S * 0.9
    assert 200 == ask(control).status
