"""Counts: none is lost, room is bounded, and the hottest keys are the ones that call most."""

import random
from collections import Counter

import pytest

from guardrail.telemetry import counts as module
from guardrail.telemetry.counts import MOST_KEYS, MOST_NAMES, MOST_TALLIES, OTHER, SAMPLED, Counts, HotKeys, Tally
from guardrail.telemetry.histogram import Histogram
from guardrail.telemetry.sketch import Sketch
from tests.telemetry.crowd import THREADS, together

EACH = 50_000
EVERYTHING = 10_000


def tally():
    return Counts().tally("GET /", "per-user")


def calls_of(keys):
    """How many calls each key is said to have made."""
    return {one.key: one.calls for one in keys.top(EVERYTHING)}


def allow(tally, keys):
    """Let calls with these keys go ahead."""
    for key in keys:
        tally.let_in(key)


# What is counted


def test_a_tally_tells_calls_apart_by_what_became_of_them():
    one = tally()
    allow(one, "aab")
    one.keep_out("a", watching=False)
    one.keep_out("b", watching=True)
    one.keep_out("b", watching=True)
    one.errors += 1
    assert (3, 1, 2, 1) == (one.allowed, one.refused, one.shadow_refused, one.errors)


def test_threads_that_count_without_a_lock_lose_nothing():
    """The law of this module: nothing is called between reading a number and writing it."""
    one = tally()
    one.due = THREADS * EACH + 1

    def count(_):
        for _ in range(EACH):
            one.allowed += 1

    together(count)
    assert THREADS * EACH == one.allowed


def test_threads_that_count_with_keys_lose_no_call():
    counts = Counts()
    one = counts.tally("GET /", "per-user")

    def count(number):
        for turn in range(2_000):
            one.let_in(f"user {number}")
            one.keep_out(f"user {number}", watching=turn % 2 == 0)

    together(count)
    assert (2_000 * THREADS, 1_000 * THREADS, 1_000 * THREADS) == (one.allowed, one.refused, one.shadow_refused)
    assert {f"user {number}" for number in range(THREADS)} >= set(calls_of(counts.keys["per-user"]))


def test_a_pair_has_one_tally():
    counts = Counts()
    first = counts.tally("GET /", "per-user")
    assert first is counts.tally("GET /", "per-user")
    assert first is not counts.tally("GET /a", "per-user")
    assert first is not counts.tally("GET /", "per-tenant")
    assert ("GET /", "per-user") == (first.resource, first.rule)


def test_times_are_counted_by_rule_and_by_resource():
    counts = Counts(measures_latency=True)
    counts.waited("slow", 3_000)
    counts.waited("slow", 3_000)
    counts.took("GET /", 70)
    assert counts.measures_latency
    assert {"slow": 2} == {name: one.view().count for name, one in counts.waits.items()}
    assert {"GET /": 0.000_128} == {name: one.view().quantile(0.5) for name, one in counts.latencies.items()}


# Room is bounded


def test_resources_beyond_the_bound_are_counted_together_by_rule():
    counts = Counts()
    made = [counts.tally(f"GET /{number}", f"rule {number % 3}") for number in range(100_000)]
    for one in made:
        one.let_in("")
    assert MOST_TALLIES + 3 == len(counts.tallies)
    assert {OTHER} == {resource for resource, _ in list(counts.tallies)[MOST_TALLIES:]}
    assert 100_000 == sum(one.allowed for one in counts.tallies.values())
    assert {"rule 0", "rule 1", "rule 2"} == set(counts.keys)


def test_however_many_rules_there_are_each_has_its_numbers_and_few_have_keys():
    counts = Counts()
    for number in range(20_000):
        counts.tally(f"GET /{number}", f"rule {number % 5_000}").keep_out("key", watching=False)
    assert MOST_TALLIES + 5_000 == len(counts.tallies)
    assert 20_000 == sum(one.refused for one in counts.tallies.values())
    assert MOST_NAMES + 1 == len(counts.keys)


