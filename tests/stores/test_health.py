"""The store's own breaker: nobody waits for a server that is away, and its return is found within a second."""

import logging
import time

import pytest

from guardrail.stores.contact import TIMEOUT, Fault
from guardrail.stores.health import FAILURES, PAUSE_S, SOON_S, Health
from guardrail.stores.server import LEAST_DIAL_S, Server
from guardrail.stores.url import parse_store_url
from guardrail.telemetry.events import StoreBack, StoreLost, StoreWarned
from tests.stores.scene import Hand

LASTING = Fault("rights", "no right", lasts=True)


@pytest.fixture
def clock():
    return Hand()


@pytest.fixture
def news():
    return []


@pytest.fixture
def health(clock, news):
    health = Health("redis://h:6379/0", clock)
    health.follow(news.append)
    return health


def fail(health, times=FAILURES):
    for _ in range(times):
        health.failed(TIMEOUT)
    health.announce()


def probed(health, clock):
    """Let the next probe come due, and be answered."""
    clock.now += PAUSE_S[1]
    assert health.is_due()
    health.answered()


def test_four_failures_and_a_success_are_no_outage(health, news):
    for _ in range(3):
        fail(health, FAILURES - 1)
        assert not health.away
        health.well()
    assert [] == news


def test_five_failures_in_a_row_are_one_outage_that_is_told_once(health, news, caplog):
    fail(health, 2 * FAILURES)
    assert health.away
    assert [StoreLost("redis://h:6379/0", "timeout", TIMEOUT.message)] == news
    assert [("guardrail.store", logging.WARNING)] == [(name, level) for name, level, _ in caplog.record_tuples]


def test_what_does_not_pass_by_itself_needs_no_second_failure(health, news):
    health.failed(LASTING)
    health.announce()
    assert health.away
    assert ["rights"] == [event.error for event in news]
    assert "no right" == health.reason


def test_a_probe_is_due_within_a_second_and_only_one(health, clock):
    fail(health)
    assert not health.is_due()
    clock.now += PAUSE_S[0] - 0.001
    assert not health.is_due()
    clock.now += PAUSE_S[1] - PAUSE_S[0] + 0.001
    assert [True, False, False] == [health.is_due() for _ in range(3)]
    assert PAUSE_S[1] < 1


def test_probes_are_due_within_a_second_however_long_the_outage(health, clock):
    fail(health)
    for _ in range(100):
        clock.now += PAUSE_S[1]
        assert health.is_due()
        health.failed(TIMEOUT)


def test_a_probe_that_could_not_begin_is_due_soon(health, clock):
    fail(health)
    clock.now += PAUSE_S[1]
    assert health.is_due()
    health.postpone()
    assert not health.is_due()
    clock.now += SOON_S
    assert health.is_due()


def test_nothing_is_due_where_nothing_is_wrong(health):
    assert not health.is_due()


def test_the_first_call_after_a_probe_closes_it(health, clock, news, caplog):
    caplog.set_level(logging.INFO)
    fail(health)
    probed(health, clock)
    assert not health.away
    assert 1 == len(news)
    clock.now += 0.25
    health.well()
    health.announce()
    assert StoreBack("redis://h:6379/0", pytest.approx(PAUSE_S[1] + 0.25)) == news[1]
    assert "is back after" in caplog.text
    fail(health, FAILURES - 1)
    assert not health.away


def test_one_failure_after_a_probe_opens_it_again_without_a_word(health, clock, news):
    fail(health)
    probed(health, clock)
    health.failed(TIMEOUT)
    health.announce()
    assert health.away
    assert 1 == len(news)


def test_what_was_sent_before_the_outage_ends_nothing(health, news):
    fail(health)
    health.well()
    assert health.away
    assert 1 == len(news)


def test_a_probe_that_was_answered_late_opens_nothing(health):
    health.answered()
    assert not health.away


