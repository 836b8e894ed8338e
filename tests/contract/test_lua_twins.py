"""The script says what core says: the same random histories through both, on every redis-server there is."""

from __future__ import annotations

from time import monotonic, sleep

import pytest
import redis

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.limit import LARGEST, Charge
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket
from guardrail.stores import scripts
from guardrail.stores.frames import Frames
from guardrail.stores.protocol import Check, Refund
from tests import servers
from tests.contract.twin_histories import PREFIX, play
from tests.servers import running

HISTORIES = 10_000
BUILDS = servers.builds()
PATIENCE = 20.0
LIMITS = [
    TokenBucket(10, 1_000_000, 5),
    LeakyBucket(5, 1_000_000, 1_000_000),
    SlidingWindow(5, 200_000),
    FixedWindow(5, 200_000),
    SlidingLog(5, 200_000),
]
names = [type(limit).__name__ for limit in LIMITS]


class RealRedis:
    """Send frames to a server as they are."""

    passed_ms = 20_000

    def __init__(self, server: servers.Server) -> None:
        self.build = server.build
        self.client = server.client()
        self.connection = redis.UnixDomainSocketConnection(path=str(server.socket), socket_timeout=PATIENCE)
        self.client.script_load(scripts.admit().source)
        self.frames = Frames(PREFIX)

    def run(self, frame: bytes) -> bytes:
        self.connection.send_packed_command([frame])
        answer = self.connection.read_response()
        assert isinstance(answer, bytes)
        return answer

    def lifetimes(self, keys: list[str]) -> tuple[int, list[int]]:
        pipeline = self.client.pipeline(transaction=False).dbsize()
        for key in keys:
            pipeline.pttl(key)
        count, *lifetimes = pipeline.execute()
        return count, lifetimes

    def clear(self) -> None:
        self.client.flushdb()

    def admit(self, *checks: Check, peek: bool = False, now_us: int | None = None):
        order = self.frames.admit_order(checks, peek=peek)
        return self.frames.replies(self.run(self.frames.frame([order], now_us)), [order])[0]


@pytest.fixture(scope="module", params=BUILDS, ids=str)
def target(request):
    with running(request.param) as server:
        real = RealRedis(server)
        yield real
        real.connection.disconnect()


@pytest.fixture(autouse=True)
def _clear(target):
    target.clear()


def test_there_is_a_server():
    assert BUILDS, servers.MISSING


def test_random_histories_come_out_as_core_says(target):
    """Other ones on each, 10,000 together."""
    for seed in range(BUILDS.index(target.build), HISTORIES, len(BUILDS)):
        play(seed, target)


# -- on the server's own time ------------------------------------------------------------------------------------------


def keys_are_gone(target) -> bool:
    until = monotonic() + PATIENCE
    while target.client.dbsize():
        if monotonic() > until:
            return False
        sleep(0.005)  # Redis expires on a clock of its own
    return True


