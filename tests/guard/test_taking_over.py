"""A rule in a file takes over from one in code, field by field, and hands it back unharmed: so a service is tuned."""

import pytest

from guardrail import attributes
from tests.decorators.scene import left, refusal
from tests.guard.stack import LIMIT, decorated, rule


@pytest.fixture
def call(guard):
    return decorated(guard)


class TestFieldByField:
    def test_what_the_file_does_not_write_stays_as_in_code(self, guard, call):
        guard.apply([{**LIMIT, "rate": "5/h"}])
        assert ("5/h", (("user",),), "size") == (f"{rule(guard).rate}", rule(guard).key, rule(guard).cost)
        call("u1", 5)
        assert refusal(call, "u1")
        assert "u2" == call("u2")

    def test_each_field_may_be_the_only_one(self, guard, call):
        rows = [
            ({"burst": 7}, 7),
            ({"cost": 2}, 2),
            ({"charge": "failure"}, "failure"),
            ({"mode": "shadow"}, "shadow"),
            ({"key": "tenant"}, (("tenant",),)),
            ({"algorithm": "fixed_window"}, "fixed_window"),
            ({"when": {"user": "u1"}}, {"user": ("u1",)}),
        ]
        for written, value in rows:
            [name] = written
            guard.apply([{**LIMIT, "rate": "2/h", **written}])
            assert value == getattr(rule(guard), name)

    def test_callables_of_the_code_stay_too(self, guard):
        @guard.limit("1/h", key=lambda user: user[0], cost=len, name="r", fallback="instead")
        def call(user):
            return user

        guard.apply([{**LIMIT, "rate": "5/h"}])
        assert ["abc", "ad", "instead", "bc"] == [call("abc"), call("ad"), call("ax"), call("bc")]

    def test_a_key_in_the_file_replaces_the_callable(self, guard):
        call = guard.limit("1/h", key=lambda user, tenant: user, name="r")(lambda user, tenant: user)
        guard.apply([{**LIMIT, "rate": "1/h", "key": "tenant"}])
        assert ["a", "b"] == [call("a", 1), call("b", 2)]
        assert refusal(call, "c", 1)

    def test_an_option_of_the_code_that_does_not_apply_any_more_gives_way(self, guard):
        guard.limit("2/h", burst=9, name="r")(id)(1)
        guard.apply([{**LIMIT, "rate": "2/h", "algorithm": "sliding_window"}])
        assert (None, "sliding_window") == (rule(guard).burst, rule(guard).algorithm)

    def test_defaults_of_the_file_are_not_written_by_the_rule(self, guard, call):
        """What a file says of all breakers is weaker than what the code says of this one."""
        document = {
            "version": 1,
            "defaults": {"breaker": {"open_for": "10s", "half_open_calls": 7}},
            "rules": [{"resource": "r", "kind": "breaker", "min_calls": 3}],
        }
        guard.apply(document)
        taken = rule(guard, "r/breaker")
        assert (3_600_000_000, 3, 2) == (taken.open_for_us, taken.min_calls, taken.consecutive_failures)
        assert 3 == taken.half_open_calls

    def test_each_rule_of_the_stack_is_taken_over_on_its_own(self, guard, call):
        guard.apply(
            [
                {**LIMIT, "rate": "9/h"},
                {"resource": "r", "kind": "bulkhead", "max_concurrent": 7},
                {"resource": "r", "kind": "breaker", "consecutive_failures": 5},
            ]
        )
        assert 9 == rule(guard).rate.amount
        assert 7 == rule(guard, "r/bulkhead").max_concurrent
        assert 5 == rule(guard, "r/breaker").consecutive_failures
        assert 3 == len(guard.named())