def test_a_refusal_says_when_the_store_is_looked_at_again(health, clock):
    assert PAUSE_S[0] * 1_000_000 == health.unavailable().retry_after_us
    fail(health)
    assert PAUSE_S[0] * 1_000_000 <= health.unavailable().retry_after_us <= PAUSE_S[1] * 1_000_000
    clock.now += 1
    assert 0 == health.unavailable().retry_after_us


def test_a_setting_is_warned_of_once(health, news):
    health.warn("maxmemory-policy", "allkeys-lru")
    health.warn("maxmemory-policy", "allkeys-lru")
    health.announce()
    assert [StoreWarned("redis://h:6379/0", "maxmemory-policy", "allkeys-lru")] == news


def test_a_follower_that_raises_changes_nothing(health, news, caplog):
    def raising(event):
        raise LookupError("gone")

    health.follow(raising)
    health.follow(news.append)
    fail(health)
    assert 2 == len(news)
    assert "LookupError" in caplog.text


def test_a_child_starts_with_a_lock_of_its_own(health):
    health._lock.acquire()
    health.after_fork()
    fail(health)
    assert health.away


def test_news_is_told_when_it_is_announced_and_in_order(health, news):
    health.failed(LASTING)
    assert [] == news
    inside = []
    health.follow(lambda _: (inside.append(1), health.warn("setting", "wrong"), health.announce()))
    health.announce()
    assert [StoreLost, StoreWarned] == [type(event) for event in news]
    assert [1, 1] == inside


def test_a_child_tells_nothing_of_what_its_parent_has_to_tell(health, news):
    health.failed(LASTING)
    health._announcing.acquire()
    health.after_fork()
    health.warn("setting", "wrong")
    health.announce()
    assert [StoreWarned] == [type(event) for event in news]


def test_failures_are_counted_by_their_word(health, clock):
    assert {} == health.errors
    fail(health, 2)
    health.failed(LASTING)
    fail(health, 1)  # while it is away too
    assert {"timeout": 3, "rights": 1} == health.errors
    probed(health, clock)
    health.well()
    assert {"timeout": 3, "rights": 1} == health.errors


def test_a_child_counts_from_0_and_knows_whether_the_store_is_away(health, clock):
    fail(health)
    health.after_fork()
    assert (True, TIMEOUT.message, 0, {}) == (health.away, health.reason, health.outages, health.errors)
    probed(health, clock)
    health.well()
    health.after_fork()
    assert (False, "") == (health.away, health.reason)


def test_log_lines_have_fields_for_programs(health, clock, caplog):
    caplog.set_level(logging.INFO)
    fail(health)
    probed(health, clock)
    health.well()
    health.warn("maxmemory-policy", "allkeys-lru")
    health.announce()
    fields = [{key: value for key, value in vars(one).items() if "guardrail" in key} for one in caplog.records]
    assert all("redis://h:6379/0" == one.pop("guardrail_store") for one in fields)
    assert [
        {"guardrail_event": "store_lost", "guardrail_error": "timeout"},
        {"guardrail_event": "store_back", "guardrail_seconds": pytest.approx(PAUSE_S[1])},
        {"guardrail_event": "store_warned", "guardrail_setting": "maxmemory-policy"},
    ] == fields


def test_outages_are_counted(health, clock):
    assert 0 == health.outages
    fail(health, 2 * FAILURES)
    assert 1 == health.outages
    probed(health, clock)
    assert 1 == health.outages
    fail(health, 1)
    assert 2 == health.outages


@pytest.mark.parametrize(("took_s", "patience_s"), [(None, 5.0), (0.01, LEAST_DIAL_S), (1.5, 3.0), (4.0, 5.0)])
def test_a_server_that_is_away_is_looked_for_every_second_whatever_the_timeout(took_s, patience_s):
    server = Server(parse_store_url("redis://h?timeout=5s"), None)
    server.took_s = took_s
    assert 5.0 == server.patience_s()
    server.health.failed(LASTING)
    assert patience_s == server.patience_s()
    assert server.probe_deadline() <= time.monotonic() + patience_s