@pytest.mark.parametrize("limit", LIMITS, ids=names)
def test_what_is_idle_goes_and_not_earlier(limit, target):
    before_us = wall_us(target)
    reply = target.admit(Check("{k}:rule", limit, 1, limit.max_wait_us))
    after_us = wall_us(target)
    assert reply.allowed
    assert before_us <= reply.now_us <= after_us
    charged = limit.charge(reply.states[0], reply.now_us, 1)
    lifetime_ms = target.client.pttl(f"{PREFIX}:{{k}}:rule")
    _, reset_after_us = limit.view(charged, reply.now_us)
    assert 0 < lifetime_ms <= -(-reset_after_us // 1_000)
    assert keys_are_gone(target)
    assert wall_us(target) >= reply.now_us + reset_after_us


def wall_us(target) -> int:
    seconds, micros = target.client.time()
    return seconds * 1_000_000 + micros


@pytest.mark.parametrize("limit", LIMITS, ids=names)
def test_a_charge_is_not_given_back_to_the_state_that_came_after_a_reset(limit, target):
    """Even where the clock that is given stands still."""
    check = Check("{k}:rule", limit, 1, limit.max_wait_us)
    first = target.admit(check, now_us=1_000)
    forget = target.frames.forget_order([check.key])
    target.run(target.frames.frame([forget], 1_000))
    target.admit(check, now_us=1_000)
    charge = Charge(1, 1_000, limit.charge(first.states[0], 1_000, 1))
    refund = target.frames.refund_order([Refund(check.key, limit, 1, charge, first.eras[0])])
    target.run(target.frames.frame([refund], 1_000))
    assert target.admit(check, peek=True, now_us=1_000).states == (limit.charge(limit.fresh(1_000), 1_000, 1),)


def test_nor_to_the_one_that_came_after_another_algorithm_in_the_same_batch(target):
    bucket, window = Check("{k}:rule", LIMITS[0], 1), Check("{k}:rule", LIMITS[3], 1)
    orders = [target.frames.admit_order([check], peek=False) for check in (bucket, window, bucket)]
    first, _, last = target.frames.replies(target.run(target.frames.frame(orders, 1_000)), orders)
    assert first.eras != last.eras


# -- a log of some length ----------------------------------------------------------------------------------------------


def test_a_long_log_is_written_in_parts_and_compacted(target):
    limit = SlidingLog(10_000, 10_000)
    orders = [target.frames.admit_order([Check("{k}:rule", limit, 1)], peek=False)] * 5
    target.client.config_resetstat()
    state = ()
    for now_us in range(0, 15_000, 5):
        state = limit.at(state, now_us)
        state = limit.charge(state, now_us, 5)
        target.run(target.frames.frame(orders, now_us))
    reply = target.admit(Check("{k}:rule", limit, 1), peek=True, now_us=15_000)
    assert limit.view(limit.at(state, 15_000), 15_000) == limit.view(reply.states[0], 15_000)
    stats = target.client.info("commandstats")
    assert stats["cmdstat_psetex"]["calls"] < 10
    assert stats["cmdstat_setrange"]["calls"] > 2_000
    assert target.client.strlen(f"{PREFIX}:{{k}}:rule") < 2.5 * 32 * 2_000


def test_a_log_that_owes_more_than_can_be_counted_still_counts(target):
    limit = SlidingLog(5, 1_000)
    for now_us in range(0, 3_000, 300):
        owe = target.frames.owe_order([Check("{k}:rule", limit, LARGEST)])
        target.run(target.frames.frame([owe] * 9, now_us))
        reply = target.admit(Check("{k}:rule", limit, 1), now_us=now_us)
        assert not reply.allowed
        assert (0, 1_000) == limit.view(reply.states[0], now_us)
    assert target.admit(Check("{k}:rule", limit, 5), now_us=3_700).allowed


# -- values that are none ----------------------------------------------------------------------------------------------

GARBAGE = ["", " ", "b", "b:", "b 1 100 5 0:", "b 1 100 5 0:1 2", "b 1 100 5 0:x y z", "b 0 0 0 0:1 2 3", "\0\xff"]
GARBAGE += ["z 1 2:3 4 5", "b 1 100 5 0:1 " + "9" * 40 + " 3", "w 5 200000:1 " + "9" * 400 + " 1", "l 5 200000:"]
GARBAGE += [f"{letter} 5 200000:1 2 3 4 5 6 7 8 x" for letter in "bfwlq"] + ["l 5 200000:1 0 5 0".ljust(95)]


@pytest.mark.parametrize("limit", LIMITS, ids=names)
@pytest.mark.parametrize("value", GARBAGE)
def test_a_value_that_cannot_be_read_is_no_state(value, limit, target):
    key = f"{PREFIX}:{{k}}:rule"
    target.client.set(key, value.encode("latin-1"))
    check = Check("{k}:rule", limit, 1, limit.max_wait_us)
    assert (True, (limit.fresh(7_000_000),)) == target.admit(check, now_us=7_000_000)[::2]
    assert (limit.charge(limit.fresh(7_000_000), 7_000_000, 1),) == target.admit(
        check, peek=True, now_us=7_000_000
    ).states
    assert target.client.pttl(key) > 0


def test_a_log_whose_entries_were_written_over_says_no_rather_than_nothing(target):
    limit = SlidingLog(5, 1_000_000)
    check, key = Check("{k}:rule", limit, 3), f"{PREFIX}:{{k}}:rule"
    target.admit(check, now_us=7_000_000)
    target.client.setrange(key, 96, "x" * 32)
    target.admit(check, now_us=7_000_000)
    assert target.client.pttl(key) > 0


@pytest.mark.parametrize("limit", LIMITS, ids=names)
def test_a_key_of_another_type_is_an_error_and_nothing_is_written(limit, target):
    target.client.rpush(f"{PREFIX}:{{k}}:list", "something")
    good, bad = Check("{k}:rule", limit, 1), Check("{k}:list", limit, 1)
    orders = [target.frames.admit_order([check], peek=False) for check in (good, bad)]
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        target.run(target.frames.frame(orders, None))
    assert 1 == target.client.dbsize()
    assert ["something"] == target.client.lrange(f"{PREFIX}:{{k}}:list", 0, -1)


# -- the other script --------------------------------------------------------------------------------------------------


def test_processes_are_counted_once_and_not_any_more_when_they_are_silent(target):
    beat = target.client.register_script(scripts.heartbeat().source)
    assert 1 == beat(["p:processes"], ["one", 60_000])
    assert 1 == beat(["p:processes"], ["one", 60_000])
    assert 0 < target.client.pttl("p:processes") <= 60_000
    assert 2 == beat(["p:processes"], ["two", 1])
    until = monotonic() + PATIENCE
    while beat(["p:processes"], ["one", 60_000]) != 1:
        assert monotonic() < until
        sleep(0.002)  # the time is the server's
