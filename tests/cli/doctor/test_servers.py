"""What `guardrail doctor` says of real servers: sound ones, and those that keep limits badly or not at all."""

from time import monotonic

from guardrail import Guard
from tests import servers
from tests.cli.doctor.scene import PATIENT, SOUND, seen_at
from tests.ports import HOST, free_port
from tests.servers import PATIENCE

# Sound servers -------------------------------------------------------------------------------------------------------


def test_a_sound_server(redis_server):
    report = seen_at(redis_server.url + PATIENT)
    assert SOUND == set(report.found)
    assert {"store.processes": "note"} == report.worse_than("ok")
    assert redis_server.version in report.sentence("store.version")
    assert 0 < report.found["store.connection"]["measured"]["connect_ms"]
    trips = report.found["store.round-trip"]["measured"]
    assert 0 < trips["best_ms"] <= trips["worst_ms"]
    assert (20, 20_000) == (trips["times"], trips["timeout_ms"])


def test_nothing_is_left_behind_and_nobody_is_counted(redis_server):
    seen_at(redis_server.url)
    assert 2 <= redis_server.calls("evalsha")
    assert 0 == redis_server.command("DBSIZE")


def test_keys_and_processes_are_counted(redis_server):
    with Guard([{"resource": "a", "kind": "limit", "rate": "9/h", "key": "user"}], store=redis_server.url) as guard:
        for number in range(7):
            guard.try_enter("a", {"user": f"u{number}"})
    redis_server.command("SET", "other:1", "x")
    redis_server.command("SET", "guardrail", "not behind the prefix")
    report = seen_at(redis_server.url)
    assert {"keys": 8, "whole": True, "database": 10} == report.found["store.keys"]["measured"]
    assert ("ok", 1) == (report.severity("store.processes"), report.found["store.processes"]["measured"]["processes"])


def test_a_prefix_is_taken_as_it_is_written(redis_server):
    redis_server.command("SET", r"a*[b]\?^-:1", "x")
    redis_server.command("SET", "axxbx:1", "x")
    report = seen_at(f"{redis_server.url}?prefix=a*[b]%5C%3F%5E-")
    assert 1 == report.found["store.keys"]["measured"]["keys"]


def test_a_search_that_would_take_too_long_ends_early(redis_server, monkeypatch):
    monkeypatch.setattr("guardrail.cli.doctor.keyspace.PAGES", 1)
    redis_server.client().mset({f"guardrail:{number}": "x" for number in range(3000)})
    report = seen_at(redis_server.url)
    assert not report.found["store.keys"]["measured"]["whole"]
    assert report.found["store.keys"]["found"].startswith("at least ")


def test_a_unix_socket(redis_server):
    report = seen_at(f"{redis_server.unix_url}&timeout=20s")
    assert {"store.processes": "note"} == report.worse_than("ok")
    assert "unix socket" in report.sentence("store.tls")


# Memory and disk -----------------------------------------------------------------------------------------------------


def test_a_policy_that_throws_limits_away(start_redis):
    report = seen_at(start_redis("maxmemory 100mb", "maxmemory-policy allkeys-lru").url)
    assert "warning" == report.severity("store.maxmemory-policy")
    assert "set maxmemory-policy to noeviction" in report.sentence("store.maxmemory-policy")
    assert 0 == report.code


def test_a_server_without_room(start_redis):
    server = start_redis("maxmemory-policy noeviction")
    server.command("CONFIG", "SET", "maxmemory", "1")
    report = seen_at(server.url)
    assert {"store.memory": "error", "store.scripts": "error"} == report.worse_than("warning")
    assert "raise maxmemory" in report.sentence("store.scripts")


def test_a_server_that_has_thrown_keys_away(start_redis):
    server = start_redis("maxmemory-policy allkeys-random")
    server.client().mset({f"other:{number}": "x" * 1000 for number in range(1000)})
    server.command("CONFIG", "SET", "maxmemory", server.info("memory")["used_memory"] - 200_000)
    server.command("SET", "one", "more")
    report = seen_at(server.url)
    assert "error" == report.severity("store.maxmemory-policy")
    assert 0 < report.found["store.maxmemory-policy"]["measured"]["evicted"]


def test_a_server_that_cannot_save(start_redis):
    server = start_redis("save 3600 1")
    (server.folder / "dump.rdb").mkdir()  # nothing can be saved under this name
    server.command("BGSAVE")
    until = monotonic() + PATIENCE
    while server.info("persistence")["rdb_last_bgsave_status"] != "err":
        assert monotonic() < until
    report = seen_at(server.url)
    assert "warning" == report.severity("store.saving")
    assert "error" == report.severity("store.scripts")


# Roles ---------------------------------------------------------------------------------------------------------------


def test_a_replica(start_redis):
    primary = start_redis()
    replica = start_redis(f"replicaof {HOST} {primary.port}")
    report = seen_at(replica.url)
    assert "error" == report.severity("store.role")
    assert f"{HOST}:{primary.port}" in report.sentence("store.role")


def test_a_server_of_a_cluster(start_redis, monkeypatch):
    """It listens 10,000 ports above its own too, which must not be one that others' connections are given."""
    port = next(port for port in iter(free_port, None) if port < 22_500)
    monkeypatch.setattr(servers, "free_port", lambda: port)
    report = seen_at(start_redis("cluster-enabled yes").url)
    assert "error" == report.severity("store.cluster")
    assert "error" == report.severity("store.scripts")
