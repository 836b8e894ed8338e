"""What networks do to a store: every call ends in time, nothing is charged twice, and it is back within a second."""

import socket
from time import monotonic

import pytest

from guardrail.stores.protocol import Reply, Unavailable
from guardrail.telemetry.events import StoreLost
from tests.faults.scene import FAILURES, FAST, LATE, SHORT, TIMEOUT, calling
from tests.servers import HOST

# what the proxy does, and what proves that it did
KEPT_WAITING = {
    "silent": (lambda proxy: proxy.silent(), "unanswered"),
    "a black hole": (lambda proxy: proxy.blackhole(), "held"),
    "late": (lambda proxy: proxy.delay(2.0), "delayed"),
    "dripping": (lambda proxy: proxy.drip(0.02), "dripped"),
    "answers lost": (lambda proxy: proxy.drop_reply(), "swallowed"),
}
CUT_OFF = {
    "reset": (lambda proxy, nth: proxy.rst(after=b"{u}", nth=nth), "reset"),
    "closed": (lambda proxy, nth: proxy.close(after=b"{u}", nth=nth), "closed"),
}


def touched(proxy):
    """How often anything reached the other side."""
    return lambda: proxy.seen["connections"] + proxy.seen["requests"] + proxy.seen["unanswered"]


@pytest.mark.parametrize("fault", KEPT_WAITING)
def test_a_call_ends_at_its_deadline_on_a_connection_that_was_well(kind, proxy, fault):
    does, proof = KEPT_WAITING[fault]
    with calling(kind, proxy.url, proxy=proxy, timeout=SHORT) as caller:
        assert 0 == caller.used()
        does(proxy)
        caller.fails()
        caller.was_in_time()
        proxy.await_seen(lambda seen: seen[proof] >= 1)
        caller.is_on_its_own(touched(proxy))
        proxy.heal()
        caller.is_back()
        caller.told_of_outage("timeout")
        assert caller.used() <= FAILURES


@pytest.mark.parametrize("fault", KEPT_WAITING)
def test_a_call_ends_at_its_deadline_on_first_contact(kind, proxy, server, fault):
    does, proof = KEPT_WAITING[fault]
    with calling(kind, proxy.url, proxy=proxy, timeout=SHORT) as caller:
        does(proxy)
        caller.fails()
        caller.was_in_time()
        if fault == "a black hole":
            with pytest.raises(TimeoutError):
                socket.create_connection((HOST, proxy.port), 0.05)
        else:
            proxy.await_seen(lambda seen: seen[proof] >= 1)
        caller.is_on_its_own(touched(proxy))
    assert server.calls("evalsha") <= 2 * FAILURES  # a heartbeat each


def test_an_answer_that_is_lost_was_charged_once(kind, proxy):
    with calling(kind, proxy.url, proxy=proxy, timeout="1s") as caller:
        assert isinstance(caller.ask(), Reply)
        proxy.drop_reply(after=b"{u}", nth=1)
        assert isinstance(caller.ask(), Unavailable)
        proxy.await_seen(lambda seen: seen["swallowed"] == 1)
        assert 2 == caller.used()
        assert isinstance(caller.ask(), Reply)
        assert 3 == caller.used()


def test_an_answer_that_comes_too_late_is_not_taken_for_another(kind, proxy):
    with calling(kind, proxy.url, proxy=proxy, timeout=SHORT) as caller:
        assert 0 == caller.used("other")
        proxy.delay(10 * TIMEOUT, after=b"{u}", nth=1)
        assert isinstance(caller.ask("u", cost=7), Unavailable)
        assert 0 == caller.used("other")
        proxy.await_seen(lambda seen: seen["delayed"] == 1)
        assert (7, 0) == (caller.used("u"), caller.used("other"))


@pytest.mark.parametrize("fault", CUT_OFF)
def test_a_connection_that_ends_instead_of_an_answer_was_charged_once(kind, proxy, fault):
    does, proof = CUT_OFF[fault]
    with calling(kind, proxy.url, proxy=proxy) as caller:
        assert isinstance(caller.ask(), Reply)
        does(proxy, 1)
        caller.fails(1)
        caller.was_in_time(most=FAST)  # it need not wait to know
        assert 1 == proxy.seen[proof]
        assert 2 == caller.used()
        assert isinstance(caller.ask(), Reply)
        assert 3 == caller.used()


@pytest.mark.parametrize("fault", CUT_OFF)
def test_connections_that_always_end_are_given_up_like_any_other_fault(kind, proxy, fault):
    does, proof = CUT_OFF[fault]
    with calling(kind, proxy.url, proxy=proxy) as caller:
        assert 0 == caller.used()
        does(proxy, 0)
        caller.fails()
        assert FAILURES == proxy.seen[proof]
        caller.is_on_its_own(touched(proxy))
        proxy.heal()
        caller.is_back()
        caller.told_of_outage("connection")
        assert FAILURES == caller.used()


def test_a_connection_that_was_cut_while_nobody_used_it_costs_at_most_one_call(kind, proxy):
    with calling(kind, proxy.url, proxy=proxy) as caller:
        assert isinstance(caller.ask(), Reply)
        for _ in range(3):
            proxy.cut()
            first, second = caller.ask(), caller.ask()
            assert isinstance(second, Reply), first
        assert proxy.seen["reset"] == 3
        assert [] == caller.told(StoreLost)


def test_refused_is_known_at_once(kind, proxy):
    with calling(kind, proxy.url, proxy=proxy) as caller:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, proxy.port), 1)
        caller.fails()
        caller.was_in_time(most=FAST)
        caller.is_on_its_own(touched(proxy))
        proxy.heal()
        assert 1 == caller.is_back().allowed
        caller.told_of_outage("connection")


def test_a_server_that_goes_away_is_known_at_once(kind, proxy):
    with calling(kind, proxy.url, proxy=proxy) as caller:
        assert isinstance(caller.ask(), Reply)
        proxy.refuse()
        caller.fails()
        caller.was_in_time(most=FAST)
        assert 1 == proxy.seen["reset"]
        proxy.heal()
        caller.is_back()
        caller.told_of_outage("connection")


def test_what_does_not_speak_redis_is_called_so(kind):
    with socket.create_server((HOST, 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        from threading import Thread

        answering = Thread(target=answer)
        answering.start()
        with calling(kind, f"redis://{HOST}:{listener.getsockname()[1]}/0", timeout=SHORT) as caller:
            caller.fails(1)
            caller.was_in_time()
            answering.join(5)
            caller.fails(FAILURES)
            assert [] != caller.told(StoreLost)


def test_the_event_loop_goes_on_while_the_store_does_not_answer(proxy):
    with calling("tasks", proxy.url, proxy=proxy, timeout="1s") as caller:
        assert 0 == caller.used()
        proxy.silent()
        with caller.loop.watched():
            began = monotonic()
            caller.fails(1)
            assert 1 - LATE <= monotonic() - began
        proxy.await_seen(lambda seen: seen["unanswered"] >= 1)
        assert caller.loop.longest_pause < 0.5 + caller.metronome.late
