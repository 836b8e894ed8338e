"""Threads share one connection: one leads, all that wait travel along, in order, each within its own time."""

import gc
import os
import signal
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guardrail.stores.flight import Probe
from guardrail.stores.health import FAILURES, PAUSE_S
from guardrail.stores.protocol import Reply, Unavailable
from guardrail.stores.redis import RedisStore
from guardrail.stores.thread_line import GRACE_S, NOTHING, Seat
from guardrail.stores.thread_link import ThreadLink
from guardrail.telemetry.events import StoreBack, StoreLost, StoreWarned
from tests.ports import HOST, refusing_port
from tests.stores.scene import (
    FAULTS,
    PATIENCE,
    FakeServer,
    Hand,
    bulk,
    check,
    drip,
    faulty,
    granting,
    in_time,
    left,
    left_in,
    lost_and_found,
    open_files,
    until,
)

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
    reply = store.admit(checks)
    assert 300 == len(reply.states)


def test_who_waits_in_the_queue_leaves_at_its_own_deadline_and_is_never_sent(opened, fake):
    store = opened(fake.url, timeout="10s")
    with Crowd(store, fake) as crowd:
        store._server.timeout_s = 0.05
        late = crowd.pool.submit(store.admit, check("late"))
        assert isinstance(late.result(PATIENCE), Unavailable)
        fake.free.set()
        assert isinstance(crowd.answers["leader"].result(PATIENCE), Reply)
    assert [["first"], ["leader"]] == fake.flights()


def test_a_leader_without_time_lets_another_one_lead_its_flight(opened, fake):
    """A flight is given up when nobody on it has time left, not when the first one has none."""
    store = opened(fake.url, timeout="10s")
    server = store._server
    with Crowd(store, fake) as crowd:
        server.timeout_s = 1.0  # until then, all three have to be on their way
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
    until(fake.was_given_back, "what nobody took given back")


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


@pytest.mark.parametrize("fault", FAULTS)
def test_no_call_outlives_its_timeout(opened, fault):
    with FakeServer(faulty(fault)) as fake:
        store, spent = opened(fake.url), []
        for _ in range(FAILURES - 1):
            began = time.monotonic()
            assert isinstance(store.admit(check()), Unavailable)
            spent.append(time.monotonic() - began)
        in_time(spent, 0.05)
        assert 0 < len(fake.flights()) <= fake.accepted  # nothing of a broken conversation is believed


def test_a_server_that_drips_its_greeting_keeps_nobody(opened):
    with FakeServer(greet=drip(b"+" + b"x" * 400)) as fake:
        store, spent = opened(fake.url.replace("redis://", "redis://:pw@")), []
        store._server.dial_s = PATIENCE
        for _ in range(FAILURES - 1):
            began = time.monotonic()
            assert isinstance(store.admit(check()), Unavailable)
            spent.append(time.monotonic() - began)
        in_time(spent, 0.05)
        assert 1 == fake.accepted  # one attempt, whoever waits for it


def test_a_handshake_slower_than_the_timeout_is_there_for_later_calls(opened):
    ready = threading.Event()

    def answer(words):
        if words[0] == b"AUTH":
            ready.wait(PATIENCE)
        return granting(words)

    with FakeServer(answer) as fake:
        store = opened(fake.url.replace("redis://", "redis://:pw@"), timeout="250ms")
        store._server.dial_s = PATIENCE
        assert isinstance(store.admit(check()), Unavailable)
        ready.set()
        until(lambda: isinstance(store.admit(check()), Reply), "an answer")
        assert 1 == fake.accepted


def test_an_idle_connection_that_has_died_costs_no_call(opened, redis_server):
    store = opened(redis_server.url, timeout="5s")
    assert isinstance(store.admit(check()), Reply)
    news = []
    store.follow(news.append)
    for _ in range(6):
        redis_server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert isinstance(store.admit(check()), Reply)
    assert [] == news


