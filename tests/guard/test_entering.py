"""Calls that are let in by hand: as a block, as a permit, or only asked about."""

import asyncio
from datetime import timedelta

import pytest

from guardrail import BreakerOpen, BulkheadFull, Guard, RateLimited, Refused
from tests.decorators.scene import START_US, inside

RULES = [
    {"resource": "r", "kind": "limit", "rate": "5/h", "key": "user"},
    {"resource": "r", "kind": "bulkhead", "max_concurrent": 2},
    {"resource": "r", "kind": "breaker", "consecutive_failures": 1},
]


@pytest.fixture
def guard(clock):
    return Guard(RULES, clock=clock)


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

    BAD = (
        ({"cost": -1}, ValueError, "cost must be at least 0, got -1; tokens are given back with permit.settle"),
        ({"cost": 1.5}, TypeError, "cost must be a whole number of tokens, such as cost=3, got 1.5"),
        ({"cost": "3"}, TypeError, "cost must be a whole number of tokens, such as cost=3, got '3'"),
        ({"cost": True}, TypeError, "cost must be a whole number of tokens"),
        ({"max_wait": -1}, ValueError, "max_wait must not be negative, got -1"),
        ({"max_wait": "soon"}, ValueError, "max_wait must be a duration such as 500ms, 10s, 1m30s or 1h, got 'soon'"),
        ({"max_wait": 0, "cost": -1}, ValueError, "^cost must be at least 0"),
    )

    @pytest.mark.parametrize(("options", "error", "message"), BAD)
    def test_wrong_arguments_are_told_of(self, guard, options, error, message):
        for act in (guard.enter, guard.try_enter, guard.peek):
            with pytest.raises(error, match=message):
                act("r", **options)
        with pytest.raises(error, match=message):
            asyncio.run(guard.atry_enter("r", **options))

    @pytest.mark.parametrize("resource", [None, 5, b"r", ["r"], {"user": "u1"}])
    def test_a_resource_is_text(self, guard, resource):
        for act in (guard.enter, guard.try_enter, guard.peek):
            with pytest.raises(TypeError, match="a resource is a name, such as 'orders"):
                act(resource)

    def test_plans_are_kept_for_so_many_resources_and_made_anew_beyond(self, clock, monkeypatch):
        monkeypatch.setattr("guardrail.rulebook.MOST_PLANS", 3)
        guard = Guard([{"resource": "**", "kind": "limit", "rate": "20/h"}], clock=clock)
        for number in range(20):
            assert guard.try_enter(f"r{number}").exit() is None
            assert len(guard._in_force.plans) <= 3
        assert not guard.try_enter("r")

    def test_a_plan_that_was_overtaken_by_a_reload_is_not_kept(self, guard, monkeypatch):
        gates_for, before = guard.gates_for, guard._in_force

        def overtaken(resource, names):
            monkeypatch.undo()
            guard.apply([])
            return gates_for(resource, names)

        monkeypatch.setattr(guard, "gates_for", overtaken)
        with guard.enter("r") as permit:
            assert () == permit.decision.verdicts
        assert {} == before.plans
        assert {} == guard._in_force.plans


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
