"""What code has counted goes on under the rules of a file, and back under those of the code."""

import asyncio

import pytest

from tests.decorators.scene import left, refusal, result
from tests.guard.stack import LIMIT, decorated, rule


@pytest.fixture
def call(guard):
    return decorated(guard)


class TestStates:
    def test_what_was_used_stays_used_when_a_file_takes_over_and_when_it_lets_go(self, guard, call):
        call("u1")
        guard.apply([{**LIMIT, "rate": "4/h"}])
        assert ["u1"] * 3 == [call("u1") for _ in range(3)]
        assert refusal(call, "u1")
        guard.apply([])
        assert refusal(call, "u1")
        assert "2/h" == f"{rule(guard).rate}"

    def test_a_rule_of_another_name_goes_on_with_the_state_of_the_code(self, guard, call):
        assert ["u1", "u1"] == [call("u1"), call("u1")]
        guard.apply([{**LIMIT, "name": "tuned", "rate": "2/h"}])
        assert "tuned" == refusal(call, "u1").rule
        guard.apply([])
        assert "r/limit" == refusal(call, "u1").rule

    def test_a_breaker_keeps_its_state_and_its_window(self, guard):
        @guard.breaker(consecutive_failures=2, name="r")
        def call(error=None):
            if error:
                raise error

        with pytest.raises(OSError):
            call(OSError())
        guard.apply([{"resource": "r", "kind": "breaker", "name": "tuned", "consecutive_failures": 3}])
        assert 1 == guard.breakers["tuned"].snapshot().consecutive_failures
        for _ in range(2):
            with pytest.raises(OSError):
                call(OSError())
        assert "open" == guard.breakers["tuned"].state
        guard.apply([])
        assert "open" == guard.breakers["r/breaker"].state
        assert "breaker_open" == refusal(call).reason

    def test_a_bulkhead_is_resized_and_its_waiters_are_served(self, guard):
        @guard.bulkhead(1, max_wait="1h", name="r")
        async def call(gate):
            inside.append(1)
            await gate.wait()

        inside = []

        async def main():
            gate = asyncio.Event()
            calls = [asyncio.ensure_future(call(gate)) for _ in range(4)]
            await settled()
            assert 1 == len(inside)
            guard.apply([{"resource": "r", "kind": "bulkhead", "max_concurrent": 3}])
            await settled()
            assert 3 == len(inside)
            guard.apply([])
            gate.set()
            await asyncio.gather(*calls)
            assert 4 == len(inside)

        async def settled():
            for _ in range(5):
                await asyncio.sleep(0)

        asyncio.run(main())
        assert 1 == rule(guard, "r/bulkhead").max_concurrent

    def test_a_bulkhead_that_shrinks_drains(self, guard):
        @guard.bulkhead(3, name="r")
        def call(deeper):
            return (
                call(deeper - 1)
                if deeper
                else guard.apply([{"resource": "r", "kind": "bulkhead", "max_concurrent": 1}])
            )

        call(2)
        assert "bulkhead_full" == refusal(call, 1).reason
        assert 1 == rule(guard, "r/bulkhead").max_concurrent

    def test_another_algorithm_or_key_starts_afresh(self, guard, call):
        assert ["u1", "u1"] == [call("u1"), call("u1")]
        guard.apply([{**LIMIT, "rate": "2/h", "algorithm": "fixed_window"}])
        assert "u1" == call("u1")
        guard.apply([{**LIMIT, "rate": "2/h", "key": "size"}])
        assert ["u1", "u1"] == [call("u1"), call("u1")]
        assert refusal(call, "u2")

    def test_rules_that_did_not_change_notice_nothing(self, guard, call):
        wide = {"name": "wide", "resource": "**", "kind": "limit", "rate": "3/h"}
        guard.apply([wide])
        call("u1")
        guard.apply([wide, {"resource": "elsewhere", "kind": "limit", "rate": "1/h"}])
        assert 2 == left(guard, "anything", "wide")


class TestSwitchedInTheFile:
    def test_a_rule_may_be_switched_off_and_on_again(self, guard, call):
        assert ["u1", "u1"] == [call("u1"), call("u1")]
        guard.apply([{**LIMIT, "rate": "2/h", "mode": "off"}])
        assert ["u1"] * 5 == [call("u1") for _ in range(5)]
        guard.apply([])
        assert refusal(call, "u1")

    def test_a_rule_in_shadow_goes_on_counting(self, guard, call):
        guard.apply([{**LIMIT, "rate": "2/h", "mode": "shadow"}])
        assert ["u1"] * 5 == [call("u1") for _ in range(5)]
        guard.apply([])
        assert refusal(call, "u1")

    def test_a_function_of_each_kind_follows(self, guard):
        async def coroutine():
            return 1

        def generator():
            yield 1

        async def async_generator():
            yield 1

        kinds = [lambda: 1, coroutine, generator, async_generator]
        calls = [guard.limit("9/h", name=f"r{number}")(kind) for number, kind in enumerate(kinds)]
        for call in calls:
            result(call)
        guard.apply([{"resource": f"r{number}", "kind": "limit", "rate": "1/h"} for number in range(4)])
        for call in calls:
            assert "rate" == refusal(call).reason
