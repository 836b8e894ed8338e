"""Threads share one connection: one leads, all that wait travel along, in order, each within its own time."""

import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guardrail.stores.protocol import Reply, Unavailable
from guardrail.stores.redis import RedisStore
from guardrail.stores.thread_line import GRACE_S, NOTHING, Seat
from guardrail.telemetry.events import StoreBack, StoreLost
from tests.stores.scene import HUNDRED, PATIENCE, FakeServer, check, drip, granting, in_time, open_files, until

MAIN = threading.main_thread().native_id


@pytest.fixture
def opened():
    """Open stores that are closed afterwards, and leave nothing behind."""
    threads, stores = set(threading.enumerate()), []

    def open_store(url, **options):
        stores.append(RedisStore(url, **options))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()
    until(lambda: set(threading.enumerate()) <= threads, "the end of all threads")


@pytest.fixture
def fake():
    with FakeServer() as server:
        yield server


class Crowd:
    """Threads that ask at once, behind a flight that is held in the air."""

    def __init__(self, store, server):
        self.store, self.server = store, server
        self.line = store._lines.threads
        self.pool = ThreadPoolExecutor(600)
        self.answers = {}

    def __enter__(self):
        assert isinstance(self.store.admit(check("first")), Reply)
        self.server.free.clear()
        self.ask("leader")
        until(lambda: ["leader"] in self.server.flights(), "the flight of the leader")
        return self

    def ask(self, user, cost=1):
        """Let a thread ask, and return when it is in the queue."""
        seated = len(self.line._queue) + (self.line._leader is not None)
        self.answers[user] = self.pool.submit(self.store.admit, check(user, cost))
        until(lambda: len(self.line._queue) + (self.line._leader is not None) > seated, f"{user} in the queue")

    def __exit__(self, *_):
        self.server.free.set()
        self.pool.shutdown()


def test_all_that_wait_travel_together_in_the_order_in_which_they_came(opened, fake):
    with Crowd(opened(fake.url, timeout="10s"), fake) as crowd:
        users = [f"u{number}" for number in range(20)]
        for user in users:
            crowd.ask(user)
        fake.free.set()
        assert {Reply} == {type(answer.result(PATIENCE)) for answer in crowd.answers.values()}
    assert [["first"], ["leader"], users] == fake.flights()


def test_a_flight_has_256_checks_at_most(opened, fake):
    with Crowd(opened(fake.url, timeout="20s"), fake) as crowd:
        for number in range(300):
            crowd.ask(f"u{number}")
        fake.free.set()
        assert {Reply} == {type(answer.result(PATIENCE)) for answer in crowd.answers.values()}
    assert [1, 1, 256, 44] == [len(users) for users in fake.flights()]


def test_a_call_of_many_checks_travels_whole(opened, fake):
    store = opened(fake.url, timeout="10s")
    checks = [check(f"u{number}")[0] for number in range(300)]
    fake.answer = lambda words: (
        granting(words) if words[0] != b"EVALSHA" else b"$1805\r\n%b\r\n" % (b"1 1" + b" 7 0" * 300)[:1805].ljust(1805)
    )
    reply = store.admit(checks)
    assert 300 == len(reply.states)


def test_who_waits_in_the_queue_leaves_at_its_own_deadline_and_is_never_sent(opened, fake):
    store = opened(fake.url, timeout="10s")
    with Crowd(store, fake) as crowd:
        store._server.timeout_s = 0.05
        crowd.ask("late")
        assert isinstance(crowd.answers["late"].result(PATIENCE), Unavailable)
        fake.free.set()
        assert isinstance(crowd.answers["leader"].result(PATIENCE), Reply)
    assert [["first"], ["leader"]] == fake.flights()


def test_a_leader_without_time_lets_another_one_lead_its_flight(opened, fake):
    """A flight is given up when nobody on it has time left, not when the first one has none."""
    store = opened(fake.url, timeout="10s")
    server = store._server
    with Crowd(store, fake) as crowd:
        server.timeout_s = 0.2
        crowd.ask("second")
        server.timeout_s = 10.0
        crowd.ask("third")
        fake.answer = hold_once(fake)
        fake.free.set()
        assert isinstance(crowd.answers["second"].result(PATIENCE), Unavailable)
        fake.free.set()
        assert isinstance(crowd.answers["third"].result(PATIENCE), Reply)
    assert ["second", "third"] in fake.flights()
    assert 1 == fake.accepted
    until(lambda: any(b"g 1 7" in step for words in list(fake.heard) for step in words), "what nobody took given back")


def hold_once(fake):
    """Answer everything but the next flight of two at once; that one waits for `free` to be set again."""

    def answer(words):
        if words[0] == b"EVALSHA" and words[2] == b"2":
            fake.free.clear()
            fake.free.wait(PATIENCE)
        return granting(words)

    return answer