def test_a_script_that_is_gone_is_loaded_again_and_nothing_counts_twice(opened, redis_server):
    store = opened(redis_server.url, timeout="5s")
    for _ in range(5):
        redis_server.command("SCRIPT", "FLUSH")
        assert isinstance(store.admit(check()), Reply)
    assert 95 == left(store)


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
    store, news, hand = opened(fake.url, timeout="5s"), [], Hand()
    store._health._now = hand
    store.follow(news.append)
    fake.answer = lambda words: b"-LOADING\r\n"
    for _ in range(FAILURES):
        assert isinstance(store.admit(check()), Unavailable)
    heard, began = len(fake.heard), time.monotonic()
    for _ in range(100):
        assert isinstance(store.admit(check()), Unavailable)
        store.give_back([])
    assert time.monotonic() - began < 5  # all of them together wait less than one may
    assert heard == len(fake.heard)
    fake.answer = granting
    until(lambda: hand.is_moved(PAUSE_S[1]) and isinstance(store.admit(check()), Reply), "recovery")
    assert [StoreLost, StoreBack] == [type(event) for event in news]


def test_a_signal_handler_that_raises_gives_back_what_is_granted_meanwhile(opened, fake):
    store, places = opened(fake.url, timeout="5s"), []
    store.follow_returns(places.append)
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
    until(fake.was_given_back, "giving back")
    fake.answer = granting
    assert isinstance(store.admit(check()), Reply)
    assert 1 == fake.accepted
    assert ["{struck}:rule"] == places


