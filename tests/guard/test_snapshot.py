"""What can be seen of a guard: a snapshot, its health, and what one rule says of one key."""

import asyncio
import dataclasses
import json

import pytest

from guardrail import Guard, RuleError, StoreError
from guardrail.stores.protocol import Unavailable
from guardrail.telemetry.entry import hidden
from tests.admission.fake_store import FakeStore
from tests.admission.scene import START_US, S, breaker, bulkhead, guard_of, held, limit


def the(found):
    """The only one there is."""
    (only,) = found
    return only


def rule_of(guard, name):
    return the(one for one in guard.snapshot().rules if one.name == name)


class TestSnapshot:
    def test_of_a_guard_without_rules(self, clock):
        seen = guard_of(clock).snapshot()
        assert ((), (), (), (), None) == (seen.rules, seen.counts, seen.breakers, seen.bulkheads, seen.store)
        assert START_US / S == seen.at

    def test_is_plain_json(self, clock):
        guard = guard_of(
            clock,
            limit("1/h", key="user"),
            breaker(key="user"),
            bulkhead(2),
            store=FakeStore(clock),
            measure_latency=True,
        )
        guard.breakers["r/breaker/u1"].force_open()
        for user in ("u2", "u2"):
            guard.try_enter("r", {"user": user}).exit()
        plain = json.loads(json.dumps(guard.snapshot().to_dict()))
        assert [f"r/breaker/{hidden('u1')}"] == list(plain["breakers"][0]["notable"])
        assert [{"from": "closed", "to": "forced_open", "count": 1}] == plain["breakers"][0]["transitions"]

    def test_no_longer_changes(self, clock):
        guard = guard_of(clock, limit("1/h"))
        seen = guard.snapshot()
        guard.try_enter("r").exit()
        assert 0 == seen.rules[0].allowed
        with pytest.raises(dataclasses.FrozenInstanceError):
            seen.mode = "off"

    def test_sums_a_rule_over_its_resources(self, clock):
        guard = guard_of(clock, {**limit("2/h"), "resource": "orders.*", "name": "orders"})
        for resource in ("orders.a", "orders.b", "orders.b"):
            guard.try_enter(resource).exit()
        found = rule_of(guard, "orders")
        assert (2, 1, 1 / 3, ("orders.*",)) == (found.allowed, found.refused, found.would_refuse, found.resource)
        assert {"orders.a", "orders.b"} == {one.resource for one in guard.snapshot().counts}

    def test_says_whether_it_is_safe_to_enforce(self, clock):
        guard = guard_of(clock, limit("1/h", mode="shadow", key="user"))
        for user in ("calm", "busy", "busy", "busy"):
            guard.try_enter("r", {"user": user}).exit()
        found = rule_of(guard, "r/limit")
        assert ("shadow", 0.0, 2, 2, 0.5) == (
            *(found.mode, found.enforced, found.allowed, found.shadow_refused),
            found.would_refuse,
        )
        hottest = guard.snapshot(show_keys=True).hot_keys[0]
        assert ("busy", 2) == (hottest.key, hottest.refused)

    @pytest.mark.parametrize(
        ("mode", "rule", "seen"),
        [
            ("enforce", "enforce", "enforce"),
            ("shadow", "enforce", "shadow"),
            ("shadow", "off", "off"),
            ("off", "shadow", "off"),
        ],
    )
    def test_the_mode_of_a_rule_is_that_of_the_guard_too(self, clock, mode, rule, seen):
        assert seen == rule_of(guard_of(clock, limit(mode=rule), mode=mode), "r/limit").mode

    def test_where_a_rule_stands(self, tmp_path):
        file = tmp_path / "rules.yaml"
        file.write_text("version: 1\nrules:\n- {name: a, resource: r, kind: limit, rate: 1/s}\n")
        with Guard(file) as guard:
            guard.limit("1/s", name="here")(lambda: None)
            assert (str(file), "code") == (rule_of(guard, "a").source, rule_of(guard, "here/limit").source)

    def test_how_many_keys_there_are(self, clock):
        guard = guard_of(
            clock,
            limit(key="user"),
            breaker(key="user"),
            bulkhead(5, key="user"),
            limit("9/s", name="one"),
            {**breaker(name="unasked", key="x"), "resource": "other"},
        )
        assert {0, None} == {one.keys for one in guard.snapshot().rules}
        for user in "ab":
            guard.try_enter("r", {"user": user}).exit()
        names = ("r/limit", "r/breaker", "r/bulkhead", "one", "unasked")
        assert [2, 2, 2, None, 0] == [rule_of(guard, name).keys for name in names]

    def test_keys_are_hashed_unless_asked_for(self, clock):
        guard = guard_of(clock, limit(key="user"))
        guard.try_enter("r", {"user": "canary"}).exit()
        assert "canary" not in repr(guard.snapshot())
        assert hidden("canary") == the(guard.snapshot().hot_keys).key
        assert "canary" == the(guard.snapshot(show_keys=True).hot_keys).key

    def test_composite_keys_are_shown_as_people_read_them(self, clock):
        guard = guard_of(clock, limit(key=["user", "client.ip"]))
        guard.try_enter("r", {"user": "u1", "client.ip": "203.0.113.9"}).exit()
        assert "u1, 203.0.113.9" == the(guard.snapshot(show_keys=True).hot_keys).key
        guard = guard_of(clock, limit(key=["user", "client.ip"]))
        guard.try_enter("r", {"user": "u" * 1000, "client.ip": "203.0.113.9"}).exit()
        assert len(the(guard.snapshot(show_keys=True).hot_keys).key) < 200


