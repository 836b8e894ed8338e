"""What is concluded from what a server says of itself, line by line."""

import pytest

from guardrail import RuleSet
from guardrail.cli.doctor.facts import Facts
from guardrail.cli.doctor.finding import Severity
from guardrail.cli.doctor.headroom import headroom_findings
from guardrail.cli.doctor.persistence import persistence_findings
from guardrail.cli.doctor.role import role_findings
from guardrail.cli.doctor.sharing import shared_limits
from guardrail.stores.resp import ErrorReply
from tests.cli.doctor.scene import judged

OK, NOTE, WARNING, ERROR = Severity


def facts(**told):
    return Facts("".join(f"{name}:{value}\r\n" for name, value in told.items()).encode())


#   told                                                                                  said of it
ROLES = [
    ({"redis_version": "7.0.15"}, {"version": OK}),
    ({"redis_version": "6.2.0"}, {"version": OK}),
    ({"redis_version": "10.1"}, {"version": OK}),
    ({"redis_version": "6.0.16"}, {"version": WARNING}),
    ({"redis_version": "5.0.7"}, {"version": WARNING}),
    ({"redis_version": "255.255.255"}, {"version": OK}),
    ({"redis_version": "new"}, {"version": OK}),
    ({"redis_version": "7.2.4", "valkey_version": "8.1.0"}, {"version": OK}),
    ({"role": "master", "connected_slaves": 2}, {"role": OK}),
    ({"role": "slave", "master_host": "a", "master_port": 6379}, {"role": ERROR}),
    ({"redis_mode": "sentinel"}, {"role": ERROR}),
    ({"cluster_enabled": 0}, {"cluster": OK}),
    ({"cluster_enabled": 1}, {"cluster": ERROR}),
    ({}, {}),
]


@pytest.mark.parametrize(("told", "said"), ROLES)
def test_what_kind_of_server_it_is(told, said):
    assert said == judged(role_findings(facts(**told)))


def test_valkey_is_called_by_its_name():
    (finding,) = role_findings(facts(redis_version="7.2.4", valkey_version="8.1.0"))
    assert "Valkey 8.1.0" == finding.found


def test_a_database_without_keys_is_not_told():
    told = facts(db0="keys=7,expires=5,avg_ttl=0", db2="keys=many")
    assert [7, 0, 0] == [told.keys_in(db) for db in range(3)]
    assert Facts(ErrorReply("NOPERM")).keys_in(0) is None


MEMORY = {"used_memory": 50, "maxmemory": 100, "maxmemory_policy": "noeviction"}

#   told                                                                                  said of it
ROOM = [
    (MEMORY, {"maxmemory-policy": OK, "memory": OK}),
    (MEMORY | {"used_memory": 89}, {"maxmemory-policy": OK, "memory": OK}),
    (MEMORY | {"used_memory": 90}, {"maxmemory-policy": OK, "memory": WARNING}),
    (MEMORY | {"used_memory": 100}, {"maxmemory-policy": OK, "memory": ERROR}),
    (MEMORY | {"used_memory": 100, "mem_not_counted_for_evict": 20}, {"maxmemory-policy": OK, "memory": OK}),
    (MEMORY | {"used_memory": 100, "maxmemory": 0}, {"maxmemory-policy": OK, "memory": OK}),
    (MEMORY | {"used_memory": 99, "maxmemory_policy": "allkeys-lfu"}, {"maxmemory-policy": WARNING, "memory": OK}),
    (MEMORY | {"maxmemory_policy": "volatile-ttl"}, {"maxmemory-policy": WARNING, "memory": OK}),
    (MEMORY | {"maxmemory_policy": "allkeys-lru", "maxmemory": 0}, {"maxmemory-policy": WARNING, "memory": OK}),
    (MEMORY | {"maxmemory_policy": "allkeys-lru", "evicted_keys": 1}, {"maxmemory-policy": ERROR, "memory": OK}),
    ({"connected_clients": 10, "maxclients": 100, "rejected_connections": 0}, {"clients": OK}),
    ({"connected_clients": 90, "maxclients": 100, "rejected_connections": 0}, {"clients": WARNING}),
    ({"connected_clients": 10, "maxclients": 100, "rejected_connections": 3}, {"clients": WARNING}),
    ({"connected_clients": 10}, {"clients": OK}),
    ({"used_memory": "much", "maxmemory": -1}, {}),
    ({}, {}),
]


@pytest.mark.parametrize(("told", "said"), ROOM)
def test_how_much_room_there_is(told, said):
    assert said == judged(headroom_findings(facts(**told)))


#   told                                                               longest limit   said of it
DISKS = [
    ({"aof_enabled": 1}, "5/d", {"persistence": OK}),
    ({"aof_enabled": 0}, "5/d", {"persistence": NOTE}),
    ({"aof_enabled": 0}, "5/h", {"persistence": NOTE}),
    ({"aof_enabled": 0}, "5/59min", {"persistence": OK}),
    ({"aof_enabled": 0}, None, {"persistence": OK}),
    ({"aof_enabled": 1, "loading": 1}, None, {"persistence": OK, "loading": ERROR}),
    ({"rdb_last_bgsave_status": "err"}, None, {"saving": WARNING}),
    ({"rdb_last_bgsave_status": "ok", "aof_last_write_status": "err"}, None, {"saving": WARNING}),
    ({"rdb_last_bgsave_status": "ok", "aof_last_write_status": "ok"}, None, {}),
]


@pytest.mark.parametrize(("told", "rate", "said"), DISKS)
def test_what_a_restart_forgets(told, rate, said):
    rules = RuleSet.parse([{"resource": "a", "kind": "limit", "rate": rate}]) if rate else None
    assert said == judged(persistence_findings(facts(**told), shared_limits(rules)))
