"""What a call costs, when a rule applies, and what counts as a failure."""

import asyncio

import pytest

from guardrail import RuleError, attributes
from tests.decorators.scene import failures, left, refusal, result


class TestCost:
    def test_a_number_is_what_every_call_costs(self, guard):
        call = guard.limit("10/h", cost=3, name="r")(lambda: 1)
        assert [1, 1, 1] == [call(), call(), call()]
        assert 1 == refusal(call).decision.remaining

    def test_an_argument_may_say_it(self, guard):
        call = guard.limit("10/h", cost="size", name="r")(lambda size=2: size)
        call(5)
        call(size=1)
        call()
        assert 2 == left(guard, "r")

    def test_an_attribute_of_an_argument_may_say_it(self, guard):
        class Batch:
            size = 4

        guard.limit("10/h", cost="batch.size", name="r")(lambda batch: batch)(Batch())
        assert 6 == left(guard, "r")

    def test_something_around_the_call_may_say_it(self, guard):
        call = guard.limit("10/h", cost="header.x-cost", name="r")(lambda: 1)
        with attributes({"header.x-cost": "4"}):
            call()
        assert 6 == left(guard, "r")

    def test_a_callable_over_the_arguments_may_say_it(self, guard):
        call = guard.limit("10/h", cost=lambda items, **_: len(items), name="r")(lambda items, flag=None: items)
        call("abc", flag=True)
        assert 7 == left(guard, "r")

    @pytest.mark.parametrize("size", ["much", "", None, -3, 2.5, True, "1e3", "٣", object()])
    def test_what_is_no_whole_number_costs_what_a_call_costs(self, guard, size):
        guard.limit("10/h", cost="size", name="r")(lambda size: 1)(size)
        assert 9 == left(guard, "r")

    def test_nothing_is_a_cost_too(self, guard):
        call = guard.limit("1/h", cost="size")(lambda size: size)
        call(1)
        assert [0, 0] == [call(0), call(0)]
        assert refusal(call, 1)

    def test_more_than_the_limit_ever_has_is_refused_for_ever(self, guard):
        refused = refusal(guard.limit("10/h", cost="size")(lambda size: size), 11)
        assert ("cost_too_large", None) == (refused.reason, refused.retry_after)

    BAD = ((2.5, TypeError), ("3", TypeError), (True, TypeError), (None, TypeError), (-1, ValueError))

    @pytest.mark.parametrize(("cost", "error"), BAD)
    @pytest.mark.parametrize("kind", ["function", "coroutine"])
    def test_a_callable_that_says_nonsense_is_the_programmers_mistake(self, guard, cost, error, kind):
        async def coroutine():
            return 1

        call = guard.limit("10/h", cost=lambda: cost, name="r")(coroutine if kind == "coroutine" else lambda: 1)
        with pytest.raises(error, match="cost must be"):
            result(call)
        assert 10 == left(guard, "r")

    def test_each_limit_of_a_stack_has_its_own_cost(self, guard):
        @guard.limit("10/h", cost="size")
        @guard.limit("10/h", cost=lambda size: 1)
        @guard.limit("10/h", cost=2, name="r")
        def call(size):
            pass

        call(5)
        remaining = {verdict.rule: verdict.remaining for verdict in refusal(call, 6).decision.verdicts}
        assert {"r/limit/3": 5, "r/limit/2": 9, "r/limit": 8} == remaining


class TestWhen:
    def test_a_rule_applies_where_the_argument_has_one_of_the_values(self, guard):
        call = guard.limit("1/h", when={"plan": ["free", "trial"]})(lambda plan: plan)
        call("free")
        assert refusal(call, "trial")
        assert ["paid", "paid"] == [call("paid"), call("paid")]

    def test_a_rule_applies_where_the_argument_has_another_value(self, guard):
        call = guard.limit("1/h", when={"plan": "!paid"})(lambda plan=None: plan)
        call()
        assert refusal(call, "free")
        assert "paid" == call("paid")

    def test_attributes_around_the_call_count_where_there_is_no_argument(self, guard):
        call = guard.limit("1/h", when={"header.x-plan": "free"})(lambda: 1)
        assert [1, 1] == [call(), call()]
        with attributes({"header.x-plan": "free"}):
            assert 1 == call()
            assert refusal(call)

    def test_breakers_and_bulkheads_apply_where_they_should(self, guard):
        @guard.bulkhead(1, when={"kind": "heavy"})
        @guard.breaker(consecutive_failures=1, when={"kind": "remote"}, name="r")
        def call(kind):
            if kind != "fine":
                raise OSError

        for kind in ["heavy", "heavy", "local", "remote"]:
            with pytest.raises(OSError):
                call(kind)
        assert "breaker_open" == refusal(call, "remote").reason
        call("fine")