class TestBreakers:
    def test_one_exists_from_the_start(self, clock):
        found = the(guard_of(clock, breaker()).snapshot().breakers)
        assert (1, 0, {}) == (found.states["closed"], found.states["open"], found.transitions)
        assert "closed" == found.notable["r/breaker"].state

    def test_why_it_moved_last_and_how_often(self, clock):
        guard = guard_of(clock, breaker(consecutive_failures=2))
        for _ in range(2):
            guard.try_enter("r").exit(failed=True)
        found = the(guard.snapshot().breakers)
        assert ({("closed", "open"): 1}, 1, 2) == (found.transitions, found.states["open"], found.failures)
        one = found.notable["r/breaker"]
        assert ("2 failed in a row", START_US / S) == (one.reason, one.moved_at)

    def test_of_many_those_are_shown_that_are_not_closed(self, clock):
        guard = guard_of(clock, breaker(key="user"))
        for number in range(30):
            guard.breakers[f"r/breaker/u{number}"].force_open()
        guard.try_enter("r", {"user": "well"}).exit()
        found = the(guard.snapshot().breakers)
        assert (30, 1, 20) == (found.states["forced_open"], found.states["closed"], len(found.notable))
        assert {("closed", "forced_open"): 30} == found.transitions

    def test_totals_stay_when_a_breaker_makes_room(self, clock, monkeypatch):
        monkeypatch.setattr("guardrail.admission.object_states.MOST_OBJECTS", 2)
        guard = guard_of(clock, breaker(key="user", window="1s"))
        for number in range(5):
            guard.try_enter("r", {"user": f"u{number}"}).exit()
            clock.advance(60)
        assert 5 == the(guard.snapshot().breakers).successes
        assert 3 > len(guard.ledger.breakers["r/breaker"].states)


class TestBulkheads:
    def test_how_full_they_are(self, clock):
        guard = guard_of(clock, bulkhead(3, key="user"))
        assert (0, 3, 0, 0) == (*occupied(guard), 0)
        for user in "aab":
            held(guard, attributes={"user": user})
        found = the(guard.snapshot().bulkheads)
        assert (3, 3, 2, 2) == (found.in_use, found.capacity, found.fullest, found.count)


def occupied(guard):
    found = the(guard.snapshot().bulkheads)
    return found.in_use, found.capacity, found.fullest