def waits_for_an_answer(store):
    """Tell whether the thread that leads sleeps in the system: it does not run, and no byte is between it and the socket."""
    link = store._lines.threads._port.link
    return (
        link is not None
        and not link.talk.busy
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
    store = opened(fake.url, timeout="5s")
    assert isinstance(store.admit(check()), Reply)
    line = store._lines.threads
    line._leader = Seat(NOTHING, time.monotonic() - GRACE_S - 1)
    assert isinstance(store.admit(check()), Reply)
    assert 2 == fake.accepted  # what it has done with the connection nobody knows


def test_what_nobody_waits_for_is_written_at_once_and_its_answer_skipped(opened, fake):
    store = opened(fake.url, timeout="10s")
    assert isinstance(store.admit(check()), Reply)
    fake.free.clear()
    began = time.monotonic()
    store.owe(check("owes"))
    store.owe(check("owes"))
    assert time.monotonic() - began < 5  # nothing is answered
    until(lambda: fake.flights()[1:], "the debt")
    fake.free.set()
    assert isinstance(store.admit(check("next")), Reply)
    assert [["u"], ["owes"], ["owes"], ["next"]] == fake.flights()


def test_what_is_sent_while_somebody_leads_needs_no_further_call(opened, fake):
    with Crowd(opened(fake.url, timeout="10s"), fake) as crowd:
        crowd.store.owe(check("owes"))
        fake.free.set()
        assert isinstance(crowd.answers["leader"].result(PATIENCE), Reply)
        until(lambda: ["owes"] in fake.flights(), "the debt")


def test_what_nobody_waits_for_needs_no_connection_yet(opened, fake):
    store = opened(fake.url, timeout="5s")
    store.owe(check("owes"))
    until(fake.flights, "the debt")
    assert [["owes"]] == fake.flights()


def test_what_nobody_waits_for_is_forgotten_where_nobody_listens(opened):
    with refusing_port() as port:
        store = opened(f"redis://{HOST}:{port}/0")
        for _ in range(10):
            store.owe(check("owes"))
        line = store._lines.threads
        until(lambda: not line._aside and line._port._dial is None, "the end of the attempt")
        assert isinstance(store.admit(check()), Unavailable)


def test_a_forked_child_has_a_connection_of_its_own(opened, redis_server):
    store = opened(redis_server.url, timeout="5s")
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
    assert 100 - 21 == left(store)


def test_closing_leaves_nothing_and_the_store_can_be_used_again(redis_server):
    gc.collect()  # what others left is not closed in the middle of this
    files, threads = open_files(), set(threading.enumerate())
    store = RedisStore(redis_server.url, timeout="5s")
    for _ in range(3):
        assert isinstance(store.admit(check()), Reply)
        store.close()
        store.close()
        assert files == open_files()
    assert threads == set(threading.enumerate())


def test_closing_ends_an_attempt_to_connect():
    gc.collect()
    files, threads = open_files(), set(threading.enumerate())
    with FakeServer(greet=drip(b"+" + b"x" * 10_000)) as fake:
        store = RedisStore(fake.url.replace("redis://", "redis://:pw@"))
        store._server.dial_s = PATIENCE
        assert isinstance(store.admit(check()), Unavailable)
        began = time.monotonic()
        store.close()
        assert time.monotonic() - began < PATIENCE / 2
    assert threads == set(threading.enumerate())
    assert files == open_files()


# What a signal handler, a late thread or another event breaks off -----------------------------------------------------


class StruckError(Exception):
    """Raised as by a signal handler, between two steps."""


class StruckSocket:
    """Send, and raise once right after it."""

    def __init__(self, connected):
        self.connected, self.is_armed = connected, True

    def __getattr__(self, name):
        return getattr(self.connected, name)

    def send(self, words):
        sent = self.connected.send(words)
        if self.is_armed:
            self.is_armed = False
            raise StruckError
        return sent


class StruckDeque(deque):
    """Take in what is asked, and raise once right after it."""

    is_armed = True

    def append(self, question):
        super().append(question)
        if self.is_armed:
            self.is_armed = False
            raise StruckError


def struck_while_boarding(store):
    talk = store._lines.threads._port.link.talk
    talk._open = StruckDeque(talk._open)


def test_what_was_sent_when_a_signal_struck_is_not_sent_again(opened, fake):
    store = opened(fake.url, timeout="5s")
    assert isinstance(store.admit(check()), Reply)
    link = store._lines.threads._port.link
    link._socket = StruckSocket(link._socket)
    with pytest.raises(StruckError):
        store._lines.threads.send(store._frames.owe_order(check("owes")))
    assert isinstance(store.admit(check("next")), Reply)
    assert [["u"], ["owes"], ["next"]] == sorted(fake.flights(), key=[["u"], ["owes"], ["next"]].index)
    assert 0 == store._health._failures


def test_a_signal_while_a_flight_boards_shifts_no_answer(opened, redis_server):
    store = opened(redis_server.url, timeout="5s")
    assert isinstance(store.admit(check("a", 60)), Reply)
    struck_while_boarding(store)
    with pytest.raises(StruckError):
        store.admit(check("a"))
    assert [(False, 40), (True, 100)] * 2 == [
        (reply.allowed, left_in(reply)) for reply in [store.admit(check(user, 70), peek=user == "b") for user in "abab"]
    ]
    assert 0 == store._health._failures


@pytest.mark.parametrize("boards", [False, True], ids=["before it boards", "after it has boarded"])
def test_who_was_to_travel_along_when_a_signal_struck_is_told_and_not_sent(opened, fake, boards):
    store = opened(fake.url, timeout="10s")
    line = store._lines.threads
    board = line._board

    def struck(*arguments):
        line._board = board
        if boards:
            board(*arguments)
        raise StruckError

    with Crowd(store, fake) as crowd:
        crowd.ask("second")
        crowd.ask("third")
        line._board = struck
        began = time.monotonic()
        fake.free.set()
        with pytest.raises(StruckError):
            crowd.answers["second"].result(PATIENCE)
        assert isinstance(crowd.answers["third"].result(PATIENCE), Unavailable)
        assert time.monotonic() - began < 5
        assert isinstance(store.admit(check("next")), Reply)
    assert [["first"], ["leader"], ["next"]] == fake.flights()


def test_a_call_that_is_broken_off_has_left_before_it_gives_back(opened, fake):
    """What it is granted between the two, the flight gives back."""
    store, seen = opened(fake.url, timeout="5s"), []
    line = store._lines.threads

    def lead(seat):
        raise StruckError

    line._lead, line._regret = lead, lambda seat: seen.append((seat.left, line._tell(seat, Reply(True, 0, (), ()))))
    with pytest.raises(StruckError):
        store.admit(check())
    assert [(True, False)] == seen


def test_what_was_sent_before_calls_began_travels_before_them(opened, fake):
    with Crowd(opened(fake.url, timeout="10s"), fake) as crowd:
        crowd.store.owe(check("owes"))
        crowd.ask("second")
        fake.free.set()
        assert isinstance(crowd.answers["second"].result(PATIENCE), Reply)
    assert [["first"], ["leader"], ["owes", "second"]] == fake.flights()


def test_what_was_sent_before_goes_ahead_where_there_is_no_room_beside_calls(opened, fake):
    with Crowd(opened(fake.url, timeout="20s"), fake) as crowd:
        for _ in range(300):
            crowd.store.owe(check("owes"))
        for number in range(250):
            crowd.ask(f"u{number}")
        fake.free.set()
        assert {Reply} == {type(answer.result(PATIENCE)) for answer in crowd.answers.values()}
    assert [1, 1, 256, 44, 250] == [len(users) for users in fake.flights()]


def test_an_answer_that_is_there_is_heard_though_the_deadline_has_passed(opened, fake):
    store = opened(fake.url, timeout="5s")
    assert isinstance(store.admit(check()), Reply)
    link, probe = store._lines.threads._port.link, Probe(store._server, 0.0)
    link.talk.board(probe)
    link.write()
    until(lambda: link._is_readable(0), "the answer")
    link.land(probe, time.monotonic() - 1)
    assert probe.landed


def test_what_goes_on_and_on_is_not_heard_beyond_the_deadline(opened, fake, monkeypatch):
    store, turns = opened(fake.url, timeout="5s"), []
    assert isinstance(store.admit(check()), Reply)
    monkeypatch.setattr(ThreadLink, "_hear", lambda _: turns.append(1) or len(turns) < 9)
    link = store._lines.threads._port.link
    link._is_readable = lambda _: True
    with pytest.raises(TimeoutError):
        link.land(Probe(store._server, 0.0), time.monotonic() - 1)
    assert [1] == turns


def test_a_leader_that_comes_late_is_no_failure_of_the_server(opened, fake):
    store, given_up = opened(fake.url, timeout="10s"), threading.Event()
    assert isinstance(store.admit(check()), Reply)
    line = store._lines.threads
    link = line._port.link
    link._is_readable = lambda ms: given_up.wait(ms / 1000)
    fake.free.clear()
    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(store.admit, check("late"))
        until(lambda: ["late"] in fake.flights(), "the flight of the leader")
        line._leader.deadline = time.monotonic() - GRACE_S - 1
        second = pool.submit(store.admit, check("second"))
        until(lambda: line._port.link not in {None, link}, "another connection")
        given_up.set()
        assert isinstance(late.result(PATIENCE), Unavailable)
        fake.free.set()
        assert isinstance(second.result(PATIENCE), Reply)
    assert (0, "") == (store._health._failures, store._health.reason)


def test_closing_is_no_failure_of_the_server(opened, fake):
    store = opened(fake.url, timeout="10s")
    with Crowd(store, fake) as crowd:
        store.close()
        assert isinstance(crowd.answers["leader"].result(PATIENCE), Unavailable)
    assert (0, "") == (store._health._failures, store._health.reason)


def test_a_connection_from_before_an_outage_is_not_used_after_it(opened, fake):
    store = opened(fake.url, timeout="5s")
    assert isinstance(store.admit(check()), Reply)
    lost_and_found(store._health)
    assert isinstance(store.admit(check()), Reply)
    assert 2 == fake.accepted
    assert 0 == store._health._failures


ALLKEYS = b"maxmemory_policy:allkeys-lru\r\n"


def test_a_listener_may_ask_and_keeps_nobody_waiting(opened):
    """On first contact, when the server is lost, and when it is back."""
    with FakeServer(lambda words: bulk(ALLKEYS) if words[0] == b"INFO" else granting(words)) as fake:
        store, heard = opened(fake.url, timeout="20s"), []

        def listen(event):
            heard.append((type(event), type(store.admit(check("listener")))))

        store.follow(listen)
        began = time.monotonic()
        assert isinstance(store.admit(check()), Reply)
        lost_and_found(store._health)
        assert isinstance(store.admit(check()), Reply)
        assert time.monotonic() - began < 10
        assert [(StoreWarned, Reply), (StoreLost, Reply), (StoreBack, Reply)] == heard