def test_a_lost_connection_answers_everybody_on_it_and_is_one_failure(opened, fake):
    store = opened(fake.url, timeout="10s")
    with Crowd(store, fake) as crowd:
        crowd.ask("second")
        fake.drop()
        assert isinstance(crowd.answers["leader"].result(PATIENCE), Unavailable)
        fake.free.set()
        assert isinstance(crowd.answers["second"].result(PATIENCE), Reply)
    assert 2 == fake.accepted


@pytest.mark.parametrize("fault", ["silent", "drip", "close", "garbage", "other"])
def test_no_call_outlives_its_timeout(opened, fault):
    answers = {
        "silent": b"",
        "drip": drip(),
        "close": lambda client: client.shutdown(socket.SHUT_RDWR),
        "garbage": b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "other": b"$5\r\n1 1 x\r\n",
    }
    with FakeServer() as fake:
        store = opened(fake.url)
        fake.answer = lambda words: answers[fault] if words[0] == b"EVALSHA" else granting(words)
        for _ in range(3):
            began = time.monotonic()
            assert isinstance(store.admit(check()), Unavailable)
            in_time(began, 0.05)
        assert fake.flights()
        assert 3 == fake.accepted  # nothing of a broken conversation is believed


def test_a_server_that_drips_its_greeting_keeps_nobody(opened):
    with FakeServer(greet=drip(b"+" + b"x" * 400)) as fake:
        store = opened(fake.url.replace("redis://", "redis://:pw@"))
        for _ in range(4):
            began = time.monotonic()
            assert isinstance(store.admit(check()), Unavailable)
            in_time(began, 0.05)
        assert 1 == fake.accepted  # one attempt, whoever waits for it


def test_a_handshake_slower_than_the_timeout_is_there_for_later_calls(opened):
    ready = threading.Event()

    def answer(words):
        if words[0] == b"AUTH":
            ready.wait(PATIENCE)
        return granting(words)

    with FakeServer(answer) as fake:
        store = opened(fake.url.replace("redis://", "redis://:pw@"), timeout="250ms")
        assert isinstance(store.admit(check()), Unavailable)
        ready.set()
        until(lambda: isinstance(store.admit(check()), Reply), "an answer")
        assert 1 == fake.accepted


def test_an_idle_connection_that_has_died_costs_no_call(opened, redis_server):
    store = opened(redis_server.url)
    assert isinstance(store.admit(check()), Reply)
    news = []
    store.follow(news.append)
    for _ in range(6):
        redis_server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert isinstance(store.admit(check()), Reply)
    assert [] == news


def test_a_script_that_is_gone_is_loaded_again_and_nothing_counts_twice(opened, redis_server):
    store = opened(redis_server.url)
    for _ in range(5):
        redis_server.command("SCRIPT", "FLUSH")
        assert isinstance(store.admit(check()), Reply)
    assert 95 == HUNDRED.view(*view(store))[0]


def view(store, user="u"):
    reply = store.admit(check(user), peek=True)
    return reply.states[0], reply.now_us


def test_a_script_that_cannot_be_loaded_says_why(opened):
    def answer(words):
        match words[0]:
            case b"EVALSHA":
                return b"-NOSCRIPT No matching script.\r\n"
            case b"SCRIPT":
                return b"-NOPERM this user has no permissions to run the 'script|load' command\r\n"
            case _:
                return granting(words)

    with FakeServer(answer) as fake:
        store, news = opened(fake.url, timeout="5s"), []
        store.follow(news.append)
        assert isinstance(store.admit(check()), Unavailable)
        assert ["rights"] == [event.error for event in news]
        assert "script|load" in news[0].message


def test_while_the_store_is_away_nothing_is_sent_and_it_is_found_again(opened, fake):
    store, news = opened(fake.url), []
    store.follow(news.append)
    fake.answer = lambda words: b"-LOADING\r\n"
    for _ in range(5):
        assert isinstance(store.admit(check()), Unavailable)
    heard = len(fake.heard)
    for _ in range(100):
        began = time.perf_counter()
        store.admit(check())
        assert time.perf_counter() - began < 0.05
        store.give_back([])
    assert heard == len(fake.heard)
    fake.answer = granting
    began = time.monotonic()
    until(lambda: isinstance(store.admit(check()), Reply), "recovery")
    assert time.monotonic() - began < 1.1
    assert [StoreLost, StoreBack] == [type(event) for event in news]


def test_a_signal_handler_that_raises_gives_back_what_is_granted_meanwhile(opened, fake):
    store = opened(fake.url, timeout="5s")
    assert isinstance(store.admit(check()), Reply)

    def answer(words):
        if words[0] == b"EVALSHA" and words[4 + int(words[2])].startswith(b"a"):
            until(lambda: waits_for_an_answer(store), "the leader asleep")
            signal.pthread_kill(main, signal.SIGUSR1)
            struck.wait(PATIENCE)
        return granting(words)

    class StruckError(Exception):
        """Raised by the handler."""

    def strike(*_):
        struck.set()
        raise StruckError

    struck, main, fake.answer = threading.Event(), threading.get_ident(), answer
    before = signal.signal(signal.SIGUSR1, strike)
    try:
        with pytest.raises(StruckError):
            store.admit(check("struck"))
    finally:
        signal.signal(signal.SIGUSR1, before)
    until(lambda: any(b"g 1 7" in step for words in list(fake.heard) for step in words), "giving back")
    fake.answer = granting
    assert isinstance(store.admit(check()), Reply)
    assert 1 == fake.accepted


