"""The face of a guard: how it is made, entered and closed."""

import asyncio
import gc
import threading
import weakref
from datetime import timedelta
from pathlib import Path

import pytest

from guardrail import BreakerOpen, BulkheadFull, Guard, RateLimited, Refused, RuleError, RuleSet
from guardrail.clock import SystemClock
from guardrail.telemetry.events import BreakerMoved, CallRefused
from guardrail.testing import FakeClock, RecordingListener
from tests.decorators.scene import START_US, inside

RULES = [
    {"resource": "r", "kind": "limit", "rate": "5/h", "key": "user"},
    {"resource": "r", "kind": "bulkhead", "max_concurrent": 2},
    {"resource": "r", "kind": "breaker", "consecutive_failures": 1},
]
TEXT = "version: 1\nrules:\n- {resource: r, kind: limit, rate: 5/h}\n"


@pytest.fixture
def clock():
    return FakeClock(START_US)


@pytest.fixture
def guard(clock):
    return Guard(RULES, clock=clock)


def watching():
    return [thread for thread in threading.enumerate() if thread.name == "guardrail-rules"]


class TestMade:
    @pytest.fixture
    def file(self, tmp_path):
        (tmp_path / "rules.yaml").write_text(TEXT)
        return tmp_path / "rules.yaml"

    def test_without_rules_it_lets_every_call_through(self):
        guard = Guard()
        with guard.enter("anything") as permit:
            assert permit.decision.allowed
        assert 0 == len(guard.rules)

    @pytest.mark.parametrize("form", ["file", "folder", "path", "text", "list", "tuple", "document", "set of rules"])
    def test_rules_come_in_many_forms(self, file, form):
        rules = {
            "file": str(file),
            "folder": str(file.parent),
            "path": file,
            "text": TEXT,
            "list": RULES[:1],
            "tuple": tuple(RULES[:1]),
            "document": {"version": 1, "rules": RULES[:1]},
            "set of rules": RuleSet.parse(TEXT),
        }[form]
        with Guard(rules) as guard:
            assert ["r/limit"] == [rule.name for rule in guard.rules]
            assert 12 == len(guard.rules.revision)

    def test_the_path_may_be_in_the_environment(self, file, monkeypatch):
        monkeypatch.setenv("GUARDRAIL_RULES", str(file))
        with Guard() as guard:
            assert (1, str(file)) == (len(guard.rules), guard.rules.source)
        assert 0 == len(Guard([]).rules)  # what is given goes before what is around

    def test_an_empty_variable_is_none(self, monkeypatch):
        monkeypatch.setenv("GUARDRAIL_RULES", "")
        monkeypatch.setenv("GUARDRAIL_STORE", "")
        assert 0 == len(Guard().rules)

    def test_it_follows_the_clock_of_the_system_unless_told_otherwise(self, clock):
        assert isinstance(Guard().ledger.clock, SystemClock)
        assert clock is Guard(clock=clock).ledger.clock

    BAD_RULES = [
        ("nowhere.yaml", "nowhere.yaml: cannot be read: No such file or directory"),
        (Path("nowhere"), "nowhere: cannot be read: No such file or directory"),
        ("version: 1\nrules:\n- {resource: r, kind: limit}\n", "<text>:3:3: a limit needs a rate"),
        ([{"resource": "r", "kind": "limit"}], "a limit needs a rate"),
    ]

    @pytest.mark.parametrize(("rules", "message"), BAD_RULES)
    def test_bad_rules_are_told_of(self, rules, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RuleError) as error:
            Guard(rules)
        assert message in f"{error.value}"
        assert isinstance(error.value, ValueError)
        assert [] == watching()

    @pytest.mark.parametrize("store", ["memory://", "", None])
    def test_state_is_kept_in_this_process(self, store, clock):
        assert Guard(RULES, clock=clock, store=store).peek("r").allowed

    BAD_STORES = [
        ("redis://localhost", "store must be None or 'memory://', got 'redis://...': state is kept in this process only"),
        ("memory", "got 'memory'"),
        (42, "got 42"),
    ]

    @pytest.mark.parametrize(("store", "message"), BAD_STORES)
    def test_other_stores_are_refused(self, store, message):
        with pytest.raises(ValueError, match="store must be") as error:
            Guard(store=store)
        assert message in f"{error.value}"

    def test_a_store_in_the_environment_counts_where_none_is_given(self, monkeypatch):
        monkeypatch.setenv("GUARDRAIL_STORE", "redis://:secret@host")
        with pytest.raises(ValueError, match="GUARDRAIL_STORE holds where no store is given") as error:
            Guard()
        assert "secret" not in f"{error.value}"
        assert Guard(store="memory://")

    def test_it_keeps_at_least_one_state(self):
        with pytest.raises(ValueError, match="max_keys must be at least 1, got 0"):
            Guard(max_keys=0)


