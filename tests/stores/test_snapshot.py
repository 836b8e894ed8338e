"""What can be seen of a store: how long it took to answer, what went wrong how often, and whether it is away."""

import asyncio
import json
import os
import threading
from dataclasses import asdict
from time import monotonic, sleep

import pytest

from guardrail.stores.health import FAILURES, PAUSE_S
from guardrail.stores.protocol import Reply, Unavailable
from guardrail.stores.redis import RedisStore
from guardrail.stores.server import MANY
from guardrail.telemetry.histogram import Histogram
from guardrail.telemetry.snapshot import StoreSnapshot
from tests.ports import HOST, refusing_port
from tests.stores.scene import PATIENCE, FakeServer, Hand, check, drip, faulty, granting, until
from tests.telemetry.crowd import together

NOTHING = Histogram().view()
OOM = "-OOM command not allowed when used memory > 'maxmemory'.\r\n"


def answering(calls):
    """Answer calls like this, and all else as a server does."""
    return lambda words: calls if words[0] == b"EVALSHA" else granting(words)


def late(seconds):
    """Answer calls as a server does that takes its time."""

    def answer(words):
        if words[0] == b"EVALSHA":
            sleep(seconds)
        return granting(words)

    return answer


@pytest.fixture(params=["thread", "task"])
def ask(request):
    """Ask several times, one after another, from a thread or from a task."""

    def asked(store, times=1, **options):
        async def tasks():
            found = [await store.aadmit(check(), **options) for _ in range(times)]
            await store.aclose()
            return found

        if request.param == "task":
            return asyncio.run(tasks())
        return [store.admit(check(), **options) for _ in range(times)]

    return asked


def test_a_store_that_was_never_asked_has_nothing_to_say():
    with FakeServer() as fake:
        store = RedisStore(fake.url)
        assert StoreSnapshot(fake.url, True, "", 0, {}, NOTHING) == store.snapshot()
        assert 0 == fake.accepted


def test_every_answer_that_was_waited_for_is_counted(ask):
    with FakeServer() as fake:
        store = RedisStore(fake.url, timeout="30s")
        assert all(isinstance(one, Reply) for one in ask(store, 7))
        assert 7 == store.snapshot().seconds.count == len(fake.flights())
        store.close()


def test_times_that_nobody_looks_at_take_no_room(ask):
    with FakeServer() as fake:
        store = RedisStore(fake.url, timeout="30s")
        ask(store, 2 * MANY + 3)
        assert 3 == len(store._server.answer_times)
        assert 2 * MANY + 3 == store.snapshot().seconds.count
        store.close()


def test_calls_that_travel_together_are_one_question():
    async def ask(store):
        await asyncio.gather(*[store.aadmit(check(f"u{number}")) for number in range(100)])
        await store.aclose()

    with FakeServer() as fake:
        store = RedisStore(fake.url, timeout="30s")
        asyncio.run(ask(store))
        assert 1 == len(fake.flights())
        assert 1 == store.snapshot().seconds.count


def test_the_time_is_that_from_sending_to_the_answer(ask):
    with FakeServer(late(0.02)) as fake:
        store = RedisStore(fake.url, timeout="30s")
        began = monotonic()
        ask(store, 2)
        seconds = store.snapshot().seconds
        assert 0.04 < seconds.total < monotonic() - began
        assert seconds.quantile(0.5) >= 0.02
        store.close()


def test_the_time_to_connect_is_no_part_of_it(ask):
    def answer(words):
        if words[0] == b"SELECT":
            sleep(0.2)
        return granting(words)

    with FakeServer(answer) as fake:
        store = RedisStore(fake.url.removesuffix("0") + "1", timeout="30s")
        began = monotonic()
        ask(store)
        assert 1 == store.snapshot().seconds.count
        assert store.snapshot().seconds.total < monotonic() - began - 0.2
        store.close()


def test_what_nobody_waits_for_is_not_counted():
    """It is answered soon, but a thread hears of it when there is another call, which may be long after."""
    with FakeServer() as fake:
        store = RedisStore(fake.url, timeout="30s")
        began = monotonic()
        store.admit(check())
        spent = monotonic() - began
        store.owe(check("other"))
        until(lambda: len(fake.flights()) == 2)
        sleep(0.05)
        began = monotonic()
        store.admit(check())
        spent += monotonic() - began
        assert 2 == store.snapshot().seconds.count
        assert store.snapshot().seconds.total < spent
        store.close()


def test_lines_of_several_threads_and_loops_lose_nothing():
    with FakeServer() as fake:
        store = RedisStore(fake.url, timeout="30s")

        async def tasks():
            for _ in range(60):
                await store.aadmit(check())

        def work(number):
            if number % 2:
                asyncio.run(tasks())
            else:
                for _ in range(60):
                    store.admit(check())

        together(work)
        assert store.snapshot().seconds.count == len(fake.flights())
        assert store.snapshot().seconds.count > 4 * 60
        store.close()


#   what the server does                    the word for it
FAULTS = [
    (faulty("silent"), "timeout"),
    (answering(drip(b"$9\r\nx", 0.1)), "timeout"),
    (faulty("close"), "connection"),
    (faulty("garbage"), "protocol"),
    (faulty("other"), "protocol"),
    (answering(OOM.encode()), "memory"),
    (answering(b"-READONLY You can't write against a read only replica.\r\n"), "readonly"),
    (answering(b"-ERR user_script:7: attempt to index\r\n"), "script"),
]