class TestFailed:
    @pytest.mark.parametrize("kind", ["function", "coroutine"])
    def test_a_result_may_be_a_failure(self, guard, kind):
        async def coroutine(status):
            return status

        def function(status):
            return status

        call = guard.breaker(consecutive_failures=2, failed=lambda status: status >= 500, name="r")(
            coroutine if kind == "coroutine" else function
        )
        assert [500, 200, 500, 503] == [result(call, status) for status in (500, 200, 500, 503)]
        assert "breaker_open" == refusal(call, 200).reason

    def test_any_decorator_of_the_stack_may_say_it_for_all(self, guard):
        @guard.limit("1/h", charge="failure", failed=lambda answer: answer is None)
        @guard.breaker(consecutive_failures=1, name="r")
        def call(answer):
            return answer

        call("answer")
        assert 1 == left(guard, "r", "r/limit")
        call(None)
        assert "open" == guard.breakers["r/breaker"].state

    def test_what_it_says_is_taken_for_true_or_false(self, guard):
        call = guard.breaker(consecutive_failures=1, failed=lambda answer: answer, name="r")(lambda answer: answer)
        call([])
        assert "closed" == guard.breakers["r/breaker"].state
        call(["error"])
        assert "open" == guard.breakers["r/breaker"].state

    def test_its_own_error_is_an_error_of_the_call(self, guard):
        call = guard.breaker(failed=lambda answer: answer.status, name="r")(lambda: 1)
        with pytest.raises(AttributeError, match="'int' object has no attribute 'status'"):
            call()
        assert 1 == failures(guard, "r/breaker")

    def test_it_counts_for_rules_from_files_too(self, guard):
        guard.apply([{"resource": "r", "kind": "breaker", "consecutive_failures": 1, "name": "filed"}])
        guard.guarded("r", failed=lambda answer: True)(lambda: 1)()
        assert "open" == guard.breakers["filed"].state

    def test_a_charge_for_failures_is_given_back_after_a_success(self, guard):
        @guard.limit("1/h", charge="failure", failed=lambda status: status == 401, name="r")
        async def login(status):
            return status

        assert [200, 200, 401] == [result(login, status) for status in (200, 200, 401)]
        assert refusal(login, 200)

    def test_an_error_that_is_ignored_by_the_breaker_still_costs(self, guard):
        @guard.limit("1/h", charge="failure")
        @guard.breaker(ignore=[ValueError], name="r")
        def call():
            raise ValueError("wrong")

        with pytest.raises(ValueError, match="wrong"):
            call()
        assert 0 == failures(guard, "r/breaker")
        assert "r/limit" == refusal(call).rule


class TestFailures:
    ROWS = (
        ({"failures": OSError}, [OSError, ConnectionError], [ValueError]),
        ({"failures": [OSError, KeyError]}, [FileNotFoundError, KeyError], [ValueError]),
        ({"failures": {OSError}}, [OSError], [ValueError]),
        ({"failures": (kind for kind in [OSError])}, [OSError], [ValueError]),
        ({"failures": "OSError"}, [OSError], [ValueError]),
        ({"failures": ["TimeoutError", ValueError]}, [asyncio.TimeoutError, UnicodeError], [KeyError]),
        ({"ignore": LookupError}, [ValueError], [KeyError]),
        ({"ignore": {LookupError}, "failures": [Exception]}, [ValueError], [KeyError]),
    )

    @pytest.mark.parametrize(("options", "counted", "not_counted"), ROWS)
    def test_classes_and_names_may_be_given_as_they_come(self, guard, options, counted, not_counted):
        call = guard.breaker(min_calls=100, name="r", **options)(raising)
        for error in [*counted, *not_counted]:
            with pytest.raises(error):
                call(error)
        assert len(counted) == failures(guard, "r/breaker")

    def test_a_refusal_from_further_in_is_no_failure(self, guard):
        inner = guard.limit("1/h", name="inner")(lambda: 1)

        @guard.breaker(name="r")
        def call():
            return inner()

        call()
        assert "inner" == refusal(call).resource
        snapshot = guard.breakers["r/breaker"].snapshot()
        assert (1, 0, 1) == (snapshot.total_successes, snapshot.total_failures, snapshot.total_ignored)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
    def test_what_ends_a_program_or_a_task_is_no_failure(self, guard, error):
        call = guard.breaker(name="r")(raising)
        with pytest.raises(error):
            call(error)
        assert 0 == failures(guard, "r/breaker")


def raising(error):
    raise error


def test_a_stream_has_no_result_to_fail(guard):
    def generator():
        yield 1

    async def async_generator():
        yield 1

    for stream in (generator, async_generator):
        with pytest.raises(TypeError, match="failed= looks at a result, and a stream such as r has none"):
            guard.limit("1/h", failed=bool, name="r")(stream)


def test_one_predicate_is_enough_for_a_stack(guard):
    with pytest.raises(TypeError, match="r has a failed= already; give one for the whole stack"):
        guard.limit("1/h", failed=bool)(guard.breaker(failed=bool, name="r")(lambda: 1))


def test_a_wrong_cost_is_an_error_when_decorating(guard):
    for cost in (0, -1, 1.5, "2", True, ["size"], {"size": 1}, b"size"):
        with pytest.raises(RuleError, match="@limit on r: cost must be"):
            guard.limit("1/h", cost=cost, name="r")(lambda size: 1)