class TestWhichRule:
    def test_one_of_the_same_name(self, guard, call):
        guard.apply([{**LIMIT, "name": "r/limit", "rate": "5/h"}])
        assert ["r/limit", "5/h"] == [rule(guard).name, f"{rule(guard).rate}"]

    def test_one_of_the_same_resource_and_kind_under_another_name(self, guard, call):
        guard.apply([{**LIMIT, "name": "tuned", "rate": "5/h"}])
        assert {"tuned", "r/breaker", "r/bulkhead"} == set(guard.named())
        call("u1", 5)
        assert "tuned" == refusal(call, "u1").rule
        assert (("user",),) == rule(guard, "tuned").key

    def test_only_the_first_of_two_on_the_resource_takes_over_the_other_adds(self, guard, call):
        guard.apply([{**LIMIT, "name": "first", "rate": "5/h"}, {**LIMIT, "name": "second", "rate": "3/h"}])
        assert {"first", "second"} == {
            verdict.rule for verdict in guard.peek("r", {"user": "u1"}).verdicts if verdict.kind == "limit"
        }
        assert ((("user",),), ()) == (rule(guard, "first").key, rule(guard, "second").key)

    def test_the_name_goes_before_the_place(self, guard, call):
        guard.apply([{**LIMIT, "name": "first", "rate": "5/h"}, {**LIMIT, "name": "r/limit", "rate": "3/h"}])
        assert ((), (("user",),)) == (rule(guard, "first").key, rule(guard).key)

    def test_the_second_of_its_kind_in_a_stack_is_taken_over_by_its_name_only(self, guard):
        guard.limit("2/h")(guard.limit("1/h", name="r")(id))
        guard.apply([{**LIMIT, "name": "r/limit/2", "rate": "9/h"}])
        assert (1, 9) == (rule(guard).rate.amount, rule(guard, "r/limit/2").rate.amount)
        for name in ("other", "r/limit/two", "2"):
            guard.apply([{**LIMIT, "name": name, "rate": "9/h"}])
            assert (9, 2) == (rule(guard, name).rate.amount, rule(guard, "r/limit/2").rate.amount)

    @pytest.mark.parametrize("resource", ["*", "**", ["r", "s"], "{any}"])
    def test_patterns_and_lists_add_and_never_replace(self, guard, call, resource):
        guard.apply([{"name": "wide", "resource": resource, "kind": "limit", "rate": "1/h"}])
        call("u1")
        refused = refusal(call, "u2")
        assert "wide" == refused.rule
        assert {"r/limit", "wide"} == {verdict.rule for verdict in refused.decision.verdicts if verdict.kind == "limit"}
        assert 2 == rule(guard).rate.amount

    def test_verdicts_come_in_the_order_of_the_code_and_then_of_the_file(self, guard):
        call = guard.limit("1/h")(guard.limit("9/h", name="r")(lambda: 1))
        wide = {"resource": "**", "kind": "limit", "rate": "9/h"}
        guard.apply([{**wide, "name": "a"}, {**LIMIT, "name": "tuned", "rate": "9/h"}, {**wide, "name": "b"}])
        call()
        assert ["r/limit/2", "tuned", "a", "b"] == [verdict.rule for verdict in refusal(call).decision.verdicts]

    def test_another_kind_on_the_resource_adds(self, guard):
        call = guard.limit("9/h", name="r")(lambda: 1)
        guard.apply([{"resource": "r", "kind": "bulkhead", "max_concurrent": 1}])
        call()
        assert {"r/limit", "r/bulkhead"} == set(guard.named())


class TestOneRuleEverywhere:
    """A rule that takes over is one rule with one state, wherever the file applies it."""

    @pytest.mark.parametrize("resource", ["*", ["r", "s"]])
    @pytest.mark.parametrize("first", ["r", "s"])
    def test_one_of_the_same_name_and_a_wider_resource(self, guard, resource, first):
        guard.apply([{"name": "r/limit", "resource": resource, "kind": "limit", "rate": "1/h"}])
        calls = {
            "r": guard.limit("9/h", key="user", name="r")(lambda user: user),
            "s": guard.guarded("s")(lambda user: user),
        }
        [second] = calls.keys() - {first}
        calls[first]("u1")
        assert "r/limit" == refusal(calls[second], "u1").rule
        assert "u2" == calls[second]("u2")

    def test_one_that_another_function_of_the_resource_knows_from_the_file_only(self, guard):
        guard.apply([{**LIMIT, "name": "tuned", "rate": "1/h"}])
        tuned = guard.limit("9/h", key="user", name="r")(lambda user: user)
        other = guard.guarded("r")(lambda user: user)
        assert ["u1", "u2"] == [tuned("u1"), other("u2")]
        assert ["tuned", "tuned"] == [refusal(other, "u1").rule, refusal(tuned, "u2").rule]
        with pytest.raises(Exception, match="exceeded by rule 'tuned'"), guard.enter("r", {"user": "u1"}):
            pass

    def test_callers_without_a_function_are_counted_with_those_of_the_function(self, guard):
        call = guard.limit("2/h", key="user", name="r")(lambda user: user)
        call("u1")
        with guard.enter("r", {"user": "u1"}):
            pass
        assert refusal(call, "u1")
        with attributes(user="u2"):
            assert 2 == left(guard, "r")