def test_what_rules_that_are_gone_have_counted_makes_room_and_is_not_lost():
    counts = Counts()
    for number in range(MOST_TALLIES):
        one = counts.tally(f"GET /{number}", f"rule {number % 3}")
        one.let_in("key")
        one.keep_out("key", watching=False)
        one.keep_out("key", watching=True)
        one.errors += 1
    stays = counts.tally("GET /1", "rule 1")
    counts.keep_only({"rule 1"})
    assert stays is counts.tally("GET /1", "rule 1")
    assert {"rule 1", OTHER} == {rule for _, rule in counts.tallies} == set(counts.keys)
    for name in "allowed", "refused", "shadow_refused", "errors":
        assert MOST_TALLIES == sum(getattr(one, name) for one in counts.tallies.values())
    counts.keep_only({"rule 1"})
    assert MOST_TALLIES == sum(one.allowed for one in counts.tallies.values())


def test_while_there_is_room_what_is_gone_is_still_told():
    counts = Counts()
    counts.tally("GET /", "gone").let_in("key")
    counts.keep_only({"new"})
    assert 1 == counts.tallies["GET /", "gone"].allowed


def test_what_has_a_tally_keeps_it_when_the_bound_is_reached():
    counts = Counts()
    first = counts.tally("GET /", "per-user")
    for number in range(2 * MOST_TALLIES):
        counts.tally(f"GET /{number}", "per-user")
    assert first is counts.tally("GET /", "per-user")
    assert counts.tally("GET /new", "per-user") is counts.tally("GET /newer", "per-user")


def test_histograms_beyond_the_bound_are_one():
    counts = Counts(measures_latency=True)
    for number in range(10_000):
        counts.waited(f"rule {number}", 1)
        counts.took(f"GET /{number}", 1)
    for histograms in counts.waits, counts.latencies:
        assert MOST_NAMES + 1 == len(histograms)
        assert 10_000 - MOST_NAMES == histograms[OTHER].view().count


def test_no_more_keys_are_held_than_a_sketch_has_room_for():
    keys = HotKeys()
    for number in range(100_000):
        keys.refused(f"key {number}")
    assert MOST_KEYS == len(calls_of(keys))


# Forks


def test_a_child_begins_at_0_whatever_a_thread_of_the_parent_held():
    counts = Counts(measures_latency=True)
    one = counts.tally("GET /", "per-user")
    allow(one, "aaa")
    one.keep_out("a", watching=False)
    counts.waited("per-user", 1)
    counts.took("GET /", 1)
    held, *_ = counts.keys["per-user"]._kept
    held.acquire()
    counts.after_fork()
    assert one is counts.tally("GET /", "per-user")
    assert (0, 0, 0, 0) == (one.allowed, one.refused, one.shadow_refused, one.errors)
    assert ({}, {}) == (counts.waits, counts.latencies)
    one.let_in("b")
    assert {"b": 1} == calls_of(counts.keys["per-user"])


# The hottest keys


@pytest.mark.parametrize("turns", [2, 3, SAMPLED, 2 * SAMPLED])
def test_of_keys_that_come_in_turns_none_is_favoured(turns):
    """One of every 64 calls, to the call, would see one key of 64 for ever, and none of the others."""
    random.seed(20_240_229)
    found, rounds = Counter(), 60
    for _ in range(rounds):
        keys = HotKeys()
        allow(Tally("GET /", "per-user", keys), [str(number % turns) for number in range(turns * 200)])
        found.update(calls_of(keys))
    looks = rounds * 200 / SAMPLED  # at each key, on average
    spread = 5 * (1.4 / looks) ** 0.5  # five standard deviations: gaps from 1 to 127 add a third to their count's own
    assert turns == len(found)
    for key, times in found.items():
        assert 1 - spread < times / (rounds * 200) < 1 + spread, f"key {key}"