@pytest.mark.parametrize(("answer", "word"), FAULTS, ids=[f"{place} {word}" for place, (_, word) in enumerate(FAULTS)])
def test_what_went_wrong_is_counted_by_one_word(ask, answer, word):
    with FakeServer(answer) as fake:
        store = RedisStore(fake.url, timeout="200ms" if word == "timeout" else "30s")
        assert all(isinstance(one, Unavailable) for one in ask(store, 2))
        found = store.snapshot()
        assert {word: 2} == dict(found.errors)
        assert (True, 0, 0) == (found.available, found.outages, found.seconds.count)
        assert found.reason
        store.close()


def test_who_is_not_there_is_counted_too(ask):
    with refusing_port() as port:
        store = RedisStore(f"redis://{HOST}:{port}/0", timeout="5s")
        ask(store)
        assert {"connection": 1} == dict(store.snapshot().errors)
        store.close()


def test_an_outage_is_seen_and_so_is_its_end():
    is_well = threading.Event()
    with FakeServer(lambda words: granting(words) if is_well.is_set() else answering(OOM.encode())(words)) as fake:
        store, hand = RedisStore(fake.url, timeout="30s"), Hand()
        store._health._now = hand
        for _ in range(FAILURES + 3):
            store.admit(check())
        away = store.snapshot()
        assert (False, 1, {"memory": FAILURES}) == (away.available, away.outages, dict(away.errors))
        assert "raise maxmemory" in away.reason
        is_well.set()
        until(lambda: hand.is_moved(PAUSE_S[1]) and isinstance(store.admit(check()), Reply))
        back = store.snapshot()
        assert (True, 1, 1) == (back.available, back.outages, back.seconds.count)
        assert away.reason == back.reason  # the last fault there was
        store.close()


def test_a_lost_connection_is_one_failure_however_many_calls_were_under_way():
    async def ask(store):
        found = await asyncio.gather(*[store.aadmit(check(f"u{number}")) for number in range(50)])
        await store.aclose()
        return found

    with FakeServer(faulty("close")) as fake:
        store = RedisStore(fake.url, timeout="30s")
        assert all(isinstance(one, Unavailable) for one in asyncio.run(ask(store)))
        assert {"connection": 1} == dict(store.snapshot().errors)


def test_what_is_seen_holds_no_password(caplog):
    """Not even where the server repeats it: one that knows no AUTH quotes what it does not understand."""
    secret = "canary-of-a-password"

    def answer(words):
        if words[0] == b"AUTH":
            return f"-ERR unknown command 'AUTH', with args beginning with: 'me' '{secret}' \r\n".encode()
        return granting(words)

    with FakeServer(answer) as fake:
        store, news = RedisStore(fake.url.replace("://", f"://me:{secret}@"), timeout="5s"), []
        store.follow(news.append)
        store.admit(check())
        store.admit(check())
        found = store.snapshot()
        assert {"scripting": 1} == dict(found.errors)
        assert "unknown command 'AUTH'" in found.reason
        assert secret not in f"{found} {news} {caplog.text}"
        assert news
        store.close()


def test_it_is_plain_values_and_does_not_change(ask):
    with FakeServer() as fake:
        store = RedisStore(fake.url, timeout="30s")
        ask(store)
        before = store.snapshot()
        store.admit(check())
        fake.answer = faulty("close")
        store.admit(check())
        assert (1, {}) == (before.seconds.count, before.errors)
        assert fake.url == json.loads(json.dumps(asdict(before)))["store"]
        store.close()


def test_a_child_begins_at_0():
    with FakeServer() as fake:
        store = RedisStore(fake.url, timeout="30s")
        for _ in range(3):
            store.admit(check())
        fake.answer = faulty("close")
        store.admit(check())
        fake.answer = granting
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                found = [store.snapshot()]
                store.admit(check())
                found.append(store.snapshot())
                os.write(writing, json.dumps([asdict(one) for one in found]).encode())
                store.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        first, then = json.loads(os.read(reading, 65536))
        os.close(reading)
        os.close(writing)
        assert (0, {}, 0, "") == (first["seconds"]["count"], first["errors"], first["outages"], first["reason"])
        assert (1, {}) == (then["seconds"]["count"], then["errors"])
        parents = store.snapshot()
        assert (3, {"connection": 1}) == (parents.seconds.count, parents.errors)
        store.close()


def test_a_child_of_one_that_has_lost_its_store_knows_that():
    with refusing_port() as port:
        store = RedisStore(f"redis://{HOST}:{port}/0", timeout="5s")
        for _ in range(FAILURES):
            store.admit(check())
        lost = store.snapshot()
        store.after_fork()
        found = store.snapshot()
        assert (False, lost.reason, 0, {}) == (found.available, found.reason, found.outages, dict(found.errors))
        store.close()


def test_a_real_server_answers_within_the_patience_of_a_test(redis_server, ask):
    store = RedisStore(redis_server.url, timeout="5s")
    ask(store, 5)
    found = store.snapshot()
    assert (5, True) == (found.seconds.count, found.available)
    assert 0 < found.seconds.quantile(1) < PATIENCE
    store.close()