class TestReloads:
    def test_other_rules(self, clock, tmp_path):
        file = tmp_path / "rules.yaml"
        file.write_text("version: 1\nrules: []\n")
        with Guard(file, clock=clock) as guard:
            first = guard.snapshot().reload
            assert (str(file), START_US / S, 0, 0, None) == (
                *(first.source, first.at, first.reloads, first.failures),
                first.error,
            )
            clock.advance(5)
            guard.apply([limit("1/s")])
            second = guard.snapshot().reload
            assert (1, START_US / S + 5, guard.rules.revision) == (second.reloads, second.at, second.revision)
            file.write_text("rules: 5\n")
            with pytest.raises(Exception, match="rules"):
                guard.reload()
            third = guard.snapshot().reload
            assert (1, 1, second.at) == (third.reloads, third.failures, third.at)
            assert "rules" in third.error
            assert "degraded" == guard.health().status
            file.write_text("version: 1\nrules: []\n")
            guard.reload()
            assert (None, "ok") == (guard.snapshot().reload.error, guard.health().status)

    def test_a_mistake_that_is_taken_back_is_forgotten(self, tmp_path):
        file = tmp_path / "rules.yaml"
        file.write_text("version: 1\nrules: []\n")
        with Guard(file) as guard:
            file.write_text("rules: 5\n")
            with pytest.raises(RuleError):
                guard.reload()
            assert "degraded" == guard.health().status
            file.write_text("version: 1\nrules: []\n")  # what is in force: nothing has to be taken up
            guard._live.poll()  # as the watching thread does, if it has not yet
            assert "ok" == guard.health().status

    def test_a_breaker_of_another_shape_counts_on(self, clock):
        guard = guard_of(clock, breaker())
        guard.try_enter("r").exit(failed=True)
        guard.breakers["r/breaker"].force_open()
        guard.apply([breaker(key="user")])
        found = the(guard.snapshot().breakers)
        assert (1, {("closed", "forced_open"): 1}) == (found.failures, found.transitions)

    def test_however_many_rules_there_are_each_has_its_numbers(self, clock, monkeypatch):
        monkeypatch.setattr("guardrail.telemetry.counts.MOST_TALLIES", 3)
        guard = guard_of(clock, *({**limit(), "resource": f"r{number}", "name": f"n{number}"} for number in range(9)))
        for number in range(9):
            guard.try_enter(f"r{number}").exit()
        assert [1] * 9 == [one.allowed for one in guard.snapshot().rules]

    def test_what_rules_counted_that_are_gone_is_kept_together(self, clock, monkeypatch):
        monkeypatch.setattr("guardrail.telemetry.counts.MOST_TALLIES", 3)
        guard = guard_of(clock)
        for number in range(9):
            guard.apply([limit("2/h", name=f"n{number}", key="user")])
            for _ in range(3):
                guard.try_enter("r", {"user": "u1"}).exit()
        assert (2, 1) == (guard.snapshot().rules[0].allowed, guard.snapshot().rules[0].refused)
        counts = guard.snapshot().counts
        assert len(counts) <= 4
        assert (18, 9) == (sum(one.allowed for one in counts), sum(one.refused for one in counts))

    def test_a_snapshot_is_of_one_revision(self, clock, monkeypatch):
        guard = guard_of(clock, limit(name="old"))
        named = guard.named

        def reloaded():
            monkeypatch.undo()
            found = named()
            guard.apply([limit(name="new")])
            return found

        monkeypatch.setattr(guard, "named", reloaded)
        seen = guard.snapshot()
        assert (["new"], guard.rules.revision) == ([one.name for one in seen.rules], seen.reload.revision)


class TestLatencies:
    def test_are_shown_in_quantiles(self, clock):
        guard = guard_of(clock, measure_latency=True)
        for number in range(100):
            with guard.enter("r"):
                clock.advance(1 if number < 96 else 30)
        found = the(guard.snapshot().latencies)
        assert 1 <= found.p50 <= found.p95 < 2
        assert 30 <= found.p99 < 60
        assert (100, 96 + 120) == (found.distribution.count, found.distribution.total)

    def test_there_are_none_unless_asked_for(self, clock):
        guard = guard_of(clock, limit())
        guard.try_enter("r").exit()
        assert () == guard.snapshot().latencies


class TestHealth:
    def test_is_well(self, clock):
        health = guard_of(clock, limit(), breaker()).health()
        assert health
        assert {"status": "ok", "reasons": ()} == health.to_dict()

    def test_a_guard_that_does_not_enforce(self, clock):
        assert ("degraded", ("the guard's mode is off: no rule refuses",)) == dataclasses.astuple(
            guard_of(clock, mode="off").health()
        )

    def test_an_open_breaker(self, clock):
        guard = guard_of(clock, breaker(), breaker(name="b", key="user"))
        guard.breakers["r/breaker"].force_open()
        for user in "ab":
            guard.breakers[f"b/{user}"].force_open()
        health = guard.health()
        assert ("breaker 'r/breaker' keeps calls out", "2 breakers of 'b' keep calls out") == health.reasons
        assert health

    def test_a_breaker_that_only_watches_keeps_nobody_out(self, clock):
        guard = guard_of(clock, breaker(mode="shadow"))
        guard.breakers["r/breaker"].force_open()
        assert "ok" == guard.health().status

    def test_an_open_breaker_whose_time_is_over_lets_the_next_call_try(self, clock):
        guard = guard_of(clock, breaker(consecutive_failures=1, open_for="5s"))
        guard.try_enter("r").exit(failed=True)
        assert "degraded" == guard.health().status
        clock.advance(5)
        assert "ok" == guard.health().status

    def test_of_a_rule_that_is_enforced_in_part(self, clock):
        store = FakeStore(clock)
        store.outage = Unavailable(S)
        guard = guard_of(clock, limit(on_store_error="deny", key="user", enforce="10%"), store=store)
        health = guard.health()
        assert "degraded" == health.status
        assert "rule 'r/limit' refuses 10% of all keys: its store is away, and it denies without it" in health.reasons

    @pytest.mark.parametrize(("policy", "status"), [("deny", "failing"), ("local", "degraded"), ("allow", "degraded")])
    def test_a_store_that_is_away(self, clock, policy, status):
        store = FakeStore(clock)
        guard = guard_of(clock, limit(on_store_error=policy), store=store)
        assert "ok" == guard.health().status
        store.outage = Unavailable(S)
        health = guard.health()
        assert (status, status != "failing") == (health.status, bool(health))