def waits_for_an_answer(store):
    """Tell whether the thread that leads sleeps in the system: it does not run, and no byte is between it and the socket."""
    link = store._lines.threads._port.link
    return (
        link is not None
        and not link.moving
        and Path(f"/proc/self/task/{MAIN}/stat").read_text().split(") ")[1][0] == "S"
    )


def test_a_signal_handler_that_raises_in_the_queue_leaves_it(opened, fake):
    store = opened(fake.url, timeout="5s")

    class StruckError(Exception):
        """Raised by the handler."""

    def strike(*_):
        raise StruckError

    before = signal.signal(signal.SIGUSR1, strike)
    line = store._lines.threads
    try:
        with Crowd(store, fake) as crowd:
            main = threading.get_ident()
            striking = crowd.pool.submit(
                lambda: (until(lambda: line._queue, "a place in the queue"), signal.pthread_kill(main, signal.SIGUSR1))
            )
            with pytest.raises(StruckError):
                store.admit(check("struck"))
            striking.result(PATIENCE)
            assert not line._queue
            fake.free.set()
            assert isinstance(crowd.answers["leader"].result(PATIENCE), Reply)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [["first"], ["leader"]] == fake.flights()


def test_a_leader_that_was_torn_away_does_not_stop_the_others(opened, fake):
    store = opened(fake.url)
    assert isinstance(store.admit(check()), Reply)
    line = store._lines.threads
    line._leader = Seat(NOTHING, time.monotonic() - GRACE_S - 1)
    assert isinstance(store.admit(check()), Reply)
    assert 2 == fake.accepted  # what it has done with the connection nobody knows


def test_what_nobody_waits_for_is_written_at_once_and_its_answer_skipped(opened, fake):
    store = opened(fake.url)
    assert isinstance(store.admit(check()), Reply)
    fake.free.clear()
    began = time.monotonic()
    store.owe(check("owes"))
    store.owe(check("owes"))
    assert time.monotonic() - began < 0.05
    until(lambda: fake.flights()[1:], "the debt")
    fake.free.set()
    assert isinstance(store.admit(check("next")), Reply)
    assert [["u"], ["owes"], ["owes"], ["next"]] == fake.flights()


def test_what_nobody_waits_for_needs_no_connection_yet(opened, fake):
    store = opened(fake.url)
    store.owe(check("owes"))
    until(fake.flights, "the debt")
    assert [["owes"]] == fake.flights()


def test_what_nobody_waits_for_is_forgotten_where_nobody_listens(opened):
    with FakeServer() as fake:
        url = fake.url
    store = opened(url)
    for _ in range(10):
        store.owe(check("owes"))
    line = store._lines.threads
    until(lambda: not line._aside and line._port._dial is None, "the end of the attempt")
    assert isinstance(store.admit(check()), Unavailable)


def test_a_forked_child_has_a_connection_of_its_own(opened, redis_server):
    store = opened(redis_server.url)
    assert isinstance(store.admit(check()), Reply)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = b"no"
        try:
            outcome = b"%d" % sum(isinstance(store.admit(check()), Reply) for _ in range(10))
            store.close()
        finally:
            os.write(writing, outcome)
            os._exit(0)
    replies = [store.admit(check()) for _ in range(10)]
    os.waitpid(child, 0)
    assert b"10" == os.read(reading, 10)
    os.close(reading)
    os.close(writing)
    assert {Reply} == {type(reply) for reply in replies}
    assert 100 - 21 == HUNDRED.view(*view(store))[0]


def test_closing_leaves_nothing_and_the_store_can_be_used_again(redis_server):
    files, threads = open_files(), set(threading.enumerate())
    store = RedisStore(redis_server.url)
    for _ in range(3):
        assert isinstance(store.admit(check()), Reply)
        store.close()
        store.close()
        assert files == open_files()
    assert threads == set(threading.enumerate())


def test_closing_ends_an_attempt_to_connect():
    files, threads = open_files(), set(threading.enumerate())
    with FakeServer(greet=drip(b"+" + b"x" * 1000)) as fake:
        store = RedisStore(fake.url.replace("redis://", "redis://:pw@"))
        assert isinstance(store.admit(check()), Unavailable)
        began = time.monotonic()
        store.close()
        assert time.monotonic() - began < 0.5
    assert threads == set(threading.enumerate())
    assert files == open_files()
