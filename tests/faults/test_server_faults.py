"""What servers do to a store: hang, forget, restart, refuse. Each refusal is told by its name, and passes within a second."""

import threading
from contextlib import contextmanager
from time import monotonic

import pytest
import redis

from guardrail.stores.protocol import Reply, Unavailable
from guardrail.telemetry.events import StoreBack, StoreLost, StoreWarned
from tests.faults.scene import FAILURES, FAST, HUNDRED, SHORT, calling
from tests.servers import PATIENCE


def executed(server):
    """How often the server was asked to run a script, whether or not it did."""
    return lambda: server.calls("evalsha")


@contextmanager
def paused(server):
    server.pause()
    try:
        yield
    finally:
        server.resume()


# The server does not answer ------------------------------------------------------------------------------------------


def test_a_server_that_stands_still(kind, server):
    with calling(kind, server.url, timeout=SHORT) as caller:
        assert 0 == caller.used()
        with paused(server):
            caller.fails()
            caller.was_in_time()
        caller.is_back()
        caller.told_of_outage("timeout")
        assert caller.used() <= FAILURES  # what it had in its buffers was done when it woke up, once


def test_a_server_that_stands_still_on_first_contact(kind, server):
    with calling(kind, server.url, timeout=SHORT) as caller:
        with paused(server):
            caller.fails()
            caller.was_in_time()
        caller.is_back()
        caller.told_of_outage("timeout")


def test_writes_that_are_paused(kind, server):
    with calling(kind, server.url, timeout=SHORT) as caller:
        assert 0 == caller.used()
        server.command("CLIENT", "PAUSE", 60_000, "WRITE")
        try:
            caller.fails()
            caller.was_in_time()
            assert server.client().get("nothing") is None  # only writes are
        finally:
            server.command("CLIENT", "UNPAUSE")
        caller.is_back()
        caller.told_of_outage("timeout")
        assert caller.used() <= FAILURES


def test_a_server_that_sleeps(kind, start_server, newest_build):
    server = start_server(*["enable-debug-command yes"] * (newest_build.version != "6.2"))
    with calling(kind, server.url, timeout=SHORT) as caller:
        assert 0 == caller.used()
        with blocked(server, "DEBUG", "SLEEP", "2") as asleep:
            await_silence(server)
            caller.fails(3)
            caller.was_in_time()
            assert asleep.is_alive()
        caller.is_back()
        assert caller.used() <= 3


def test_a_script_that_never_ends_is_not_ours_to_kill(kind, redis_server):
    redis_server.command("CONFIG", "SET", "lua-time-limit", 10)
    with calling(kind, redis_server.url) as caller:
        assert 0 == caller.used()
        with blocked(redis_server, "EVAL", "while true do end", 0) as script:
            await_refusal(redis_server, "BUSY")
            caller.fails()
            caller.was_in_time()
            assert script.is_alive()
            with pytest.raises(redis.exceptions.ResponseError, match="BUSY"):
                redis_server.command("PING")
            redis_server.command("SCRIPT", "KILL")
        caller.is_back()
        caller.told_of_outage("busy", "timeout")
        assert 0 == caller.used()


@contextmanager
def blocked(server, *words):
    """Let a connection of its own run a command that takes long."""

    def run():
        with redis.Redis(unix_socket_path=str(server.socket), socket_timeout=PATIENCE) as client:
            try:
                client.execute_command(*words)
            except redis.exceptions.ResponseError:  # killed
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(PATIENCE)


def await_silence(server):
    until = monotonic() + PATIENCE
    with redis.Redis(unix_socket_path=str(server.socket), socket_timeout=0.3, retry=None) as client:
        while monotonic() < until:
            try:
                client.ping()
            except redis.exceptions.TimeoutError:
                return
    raise AssertionError("it always answers")


def await_refusal(server, code):
    until = monotonic() + PATIENCE
    while monotonic() < until:
        try:
            server.command("PING")
        except redis.exceptions.ResponseError as refusal:
            if code in str(refusal):
                return
    raise AssertionError(f"never {code}")


# The server forgets --------------------------------------------------------------------------------------------------


def test_forgotten_scripts_are_loaded_again_and_nobody_notices(kind, redis_server):
    with calling(kind, redis_server.url) as caller:
        for _ in range(3):
            redis_server.command("SCRIPT", "FLUSH")
            assert isinstance(caller.ask(), Reply)
            assert isinstance(caller.ask(), Reply)
        assert 6 == caller.used()
        assert [] == caller.news


def test_a_server_that_starts_anew(kind, server):
    with calling(kind, server.url) as caller:
        assert isinstance(caller.ask(), Reply)
        before = server.pid
        server.restart()
        assert before != server.pid
        first, second = caller.ask(), caller.ask()  # the first may have found out
        assert isinstance(second, Reply), first
        assert caller.used() <= 2  # what was used before is forgotten, no more
        assert [] == caller.told(StoreLost)


