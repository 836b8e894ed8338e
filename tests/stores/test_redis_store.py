"""RedisStore: one object for threads, tasks and children; what it says of itself; what it forgets; who is alive."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import time

import pytest

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.limit import Charge
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.errors import StoreError
from guardrail.stores.heartbeat import EVERY_S, LIFETIME_MS
from guardrail.stores.protocol import Check, Refund, Reply, Unavailable
from guardrail.stores.redis import RedisStore
from guardrail.telemetry.events import StoreWarned
from guardrail.testing import FakeClock
from tests.ports import HOST, refusing_port
from tests.stores.scene import HUNDRED, PATIENCE, FakeServer, check, granting, left, until


@pytest.fixture(params=["thread", "task"])
def ask(request):
    """Ask from a thread, or from a task."""

    def asked(store, checks, **options):
        if request.param == "thread":
            return store.admit(checks, **options)
        return asyncio.run(store.aadmit(checks, **options))

    return asked


@pytest.fixture
def store(redis_server):
    store = RedisStore(redis_server.url, timeout="5s")
    yield store
    store.close()


def test_building_one_neither_connects_nor_needs_a_server():
    with FakeServer() as fake:
        RedisStore(fake.url)
        assert 0 == fake.accepted
    with refusing_port() as port:
        store = RedisStore(f"redis://{HOST}:{port}/0")
        assert isinstance(store.admit(check()), Unavailable)


def test_what_it_shows_holds_no_password():
    assert "RedisStore('redis://h:6379/2')" == repr(RedisStore("redis://u:s3cr3t@h/2"))


def test_a_wrong_url_is_said_when_it_is_built():
    with pytest.raises(ValueError, match="did you mean 'redis'"):
        RedisStore("redi://h")


def test_a_missing_client_is_said_when_it_is_built():
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from guardrail.stores.redis import RedisStore\n"
        "try:\n    RedisStore('redis://h')\n"
        "except ImportError as error:\n    print(error)"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert 'a store on Redis needs redis-py: pip install "guardrail-py[redis]"\n' == said


def test_nothing_to_ask_is_answered_without_a_server(ask):
    assert ask(RedisStore("redis://127.0.0.1:1"), []).allowed
    assert Reply(True, 7, (), ()) == ask(RedisStore("redis://127.0.0.1:1", clock=FakeClock(7)), [])


def test_threads_and_tasks_count_together(store, ask):
    assert isinstance(ask(store, check(cost=10)), Reply)
    assert isinstance(store.admit(check(cost=20)), Reply)
    assert 70 == left(store)
    assert not ask(store, check(cost=71)).allowed
    assert 70 == left(store)


def test_an_injected_clock_is_the_time_of_the_script(redis_server, ask):
    clock = FakeClock(5_000_000)
    store = RedisStore(redis_server.url, timeout="5s", clock=clock)
    assert clock is store.clock
    assert 5_000_000 == ask(store, check()).now_us
    clock.advance(36)
    assert 41_000_000 == ask(store, check(), peek=True).now_us
    assert 100 == left(store)
    store.close()


def test_what_is_given_back_and_what_is_owed(store):
    reply = store.admit(check(cost=10))
    charge_state = HUNDRED.charge(reply.states[0], reply.now_us, 10)
    store.give_back([Refund("{u}:rule", HUNDRED, 4, Charge(10, reply.now_us, charge_state), reply.eras[0])])
    until(lambda: 94 == left(store), "giving back")
    store.owe(check(cost=5))
    until(lambda: 89 == left(store), "owing")


def test_followers_learn_where_something_was_given_back_or_charged_when_that_is_done(store):
    places = []
    store.follow_returns(places.append)
    reply = store.admit(check("r", 10))
    store.give_back([Refund("{r}:rule", HUNDRED, 4, Charge(10, reply.now_us, (0, 0)), reply.eras[0])])
    store.owe(check("o"))
    store.admit(check())
    assert ["{r}:rule", "{o}:rule"] == places


def test_followers_learn_of_what_may_have_been_given_back_before_the_connection_was_lost(ask):
    with FakeServer() as fake:
        store, places = RedisStore(fake.url, timeout="5s"), []
        store.follow_returns(places.append)
        assert isinstance(ask(store, check()), Reply)
        fake.answer = lambda words: lambda client: client.shutdown(socket.SHUT_RDWR)

        async def both():
            store.owe(check("owes"))
            return await store.aadmit(check())

        assert isinstance(asyncio.run(both()), Unavailable)
        store.owe(check("owes"))
        assert isinstance(store.admit(check()), Unavailable)
        assert {"{owes}:rule"} == set(places)
        store.close()


def test_followers_learn_of_what_a_cancelled_call_was_granted():
    async def main(fake):
        store, places = RedisStore(fake.url, timeout="5s"), []
        store.follow_returns(places.append)
        await store.aadmit(check())
        fake.free.clear()
        task = asyncio.ensure_future(store.aadmit(check("gone")))
        async with asyncio.timeout(PATIENCE):
            while ["gone"] not in fake.flights():
                await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        fake.free.set()
        for _ in range(2):  # the second one is behind what the grant of the first one brought back
            await store.aadmit(check())
        assert ["{gone}:rule"] == places
        await store.aclose()

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_a_settlement_beyond_all_numbers_harms_nobody(redis_server):
    store = RedisStore(redis_server.url, timeout="5s")
    for limit in ALGORITHMS:
        reply = store.admit([Check("{u}:rule", limit, 1)])
        owed = limit.charge(reply.states[0], reply.now_us, 2**60)
        store.owe([Check("{u}:rule", limit, 2**60)])
        store.give_back([Refund("{u}:rule", limit, 2**60, Charge(2**60, reply.now_us, owed), reply.eras[0])])
        assert isinstance(store.admit(check("other")), Reply)
        assert isinstance(store.admit([Check("{u}:rule", limit, 1)], peek=True), Reply)
        store.forget("rule", None)
    assert (0, "") == (store._health._failures, store._health.reason)
    store.close()


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_over_a_unix_socket_too(redis_server, ask, scheme):
    store = RedisStore(redis_server.url if scheme == "tcp" else redis_server.unix_url, timeout="5s")
    assert isinstance(ask(store, check()), Reply)
    store.close()


# Forgetting ----------------------------------------------------------------------------------------------------------

OTHERS = ["rule", "other", "rule2", "my:rule", "a}:rule", "r*le", "ru?e"]


def fill(store, rules):
    for rule in rules:
        for user in ("u", "v"):
            store.admit([Check(f"{{{user}}}:{rule}", HUNDRED, 1)])


def kept(server):
    return sorted(key.partition("guardrail:")[2] for key in server.command("KEYS", "guardrail:{*"))


@pytest.mark.parametrize("way", ["forget", "aforget"])
@pytest.mark.parametrize("rule", OTHERS)
def test_a_rule_is_forgotten_and_no_other(redis_server, store, rule, way):
    fill(store, OTHERS)
    if way == "forget":
        store.forget(rule, None)
    else:
        asyncio.run(store.aforget(rule, None))
    assert sorted(f"{{{user}}}:{other}" for user in "uv" for other in OTHERS if other != rule) == kept(redis_server)


def test_some_keys_are_forgotten(redis_server, store):
    fill(store, ["rule"])
    store.forget("rule", ["{u}:rule", "{nobody}:rule"])
    assert ["{v}:rule"] == kept(redis_server)


def test_thousands_of_keys_are_forgotten(redis_server, store):
    for start in range(0, 3000, 250):
        store.admit([Check(f"{{u{number}}}:rule", HUNDRED, 1) for number in range(start, start + 250)])
    assert 3000 == len(kept(redis_server))
    store.forget("rule", None)
    assert [] == kept(redis_server)


@pytest.fixture
def refusing():
    """The URL of a server that is not there."""
    with refusing_port() as port:
        yield f"redis://{HOST}:{port}/0"


def test_forgetting_where_nobody_answers_is_a_sentence(refusing):
    store = RedisStore(refusing, timeout="20s")
    with pytest.raises(StoreError, match=r"redis://127.0.0.1:\d+/0 could not be asked to forget: .*refused"):
        store.forget("rule", ["{u}:rule"])
    with pytest.raises(StoreError, match="could not be asked to forget"):
        asyncio.run(store.aforget("rule", None))
    for _ in range(5):
        store.admit(check())
    began = time.monotonic()
    with pytest.raises(StoreError, match="could not be asked to forget"):
        store.forget("rule", None)
    assert time.monotonic() - began < 10
    until(lambda: store._lines.threads._port._dial is None, "the end of the probe")
    store.close()


def test_forgetting_without_the_right_to_look_says_so_and_limits_go_on():
    def answer(words):
        if words[0] == b"SCAN":
            return b"-NOPERM this user has no permissions to run the 'scan' command\r\n"
        return granting(words)

    with FakeServer(answer) as fake:
        store = RedisStore(fake.url, timeout="5s")
        with pytest.raises(StoreError, match=r"'scan' command; .*ACL SETUSER"):
            store.forget("rule", None)
        assert isinstance(store.admit(check()), Reply)
        fake.answer = lambda words: b":1\r\n" if words[0] == b"SCAN" else granting(words)
        with pytest.raises(StoreError, match="answers SCAN with 1"):
            store.forget("rule", None)
        store.close()


# Who is alive --------------------------------------------------------------------------------------------------------


def test_a_process_counts_once_whatever_number_of_stores_it_has(redis_server, ask):
    stores = [RedisStore(redis_server.url, timeout="5s") for _ in range(3)]
    for store in stores:
        assert 1 == store.live_processes()
        ask(store, check())
        assert 1 == store.live_processes()
    assert 1 == redis_server.command("ZCARD", "guardrail:processes")
    assert 0 < redis_server.command("PTTL", "guardrail:processes") <= LIFETIME_MS
    for store in stores:
        store.close()


def test_another_process_counts_until_it_has_been_silent_for_long(redis_server, store):
    store.admit(check())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            store.admit(check())
            os.write(writing, b"%d" % store.live_processes())
            store.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert b"2" == os.read(reading, 9)
    os.close(reading)
    os.close(writing)
    assert 1 == store.live_processes()
    store._server.heartbeat.due = 0.0
    store.admit(check())
    assert 2 == store.live_processes()
    (gone,) = [
        name for name in redis_server.command("ZRANGE", "guardrail:processes", 0, -1) if name.startswith(f"{child}-")
    ]
    redis_server.command("ZADD", "guardrail:processes", 1, gone)
    store._server.heartbeat.due = 0.0
    store.admit(check())
    assert 1 == store.live_processes()


def test_a_beat_travels_with_calls_and_no_oftener_than_needed():
    with FakeServer() as fake:
        store = RedisStore(fake.url, timeout="30s")
        for _ in range(20):
            store.admit(check())
        assert 1 == sum(b"guardrail:processes" in words for words in fake.heard)
        assert store._server.heartbeat.due <= time.monotonic() + EVERY_S
        store.close()


# First contact -------------------------------------------------------------------------------------------------------


def test_a_policy_that_would_refill_limits_is_told_once(start_redis, ask):
    server = start_redis("maxmemory 100mb", "maxmemory-policy allkeys-lru")
    store, news = RedisStore(server.url, timeout="5s"), []
    store.follow(news.append)
    for _ in range(3):
        assert isinstance(ask(store, check()), Reply)
        store.close()
    assert [StoreWarned] == [type(event) for event in news]
    assert "maxmemory-policy" == news[0].setting
    assert "set maxmemory-policy to noeviction" in news[0].message


def test_a_user_who_may_not_look_is_served(caplog):
    caplog.set_level("DEBUG", "guardrail.store")
    with FakeServer(lambda words: b"-NOPERM no\r\n" if words[0] == b"INFO" else granting(words)) as fake:
        store, news = RedisStore(fake.url, timeout="5s"), []
        store.follow(news.append)
        assert isinstance(store.admit(check()), Reply)
        assert [] == news
        assert re.search("INFO memory: NOPERM", caplog.text)
        store.close()


def test_a_server_without_scripting_is_told_of(ask):
    with FakeServer(
        lambda words: b"-ERR unknown command 'EVALSHA'\r\n" if words[0] == b"EVALSHA" else granting(words)
    ) as fake:
        store, news = RedisStore(fake.url, timeout="5s"), []
        store.follow(news.append)
        assert isinstance(ask(store, check()), Unavailable)
        assert ["scripting"] == [event.error for event in news]
        store.close()


READONLY = b"-READONLY You can't write against a read only replica.\r\n"


def replica_at_first(fake):
    """Be a replica for one call; behind the same name, the next connection finds the primary."""
    return lambda words: granting(words) if fake.accepted > 1 or words[0] != b"EVALSHA" else READONLY


def test_a_replica_is_left_for_whoever_answers_to_its_name():
    with FakeServer() as fake:
        fake.answer = replica_at_first(fake)
        store = RedisStore(fake.url, timeout="5s")
        assert [Unavailable, Reply] == [type(store.admit(check())) for _ in range(2)]
        store.close()


def test_tasks_leave_a_replica_too():
    async def main(fake):
        fake.answer = replica_at_first(fake)
        store = RedisStore(fake.url, timeout="5s")
        assert [Unavailable, Reply] == [type(await store.aadmit(check())) for _ in range(2)]
        await store.aclose()

    with FakeServer() as fake:
        asyncio.run(main(fake))


async def peeked(store, checks):
    reply = await store.aadmit(checks, peek=True)
    return [(state, reply.now_us) for state in reply.states]


ALGORITHMS = [HUNDRED, SlidingWindow(100, 60_000_000), FixedWindow(100, 60_000_000), SlidingLog(100, 60_000_000)]


@pytest.mark.parametrize("limit", ALGORITHMS, ids=lambda limit: type(limit).__name__)
def test_what_a_cancelled_call_was_granted_is_given_back_by_every_algorithm(redis_server, limit):
    checks = [Check("{u}:rule", limit, 3), Check("{u}:watched", limit, 3, 0, True), Check("{u}:free", limit, 0)]

    async def main():
        store = RedisStore(redis_server.url, timeout="5s")
        await store.aadmit([Check("{v}:rule", limit, 1)])
        for steps in range(8):
            task = asyncio.ensure_future(store.aadmit(checks))
            for _ in range(steps):
                await asyncio.sleep(0)
            if task.cancel():
                await asyncio.wait([task], timeout=PATIENCE)
            if not task.cancelled():
                await store.aforget("", [each.key for each in checks])
            async with asyncio.timeout(PATIENCE):
                while {100} != {limit.view(*seen)[0] for seen in await peeked(store, checks)}:  # it is given back soon
                    await asyncio.sleep(0.001)
        await store.aclose()

    asyncio.run(main())