class TestEntered:
    def test_as_a_block(self, guard):
        with guard.enter("r", {"user": "u1"}, cost=3) as permit:
            assert permit
            assert 1 == inside(guard)
            assert 2 == permit.decision.verdicts[0].remaining
        assert 0 == inside(guard)
        with pytest.raises(RateLimited) as refused, guard.enter("r", {"user": "u1"}, cost=3):
            pytest.fail("refused")
        assert "r: 5/h exceeded by rule 'r/limit'; retry after 720 s" == f"{refused.value}"
        with guard.enter("r", {"user": "u2"}, cost=5):
            pass

    def test_as_an_async_block(self, guard):
        async def main():
            async with guard.enter("r", {"user": "u1"}, cost=5) as permit:
                assert permit
                assert 1 == inside(guard)
            with pytest.raises(RateLimited):
                async with guard.enter("r", {"user": "u1"}):
                    pytest.fail("refused")

        asyncio.run(main())
        assert 0 == inside(guard)

    def test_the_error_a_block_is_left_by_is_a_failure(self, guard):
        with pytest.raises(OSError, match="gone"), guard.enter("r"):
            raise OSError("gone")
        with pytest.raises(BreakerOpen), guard.enter("r"):
            pytest.fail("refused")

    def test_by_hand(self, guard):
        permits = [guard.try_enter("r", {"user": "u1"}) for _ in range(3)]
        assert [True, True, False] == [bool(permit) for permit in permits]
        assert "bulkhead_full" == permits[2].decision.reason
        assert isinstance(permits[2].refusal(), BulkheadFull)
        for permit in permits:
            permit.exit()
            permit.exit(failed=True)  # the first counts
        assert (0, "closed") == (inside(guard), guard.breakers["r/breaker"].state)
        permit = guard.try_enter("r")
        permit.exit(failed=True)
        assert "open" == guard.breakers["r/breaker"].state

    def test_by_hand_from_a_task(self, guard):
        async def main():
            permits = [await guard.atry_enter("r", {"user": "u1"}, cost=4) for _ in range(2)]
            for permit in permits:
                await permit.aexit()
            return [bool(permit) for permit in permits]

        assert [True, False] == asyncio.run(main())

    def test_the_true_cost_may_be_told_later(self, guard):
        with guard.enter("r", {"user": "u1"}) as permit:
            permit.settle(5)
        assert not guard.peek("r", {"user": "u1"}).allowed

    def test_peeking_takes_nothing(self, guard):
        async def main():
            return await guard.apeek("r", {"user": "u1"}, cost=5, max_wait=0)

        for decision in (guard.peek("r", {"user": "u1"}, cost=5), asyncio.run(main())):
            assert (True, 0) == (decision.allowed, decision.remaining)
        assert 0 == inside(guard)

    def test_attributes_that_are_missing_are_empty(self, guard):
        for attributes in (None, {}, {"user": ""}, {"user": None}):
            with guard.enter("r", attributes):
                pass
        assert 0 == guard.peek("r").remaining

    @pytest.mark.parametrize("max_wait", [30, 30.0, "30s", timedelta(seconds=30)])
    def test_the_caller_may_be_less_patient_than_the_rules(self, clock, max_wait):
        guard = Guard([{"resource": "r", "kind": "limit", "rate": "1/min", "max_wait": "1h"}], clock=clock)
        guard.try_enter("r").exit()
        assert not guard.try_enter("r", max_wait=max_wait)
        assert START_US == clock.now_us()
        guard.try_enter("r", max_wait="2min").exit()
        assert START_US + 60_000_000 == clock.now_us()

    BAD = [
        ({"cost": -1}, ValueError, "cost must be at least 0, got -1; tokens are given back with permit.settle"),
        ({"cost": 1.5}, TypeError, "cost must be a whole number of tokens, such as cost=3, got 1.5"),
        ({"cost": "3"}, TypeError, "cost must be a whole number of tokens, such as cost=3, got '3'"),
        ({"cost": True}, TypeError, "cost must be a whole number of tokens"),
        ({"max_wait": -1}, ValueError, "max_wait must not be negative, got -1"),
        ({"max_wait": "soon"}, ValueError, "max_wait must be a duration such as 500ms, 10s, 1m30s or 1h, got 'soon'"),
        ({"max_wait": 0, "cost": -1}, ValueError, "^cost must be at least 0"),
    ]

    @pytest.mark.parametrize(("options", "error", "message"), BAD)
    def test_wrong_arguments_are_told_of(self, guard, options, error, message):
        for act in (guard.enter, guard.try_enter, guard.peek):
            with pytest.raises(error, match=message):
                act("r", **options)
        with pytest.raises(error, match=message):
            asyncio.run(guard.atry_enter("r", **options))

    def test_plans_are_kept_for_so_many_resources_and_made_anew_beyond(self, clock, monkeypatch):
        monkeypatch.setattr("guardrail.rulebook.MOST_PLANS", 3)
        guard = Guard([{"resource": "**", "kind": "limit", "rate": "20/h"}], clock=clock)
        for number in range(20):
            assert guard.try_enter(f"r{number}").exit() is None
            assert len(guard._snapshot.plans) <= 3
        assert not guard.try_enter("r")

    def test_a_plan_that_was_overtaken_by_a_reload_is_not_kept(self, guard, monkeypatch):
        gates_for = guard.gates_for

        def overtaken(resource, names):
            found = gates_for(resource, names)
            guard.apply([])
            return found

        monkeypatch.setattr(guard, "gates_for", overtaken)
        with guard.enter("r") as permit:
            assert 3 == len(permit.decision.verdicts)
        assert {} == guard._snapshot.plans
        monkeypatch.undo()
        assert () == guard.peek("r").verdicts