class TestStanding:
    def test_of_a_limit(self, clock):
        guard = guard_of(clock, limit("2/h", key="user"))
        guard.try_enter("r", {"user": "u1"}, cost=2).exit()
        assert (False, 0, 1800.0) == short(guard.standing("r/limit", "u1"))
        assert (True, 1, None) == short(guard.standing("r/limit", "u2"))
        assert (True, 1, None) == short(asyncio.run(guard.astanding("r/limit", ["u2"])))

    def test_of_a_breaker_and_a_bulkhead(self, clock):
        guard = guard_of(clock, breaker(), bulkhead(2), breaker(name="keyed", key="user"))
        guard.breakers["r/breaker"].force_open()
        guard.breakers["keyed/u1"].force_open()
        found = guard.standing("r/breaker"), guard.standing("keyed", "u1"), guard.standing("keyed", "u2")
        assert ["breaker_forced", "breaker_forced", None] == [one.reason for one in found]
        assert (True, 1, None) == short(guard.standing("r/bulkhead"))

    def test_of_alternative_names_the_strictest_counts(self, clock):
        guard = guard_of(clock, limit("1/h", key="user|client.ip"))
        guard.try_enter("r", {"client.ip": "203.0.113.9"}).exit()
        assert not guard.standing("r/limit", "203.0.113.9").allowed
        assert guard.standing("r/limit", "203.0.113.8").allowed
        assert not guard.standing("r/limit", "client.ip=203.0.113.9").allowed
        assert guard.standing("r/limit", "user=203.0.113.9").allowed
        guard.reset("r/limit", "client.ip=203.0.113.9")
        assert guard.standing("r/limit", "203.0.113.9").allowed

    def test_of_a_shared_rule(self, clock):
        guard = guard_of(clock, limit("1/h", key="user"), store=FakeStore(clock))
        guard.try_enter("r", {"user": "u1"}).exit()
        assert not guard.standing("r/limit", "u1").allowed
        assert not asyncio.run(guard.astanding("r/limit", "u1")).allowed

    @pytest.mark.parametrize("policy", ["deny", "local", "allow"])
    def test_without_its_store(self, clock, policy):
        store = FakeStore(clock)
        store.outage = Unavailable(S)
        guard = guard_of(clock, limit("1/h", on_store_error=policy), store=store)
        with pytest.raises(StoreError, match="the store behind rule 'r/limit' cannot be asked"):
            guard.standing("r/limit")

    def test_says_what_is_wrong_with_the_question(self, clock):
        guard = guard_of(clock, limit(key="user"), limit(name="one"))
        with pytest.raises(ValueError, match="rule 'r/limit' has a key: say which one to look at"):
            guard.standing("r/limit")
        with pytest.raises(ValueError, match="rule 'one' has no key"):
            guard.standing("one", "u1")
        with pytest.raises(KeyError, match="no rule 'ona'; did you mean 'one'"):
            guard.standing("ona")
        for key in ({"user": "u1"}, b"u1", {"u1"}):
            with pytest.raises(TypeError, match="a key is a value, or a list with one for each part, got a"):
                guard.standing("r/limit", key)

    def test_looking_keeps_nothing(self, clock):
        guard = guard_of(clock, breaker(key="user"), bulkhead(2, key="user"), limit(key="user"))
        for name in ("r/breaker", "r/bulkhead", "r/limit"):
            assert guard.standing(name, "u1").allowed
            assert 0 == rule_of(guard, name).keys

    def test_one_more_key_than_there_is_room_for_is_looked_at_where_it_counts(self, clock, monkeypatch):
        monkeypatch.setattr("guardrail.admission.object_states.MOST_OBJECTS", 1)
        guard = guard_of(clock, bulkhead(1, key="user"))
        held(guard, attributes={"user": "first"})
        held(guard, attributes={"user": "second"})
        assert not guard.standing("r/bulkhead", "third").allowed

    def test_a_rule_that_only_watches_says_what_it_would(self, clock):
        guard = guard_of(clock, limit("1/h", mode="shadow"))
        guard.try_enter("r").exit()
        found = guard.standing("r/limit")
        assert (False, True) == (found.allowed, found.shadow)


def short(verdict):
    return verdict.allowed, verdict.remaining, verdict.retry_after