def test_a_server_that_is_away_for_a_while(kind, server):
    with calling(kind, server.url) as caller:
        assert isinstance(caller.ask(), Reply)
        server.kill()
        try:
            caller.fails()
            caller.was_in_time(FAST)
            caller.is_on_its_own(lambda: 0)
        finally:
            server.start()
        caller.is_back()
        caller.told_of_outage("connection")
        assert 0 == caller.used()


# The server refuses --------------------------------------------------------------------------------------------------


def test_no_memory_to_write_with_writes_nothing(kind, redis_server):
    with calling(kind, redis_server.url) as caller:
        redis_server.command("CONFIG", "SET", "maxmemory", 1)
        try:
            caller.fails()
            caller.was_in_time(FAST)
            assert [] == redis_server.command("KEYS", "*{*")
            caller.is_on_its_own(executed(redis_server))
        finally:
            redis_server.command("CONFIG", "SET", "maxmemory", 0)
        caller.is_back()
        caller.told_of_outage("memory")
        assert 0 == caller.used()


def test_a_replica_is_no_store(kind, start_redis):
    replica = start_redis("replicaof 127.0.0.1 1")  # it answers whether or not its primary is there
    with calling(kind, replica.url) as caller:
        caller.fails()
        caller.was_in_time(FAST)
        with pytest.raises(redis.exceptions.ReadOnlyError):
            replica.command("SET", "a", 1)
        replica.command("REPLICAOF", "NO", "ONE")
        caller.is_back()
        caller.told_of_outage("readonly")


def test_a_server_that_still_loads(kind, start_server):
    server = start_server("key-load-delay 1000", "rdbcompression no")  # so many us for each of 2000
    with server.client().pipeline(transaction=False) as pipe:  # a server that loads looks up every 2 MB
        for number in range(2000):
            pipe.set(f"key{number}", "x" * 20_000)
        pipe.execute()
    server.command("SAVE")
    with calling(kind, server.url) as caller:
        server.restart()
        caller.fails()
        caller.is_back(within=10)
        caller.told_of_outage("loading")
        assert 0 == caller.used()


def test_a_server_that_cannot_save_refuses(kind, start_redis):
    server = start_redis("save 3600 1")
    with calling(kind, server.url) as caller:
        (server.folder / "dump.rdb").mkdir()  # nothing can be saved under this name
        assert isinstance(caller.ask(), Reply)
        server.command("BGSAVE")
        await_info(server, "persistence", "rdb_last_bgsave_status", "err")
        caller.fails()
        (server.folder / "dump.rdb").rmdir()
        server.command("BGSAVE")
        await_info(server, "persistence", "rdb_last_bgsave_status", "ok")
        caller.is_back()
        caller.told_of_outage("persistence")
        assert 1 == caller.used()


def await_info(server, section, name, value):
    until = monotonic() + PATIENCE
    while monotonic() < until:
        if server.info(section)[name] == value:
            return
    raise AssertionError(f"{name} is never {value}")


def test_evictions_that_would_refill_limits_are_told_once(kind, server):
    server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with calling(kind, server.url) as caller:
            for _ in range(3):
                assert isinstance(caller.ask(), Reply)
                server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                caller.ask()
            (warned,) = caller.told(StoreWarned)
    finally:
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert "maxmemory-policy" == warned.setting
    assert "allkeys-lru" in warned.message
    assert "noeviction" in warned.message


def test_no_warning_where_nothing_is_evicted(kind, server):
    with calling(kind, server.url) as caller:
        assert isinstance(caller.ask(), Reply)
        assert [] == caller.news


def test_an_unknown_database(kind, server):
    with calling(kind, server.url.replace("/0", "/99")) as caller:
        caller.fails(1)
        (lost,) = caller.told(StoreLost)
        assert "database" == lost.error


# Always --------------------------------------------------------------------------------------------------------------


def test_every_key_expires(kind, server):
    with calling(kind, server.url) as caller:
        for number in range(20):
            assert isinstance(caller.ask(f"user{number}"), Reply)
        assert 20 <= len(server.command("KEYS", "*"))
        assert [] == server.keys_for_ever()


def test_a_second_outage_is_told_again(server):
    with calling("threads", server.url) as caller:
        for outage in (1, 2):
            server.kill()
            caller.fails()
            server.start()
            caller.is_back()
            assert (outage, outage) == (len(caller.told(StoreLost)), len(caller.told(StoreBack)))


def test_a_cost_no_server_is_asked_for(kind, server):
    with calling(kind, server.url) as caller:
        reply = caller.ask(cost=HUNDRED.capacity + 1)
        assert isinstance(reply, Reply)
        assert not reply.allowed
        assert not isinstance(caller.ask(), Unavailable)