class TestListeners:
    def test_they_hear_of_refusals_and_of_breakers(self, clock):
        news, more = RecordingListener(), RecordingListener()
        guard = Guard(RULES, clock=clock, listeners=[news, more])
        guard.try_enter("r", cost=6)
        guard.try_enter("r").exit(OSError())
        [refused], [moved] = news.of(CallRefused), news.of(BreakerMoved)
        assert ("r", "r/limit", "limit", "cost_too_large", False) == (
            refused.resource,
            refused.rule,
            refused.kind,
            refused.reason,
            refused.shadow,
        )
        assert ("r/breaker", "closed", "open") == (moved.breaker, moved.from_state, moved.to_state)
        assert news.events == more.events


class TestClosed:
    @pytest.fixture
    def path(self, tmp_path):
        (tmp_path / "rules.yaml").write_text(TEXT)
        return str(tmp_path)

    def test_a_block_ends_its_thread(self, path):
        with Guard(path) as guard:
            assert 1 == len(watching())
        assert [] == watching()
        assert guard.peek("r").allowed

    def test_an_async_block_does_too(self, path):
        async def main():
            async with Guard(path) as guard:
                assert 1 == len(watching())
                return guard

        assert asyncio.run(main()).peek("r").allowed
        assert [] == watching()

    def test_closing_twice_or_where_there_is_no_thread_is_no_matter(self, path):
        for guard in (Guard(path), Guard()):
            guard.close()
            guard.close()
            asyncio.run(guard.aclose())
        assert [] == watching()

    def test_it_goes_on_deciding_and_may_be_given_other_rules(self, path):
        guard = Guard(path)
        guard.close()
        guard.apply([{"resource": "r", "kind": "limit", "rate": "1/h"}])
        guard.try_enter("r").exit()
        assert not guard.try_enter("r")
        guard.reload()
        assert 5 == guard.peek("r").limit

    def test_a_guard_that_nobody_holds_is_collected_with_its_thread(self, path):
        guard = Guard(path)
        guard.limit("1/h")(lambda: 1)()
        gone = weakref.ref(guard)
        [thread] = watching()
        del guard
        gc.collect()
        assert gone() is None
        thread.join(5)
        assert not thread.is_alive()

    def test_a_permit_outlives_its_guard(self, clock):
        permit = Guard(RULES, clock=clock).try_enter("r")
        gc.collect()
        permit.exit()
        assert "<Permit for 'r': over>" == f"{permit!r}"


def test_what_is_refused_says_everything_as_attributes(guard):
    guard.breakers["r/breaker"].force_open()
    with pytest.raises(Refused) as refused, guard.enter("r", {"user": "u1"}):
        pytest.fail("refused")
    error = refused.value
    assert ("r", "r/breaker", "breaker", "breaker_forced", None) == (
        error.resource,
        error.rule,
        error.kind,
        error.reason,
        error.retry_after,
    )
    assert "r: breaker 'r/breaker' was opened by hand" == f"{error}"