@pytest.mark.parametrize("rare", [0, 1])
def test_calls_without_a_key_are_not_those_of_the_next_one_with_a_key(rare):
    random.seed(5)
    keys = HotKeys()
    allow(Tally("GET /", "per-user", keys), ["a" if number % 100 == 0 else "" for number in range(400_000 * rare + 1)])
    assert calls_of(keys).pop("a") <= 8_000 * rare + 1
    assert {"a"} == set(calls_of(keys))


def test_the_first_call_is_looked_at_and_then_one_in_64():
    random.seed(1)
    keys, looks = HotKeys(), []
    one = Tally("GET /", "per-user", keys)
    for number in range(64_000):
        before = calls_of(keys) if number < 2 else None
        due = one.due
        one.let_in("a")
        looks += [number] if one.due != due else []
        if number == 0:
            assert ({}, {"a": 1}) == (before, calls_of(keys))
    assert 900 < len(looks) < 1_100
    assert one.allowed - 2 * SAMPLED < calls_of(keys)["a"] <= one.allowed


def test_refused_calls_are_all_looked_at():
    keys = HotKeys()
    one = Tally("GET /", "per-user", keys)
    for key in "aab":
        one.keep_out(key, watching=key == "b")
    assert [("a", 2, 2), ("b", 1, 1)] == keys.top(5)
    assert [("a", 2, 2)] == keys.top(1)


def test_what_is_said_of_a_key_is_never_more_than_was():
    random.seed(9)
    keys, calls, refusals = HotKeys(), Counter(), Counter()
    for number in range(30_000):
        key = "often" if number % 3 else f"key {random.randrange(5_000)}"
        keys.refused(key) if number % 2 else keys.called(key, 5)
        calls[key] += 1 if number % 2 else 5
        refusals[key] += number % 2
    assert "often" == keys.top(1)[0].key
    assert all(one.calls <= calls[one.key] and one.refused <= refusals[one.key] for one in keys.top(EVERYTHING))


def test_no_key_was_refused_more_often_than_it_called():
    random.seed(3)
    keys = HotKeys()
    for number in range(20_000):
        keys.called(f"key {random.randrange(5_000)}", random.randrange(1, 128))
        keys.refused(f"key {number}")
    assert all(one.refused <= one.calls for one in keys.top(EVERYTHING))


def test_who_finds_another_one_writing_leaves_it_at_that():
    keys = HotKeys()
    keys.refused("a")
    lock, *_ = keys._kept
    with lock:  # as a thread does, or what a signal handler has interrupted
        keys.refused("b")
        assert {"a": 1} == calls_of(keys)  # and reading never waits
    keys.refused("c")
    assert {"a": 1, "c": 1} == calls_of(keys)


class Alarm(BaseException):
    """What a signal handler raises."""


def test_what_a_signal_handler_breaks_off_costs_the_keys_and_nothing_else(monkeypatch):
    keys = HotKeys()
    for number in range(2 * MOST_KEYS):
        keys.refused(f"key {number}")

    def broken_off(*_):
        raise Alarm

    with monkeypatch.context() as patch, pytest.raises(Alarm):
        patch.setattr(Sketch, "_replace", broken_off)
        keys.refused("new")
    assert {} == calls_of(keys)
    keys.refused("newer")
    assert {"newer": 1} == calls_of(keys)


def test_keys_can_be_read_while_others_write():
    keys = HotKeys()

    def work(number):
        for turn in range(400):
            if number:
                keys.refused(f"key {number} {turn}")
            else:
                assert len(keys.top(EVERYTHING)) <= MOST_KEYS

    together(work)


def test_nothing_is_shared_by_name_with_what_users_may_call_theirs():
    """A rule or resource named like the overflow counts in it, and breaks nothing."""
    counts = Counts()
    assert counts.tally(OTHER, OTHER) is counts.tally(OTHER, OTHER)
    counts.waited(OTHER, 1)
    assert isinstance(counts.waits[module.OTHER], Histogram)
