"""Decorators that follow one another make one plan."""

import functools
import inspect

import pytest

from guardrail import Guard, RuleError
from tests.decorators.scene import inside, left, refusal, result


def foreign(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def names(guard, resource):
    return [verdict.rule for verdict in guard.peek(resource, cost=0).verdicts]


class TestOnePlan:
    def test_all_or_nothing_is_taken(self, guard):
        """A call that one limit refuses costs the others nothing, whichever stands above."""

        @guard.limit("1/h", name="r")
        @guard.limit("5/h", name="r")
        def call():
            pass

        call()
        for _ in range(3):
            refusal(call)
        assert {"r/limit": 4, "r/limit/2": 0} == {name: left(guard, "r", name) for name in names(guard, "r")}

    def test_a_breaker_that_is_open_costs_no_token_wherever_it_stands(self, guard):
        @guard.limit("5/h")
        @guard.breaker(name="r")
        def call():
            pass

        guard.breakers["r/breaker"].force_open()
        assert "breaker_forced" == refusal(call).reason
        guard.breakers["r/breaker"].reset()
        assert 5 == left(guard, "r", "r/limit")

    def test_the_function_is_called_once_and_by_nobody_in_between(self, guard):
        def call():
            return len(inspect.stack())

        depth = call()
        once = guard.limit("9/h")(call)()
        stacked = guard.bulkhead(3)(guard.breaker()(guard.limit("9/h")(call)))()
        assert depth < once
        assert stacked <= once + 1

    def test_every_order_of_the_three_gives_the_same_decisions(self, guard):
        def decorators(name):
            return [guard.limit("2/h", name=name), guard.breaker(name=name), guard.bulkhead(1, name=name)]

        for number, order in enumerate([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]):
            call = functools.reduce(
                lambda function, one: one(function), [decorators(f"r{number}")[i] for i in order], id
            )
            call(1)
            call(1)
            refused = refusal(call, 1)
            assert (f"r{number}/limit", "rate") == (refused.rule, refused.reason)
            assert 0 == inside(guard)

    def test_the_default_name_is_module_and_qualified_name(self, guard):
        @guard.limit("1/h")
        def call():
            pass

        call()
        refused = refusal(call)
        assert (
            f"{__name__}.TestOnePlan.test_the_default_name_is_module_and_qualified_name.<locals>.call"
            == refused.resource
        )
        assert f"{refused.resource}/limit" == refused.rule


class TestNames:
    def test_a_second_rule_of_its_kind_is_numbered_from_the_function_upwards(self, guard):
        @guard.limit("3/h")
        @guard.bulkhead(2)
        @guard.limit("2/h")
        @guard.bulkhead(1)
        @guard.limit("1/h", name="r")
        def call():
            pass

        call()
        assert ["r/bulkhead", "r/bulkhead/2", "r/limit", "r/limit/2", "r/limit/3"] == sorted(names(guard, "r"))
        assert {"r/limit": 1, "r/limit/2": 2, "r/limit/3": 3} == {
            verdict.rule: verdict.limit for verdict in guard.peek("r", cost=0).verdicts if verdict.kind == "limit"
        }

    def test_the_verdicts_of_a_refusal_are_listed_from_the_outermost_inwards(self, guard):
        @guard.limit("1/h")
        @guard.limit("2/h", name="r")
        def call():
            pass

        call()
        assert ["r/limit/2", "r/limit"] == [verdict.rule for verdict in refusal(call).decision.verdicts]

    def test_the_name_of_the_innermost_is_that_of_all_above_without_one(self, guard):
        @guard.bulkhead(3)
        @guard.limit("1/h", name="r")
        def call():
            pass

        call()
        assert "r" == refusal(call).resource
        assert {"r/bulkhead", "r/limit"} == set(names(guard, "r"))

    def test_the_same_name_above_and_below_is_one_plan(self, guard):
        @guard.limit("1/h", name="r")
        @guard.bulkhead(3, name="r")
        def call():
            pass

        call()
        assert "r/limit" == refusal(call).rule
        assert 0 == inside(guard)

    def test_another_name_above_is_a_plan_of_its_own_around_the_first(self, guard):
        @guard.limit("5/h", name="outer")
        @guard.limit("1/h", name="inner")
        def call():
            pass

        call()
        refused = refusal(call)
        assert ("inner", "inner/limit") == (refused.resource, refused.rule)
        assert (3, 0) == (left(guard, "outer"), left(guard, "inner"))

    def test_several_functions_of_one_name_share_their_states(self, guard):
        @guard.limit("2/h", name="r")
        def one():
            pass

        @guard.limit("2/h", name="r")
        async def other():
            pass

        one()
        result(other)
        assert refusal(one)
        assert refusal(other)

    def test_guarded_alone_lets_every_call_through_until_a_file_says_otherwise(self, guard):
        @guard.guarded("r")
        def call():
            return 1

        assert 1 == call()
        guard.apply([{"resource": "r", "kind": "limit", "rate": "1/h"}])
        call()
        assert "r/limit" == refusal(call).rule

    def test_guarded_joins_the_stack_it_stands_in(self, guard):
        @guard.guarded("r", fallback="instead")
        @guard.limit("1/h", name="r")
        def call():
            return "itself"

        assert ["itself", "instead"] == [call(), call()]

    def test_a_route_template_may_be_a_name(self, guard):
        @guard.breaker(name="GET /v1/orders/{id}")
        def call():
            pass

        call()
        assert ["GET /v1/orders/{id}/breaker/GET /v1/orders/{id}"] == list(guard.breakers)


class TestForeignDecorators:
    MESSAGE = "r is guarded already, below another decorator: put ours together, or give this one a name="

    @pytest.fixture
    def inner(self, guard):
        @guard.limit("5/h", name="r")
        def call(self=None, x=1):
            return x

        return call

    def test_one_in_between_is_refused(self, guard, inner):
        with pytest.raises(RuleError) as error:
            guard.bulkhead(1, name="r")(foreign(inner))
        assert self.MESSAGE == f"{error.value}"

    def test_one_in_between_is_refused_without_a_name_too(self, guard):
        @foreign
        @foreign
        @guard.limit("5/h")
        def call():
            pass

        with pytest.raises(RuleError, match="is guarded already, below another decorator"):
            guard.bulkhead(1)(call)

    def test_several_in_between_are_refused(self, guard, inner):
        with pytest.raises(RuleError, match="guarded already"):
            guard.bulkhead(1, name="r")(foreign(foreign(inner)))

    def test_with_another_name_it_is_a_plan_of_its_own(self, guard, inner):
        call = guard.bulkhead(1, name="other")(foreign(inner))
        assert 1 == call()
        assert 4 == left(guard, "r")
        assert 0 == inside(guard)

    def test_a_name_that_is_used_two_plans_below_is_refused_too(self, guard, inner):
        with pytest.raises(RuleError, match="guarded already"):
            guard.limit("1/h", name="r")(guard.limit("1/h", name="other")(inner))

    def test_a_partial_of_a_guarded_function_is_refused(self, guard, inner):
        with pytest.raises(RuleError, match="guarded already"):
            guard.limit("1/h", name="r")(functools.partial(inner, x=2))

    def test_a_bound_method_of_a_guarded_method_is_refused(self, guard, inner):
        class Service:
            call = inner

        with pytest.raises(RuleError, match="guarded already"):
            guard.limit("1/h", name="r")(Service().call)

    def test_what_is_refused_leaves_nothing_behind(self, guard, inner):
        with pytest.raises(RuleError):
            guard.bulkhead(1, name="r")(foreign(inner))
        assert ["r/limit"] == names(guard, "r")

    def test_a_foreign_decorator_above_or_below_all_of_ours_is_no_matter(self, guard):
        @foreign
        @guard.limit("1/h")
        @guard.bulkhead(1, name="r")
        @foreign
        def call():
            return 1

        assert 1 == call()
        assert "r/limit" == refusal(call).rule

    def test_a_decorator_that_copied_our_marks_is_foreign(self, guard, inner):
        """`functools.wraps` copies all that hangs on a function."""
        copied = foreign(inner)
        assert vars(copied).keys() >= vars(inner).keys()
        call = guard.bulkhead(1, name="other")(copied)
        assert ["other/bulkhead"] == names(guard, "other")
        assert 1 == call()


class TestTwoGuards:
    def test_each_has_its_own_plan_and_states(self, guard, clock):
        other = Guard(clock=clock)

        @other.limit("2/h")
        @guard.limit("1/h", name="r")
        def call():
            pass

        call()
        assert "r" == refusal(call).resource
        assert 0 == left(guard, "r")
        assert "rate" == refusal(call).reason
        assert [] == list(other.rules)

    def test_a_guard_stays_out_of_the_others_files(self, guard, clock):
        other = Guard([{"resource": "**", "kind": "limit", "rate": "5/h"}], clock=clock)
        guard.limit("1/h", name="r")(id)(1)
        assert 5 == left(other, "r")

    def test_one_guard_in_between_of_another_is_a_foreign_decorator(self, guard, clock):
        other = Guard(clock=clock)
        with pytest.raises(RuleError, match="guarded already"):
            guard.limit("1/h", name="r")(other.limit("1/h", name="r")(guard.limit("1/h", name="r")(id)))
