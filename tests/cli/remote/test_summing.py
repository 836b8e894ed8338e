"""Counts of several processes add up; rates are differences of two looks at the same process."""

import json
from dataclasses import replace

import pytest

from guardrail.cli.remote.following import is_same
from guardrail.cli.remote.restoring import OtherVersion, restored
from guardrail.cli.remote.summing import picture_of
from guardrail.telemetry.histogram import Distribution
from tests.cli.remote.scene import AT, breaker, breakers, bulkhead, hot, rule, sight, snapshot, store
from tests.control.scene import guard_of


def through_json(one):
    return restored(json.loads(json.dumps(one.to_dict())))


def test_what_comes_back_from_json_is_what_was_sent():
    guard = guard_of()
    for user in "ab" * 20:
        guard.try_enter("orders", {"user": user}).exit()
    guard.breakers["payments"].force_open()
    guard.try_enter("payments.charge").exit()
    sent = replace(guard.snapshot(), counts=(), latencies=())
    back = through_json(sent)
    assert replace(sent, rules=(), breakers=()) == replace(back, rules=(), breakers=())
    assert [replace(one, waited=None) for one in sent.rules] == [replace(one, waited=None) for one in back.rules]
    assert [one.notable for one in sent.breakers] == [one.notable for one in back.breakers]


def test_what_a_newer_process_says_beyond_that_is_overlooked():
    plain = snapshot(rule()).to_dict()
    plain["weather"] = "fine"
    plain["rules"][0]["colour"] = "red"
    plain["reload"]["mood"] = "good"
    assert "r" == restored(plain).rules[0].name


@pytest.mark.parametrize("field", ["rules", "reload", "at", "pid", "store", "hot_keys"])
def test_what_an_older_one_does_not_say_is_named(field):
    plain = snapshot(rule()).to_dict()
    del plain[field]
    with pytest.raises(OtherVersion, match="another version of guardrail"):
        restored(plain)


@pytest.mark.parametrize(
    "plain", [{}, {"rules": 1}, {"rules": [1]}, snapshot(rule()).to_dict() | {"rules": [{"name": "r"}]}]
)
def test_what_is_no_snapshot_is_none(plain):
    with pytest.raises(OtherVersion):
        restored(plain)


def test_counts_add_up_over_processes():
    one = rule(allowed=10, refused=2, shadow_refused=3, errors=1)
    other = rule(allowed=100, refused=20, shadow_refused=30, errors=10)
    [summed] = picture_of([sight(snapshot(one)), sight(snapshot(other, pid=2), place="127.0.0.1:9912")]).rules
    assert (165, 22, 33, 11) == (summed.asked, summed.refused, summed.would_refuse, summed.errors)
    assert summed.calls_per_s is None  # one look is not enough for a rate


def test_rates_are_differences_over_the_time_between_two_looks():
    before, now = rule(allowed=100, refused=10, shadow_refused=1), rule(allowed=160, refused=30, shadow_refused=9)
    [summed] = picture_of([sight(snapshot(now), snapshot(before), seconds=2.0)]).rules
    assert (44.0, 10.0, 4.0) == (summed.calls_per_s, summed.refused_per_s, summed.would_refuse_per_s)
    assert 28 == summed.recent_refused


def test_rates_add_up_even_where_looks_are_not_equally_long():
    first = sight(snapshot(rule(allowed=20)), snapshot(rule(allowed=10)), seconds=1.0)
    second = sight(snapshot(rule(allowed=60)), snapshot(rule(allowed=20)), seconds=4.0)
    assert 20.0 == picture_of([first, second]).rules[0].calls_per_s


def test_waits_are_counted_and_their_mean_is_of_the_last_ones():
    before = rule(waited=Distribution(10, 100.0, ()))
    now = rule(waited=Distribution(14, 101.0, ()))
    [summed] = picture_of([sight(snapshot(now), snapshot(before), seconds=2.0)]).rules
    assert (2.0, 0.25) == (summed.waits_per_s, summed.wait_mean_s)


def test_a_rule_that_is_new_since_the_last_look_has_no_rate_yet():
    now = snapshot(rule("old", allowed=5), rule("new", allowed=5))
    rates = [one.calls_per_s for one in picture_of([sight(now, snapshot(rule("old")))]).rules]
    assert [5.0, None] == rates


def test_a_process_that_has_gone_is_not_in_the_sums():
    there = sight(snapshot(rule(allowed=1)))
    gone = sight(snapshot(rule(allowed=100)), trouble="nobody listens at 127.0.0.1:9912", away_s=3.0)
    picture = picture_of([there, gone])
    assert 1 == picture.rules[0].asked
    assert [None, "nobody listens at 127.0.0.1:9912"] == [one.trouble for one in picture.sources]


