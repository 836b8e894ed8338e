"""The proxy does what it is told, and nothing else; what it did can be counted."""

import socket
import threading
from contextlib import ExitStack, closing
from time import monotonic

import pytest

from tests.faults.proxy import Proxy
from tests.servers import HOST, PATIENCE

SHORT = 0.2  # for what never comes


class Echo:
    """A server that answers every read with what it read, and remembers it."""

    def __enter__(self):
        self.heard = []
        self._listener = socket.create_server((HOST, 0))
        self._threads = []
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._answer, connection)

    def _answer(self, connection):
        with closing(connection):
            try:
                while words := connection.recv(1000):
                    self.heard.append(words)
                    connection.sendall(words)
            except ConnectionError:
                return


@pytest.fixture
def echo():
    with Echo() as server:
        yield server


@pytest.fixture
def proxy(echo):
    with Proxy(echo.port) as proxy:
        yield proxy


@pytest.fixture
def connect(proxy):
    with ExitStack() as stack:
        yield lambda timeout=PATIENCE: stack.enter_context(
            closing(socket.create_connection((HOST, proxy.port), timeout))
        )


def asked(connection, words):
    connection.sendall(words)
    return connection.recv(1000)


def asked_in_vain(connection, words):
    connection.settimeout(SHORT)
    with pytest.raises(TimeoutError):
        asked(connection, words)
    connection.settimeout(PATIENCE)


def seen(proxy):
    """What was seen beside connections, requests and replies."""
    return {name: times for name, times in proxy.seen.items() if name not in {"connections", "requests", "replies"}}


def test_it_forwards_and_counts(proxy, connect):
    first, second = connect(), connect()
    assert (b"a", b"b", b"c") == (asked(first, b"a"), asked(second, b"b"), asked(first, b"c"))
    proxy.await_seen(lambda seen: seen["replies"] == 3)
    assert {"connections": 2, "requests": 3, "replies": 3} == proxy.seen


def test_a_client_that_leaves_is_gone_at_the_server_too(proxy, connect, echo):
    connection = connect()
    asked(connection, b"a")
    connection.close()
    echo._threads[1].join(PATIENCE)
    assert not echo._threads[1].is_alive()


def test_delay_lets_a_reply_wait(proxy, connect):
    proxy.delay(SHORT)
    connection, began = connect(), monotonic()
    assert b"a" == asked(connection, b"a")
    assert monotonic() - began >= SHORT
    assert {"delayed": 1} == seen(proxy)


def test_drip_sends_a_byte_at_a_time(proxy, connect):
    proxy.drip(0.02)
    connection, began = connect(), monotonic()
    connection.sendall(b"abcdef")
    heard = [connection.recv(1000)]
    while len(b"".join(heard)) < 6:
        heard.append(connection.recv(1000))
    assert b"abcdef" == b"".join(heard)
    assert len(heard) > 1
    assert monotonic() - began >= 0.1
    assert {"dripped": 5} == seen(proxy)


def test_drop_reply_loses_the_answer_to_what_was_done(proxy, connect, echo):
    connection = connect()
    proxy.drop_reply()
    asked_in_vain(connection, b"a")
    proxy.await_seen(lambda seen: seen["swallowed"] == 1)
    assert ([b"a"], {"swallowed": 1}) == (echo.heard, seen(proxy))
    proxy.heal()
    assert b"b" == asked(connection, b"b")


def test_only_the_nth_reply_is_hit(proxy, connect):
    connection = connect()
    proxy.drop_reply(nth=2)
    assert b"a" == asked(connection, b"a")
    asked_in_vain(connection, b"b")
    proxy.await_seen(lambda seen: seen["swallowed"] == 1)
    assert b"c" == asked(connection, b"c")
    assert {"swallowed": 1} == seen(proxy)


def test_only_replies_to_what_was_named_are_hit_and_counted(proxy, connect):
    connection = connect()
    proxy.drop_reply(after=b"EVAL", nth=2)
    assert [b"PING", b"EVAL 1", b"PING"] == [asked(connection, words) for words in (b"PING", b"EVAL 1", b"PING")]
    asked_in_vain(connection, b"EVAL 2")
    proxy.await_seen(lambda seen: seen["swallowed"] == 1)
    assert b"EVAL 3" == asked(connection, b"EVAL 3")
    assert {"swallowed": 1} == seen(proxy)


def test_rst_resets_after_the_request_was_heard(proxy, connect, echo):
    proxy.rst(nth=1)
    with pytest.raises(ConnectionResetError):
        asked(connect(), b"a")
    assert ([b"a"], {"reset": 1}) == (echo.heard, seen(proxy))
    assert b"b" == asked(connect(), b"b")


def test_close_ends_in_order_after_the_request_was_heard(proxy, connect, echo):
    proxy.close(nth=1)
    assert b"" == asked(connect(), b"a")
    assert ([b"a"], {"closed": 1}) == (echo.heard, seen(proxy))


def test_silent_accepts_and_never_answers(proxy, connect, echo):
    proxy.silent()
    asked_in_vain(connect(), b"a")
    proxy.await_seen(lambda seen: seen["unanswered"] == 1)
    assert ([], {"unanswered": 1}) == (echo.heard, seen(proxy))


def test_in_a_black_hole_nothing_is_read_and_nobody_connects(proxy, connect, echo):
    connection = connect()
    asked(connection, b"a")
    proxy.blackhole()
    with pytest.raises(TimeoutError):
        connect(SHORT)
    asked_in_vain(connection, b"b")
    proxy.await_seen(lambda seen: seen["held"] == 1)
    assert ([b"a"], {"held": 1}) == (echo.heard, seen(proxy))
    proxy.heal()
    assert b"b" == connection.recv(1000)
    assert b"c" == asked(connect(), b"c")


def test_refused_ends_what_was_there_and_takes_nothing_new(proxy, connect):
    connection = connect()
    asked(connection, b"a")
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        connection.recv(1000)
    with pytest.raises(ConnectionRefusedError):
        connect()
    proxy.heal()
    assert b"b" == asked(connect(), b"b")
    assert {"reset": 1} == seen(proxy)


def test_cut_resets_what_is_connected_and_takes_new_connections(proxy, connect):
    connection = connect()
    asked(connection, b"a")
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        connection.recv(1000)
    assert b"b" == asked(connect(), b"b")


def test_a_server_that_is_away_resets():
    with Proxy(1) as proxy, pytest.raises(ConnectionResetError):
        with closing(socket.create_connection((HOST, proxy.port), PATIENCE)) as connection:
            connection.recv(1000)


def test_nothing_of_it_stays(echo):
    before = set(threading.enumerate())
    with Proxy(echo.port) as proxy, closing(socket.create_connection((HOST, proxy.port), PATIENCE)) as connection:
        asked(connection, b"a")
        proxy.blackhole()
    assert "fault-proxy" not in {thread.name for thread in set(threading.enumerate()) - before}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port), SHORT)