def test_where_all_have_gone_the_last_that_is_known_stays():
    assert 100 == picture_of([sight(snapshot(rule(allowed=100)), trouble="gone")]).rules[0].asked


@pytest.mark.parametrize(
    ("after", "same"),
    [
        (snapshot(rule(allowed=6)), True),
        (snapshot(rule(allowed=5)), True),
        (snapshot(rule(allowed=4)), False),  # another guard in the same process
        (snapshot(rule(allowed=6), pid=2), False),
        (snapshot(), True),  # the rule was taken away
        (snapshot(rule(allowed=5), rule("new")), True),
    ],
)
def test_a_process_that_began_anew_is_known_by_its_pid_or_its_counts(after, same):
    assert same == is_same(snapshot(rule(allowed=5)), after)


def test_modes_that_differ_are_both_named():
    both = [sight(snapshot(rule(mode="enforce"))), sight(snapshot(rule(mode="shadow")))]
    assert "enforce or shadow" == picture_of(both).rules[0].mode


def test_of_a_breaker_in_several_processes_the_worst_is_told():
    opened = breaker("open", reason="5 failed in a row", moved_at=AT - 12, retry_after=3.0)
    first = snapshot(breakers=(breakers("pay", {"closed": 1}, pay=breaker(calls=10, failures=1)),))
    second = snapshot(breakers=(breakers("pay", {"open": 1}, pay=opened),))
    [summed] = picture_of([sight(first), sight(second)]).breakers
    assert {"closed": 1, "open": 1} == summed.states
    assert ("open", "5 failed in a row", 12.0, 3.0) == (
        summed.state,
        summed.reason,
        summed.since_s,
        summed.retry_after_s,
    )


def test_breakers_that_are_not_named_are_counted():
    states = {"closed": 900, "open": 35, "half_open": 1, "forced_open": 0}
    now = snapshot(breakers=(breakers("pay", states, pay_u1=breaker("open"), pay_u2=breaker("half_open")),))
    found = picture_of([sight(now)]).breakers
    assert [("pay/u1", {"open": 1}), ("pay/u2", {"half_open": 1}), ("pay (others)", {"open": 34})] == [
        (one.name, one.states) for one in found
    ]


def test_bulkheads_add_up_and_the_fullest_is_kept():
    first = snapshot(bulkheads=(bulkhead(in_use=12, waiting=1, fullest=10, count=3),))
    second = snapshot(bulkheads=(bulkhead(in_use=1, waiting=2, fullest=1, count=0),))
    [summed] = picture_of([sight(first), sight(second)]).bulkheads
    assert (13, 40, 3, 10, 10) == (summed.in_use, summed.places, summed.waiting, summed.fullest, summed.capacity)


def test_a_key_that_is_hot_in_several_processes_is_one():
    first = snapshot(hot_keys=(hot("r", "a", 10, 2), hot("r", "b", 15)))
    second = snapshot(hot_keys=(hot("r", "a", 10, 5), hot("s", "a", 1)))
    found = picture_of([sight(first), sight(second)]).hot_keys
    assert [("r", "a", 20, 7), ("r", "b", 15, 0), ("s", "a", 1, 0)] == [
        (one.rule, one.key, one.calls, one.refused) for one in found
    ]


def test_a_store_that_is_away_for_one_process_is_said_to_be():
    well = store(seconds=Distribution(2, 0.1, (0, 2)))
    away = store(
        available=False, reason="timed out", outages=1, errors={"timeout": 7}, seconds=Distribution(2, 9, (2,))
    )
    [summed] = picture_of([sight(snapshot(store=well)), sight(snapshot(store=away))]).stores
    assert (2, 1, "timed out", 7, 1) == (summed.processes, summed.away, summed.reason, summed.errors, summed.outages)
    assert (1e-6, 2e-6) == (summed.p50, summed.p99)


def test_processes_that_go_by_different_rules_are_seen():
    old, new = snapshot(), snapshot()
    new = replace(
        new, reload=replace(new.reload, revision="def456", reloads=2, failures=1, error="rules/a.yaml:1:1: no")
    )
    found = picture_of([sight(old), sight(new), sight(old)]).rules_in_force
    assert [("abc123", 2, 60.0, None), ("def456", 1, 60.0, "rules/a.yaml:1:1: no")] == [
        (one.revision, one.processes, one.age_s, one.error) for one in found
    ]
