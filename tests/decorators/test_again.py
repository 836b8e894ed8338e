"""Decorating again under the same name, as factories and notebooks do: equal options share, others replace."""

import warnings

import pytest

from guardrail import RuleError
from tests.decorators.scene import left, refusal, result

AGAIN = "r/[a-z]+ is decorated again with other options, which replace the first"


def made(guard, rate="1/h", **options):
    @guard.limit(rate, **{"name": "r"} | options)
    def function(user="u1"):
        return user

    return function


def test_equal_options_share_the_rule_without_a_word(guard):
    first, second = made(guard), made(guard)
    first()
    assert refusal(second)


def test_options_written_in_another_way_are_equal(guard):
    first, second = made(guard, "60/h", burst=1), made(guard, "60 per hour", burst=1)
    first()
    assert refusal(second)


def test_other_options_replace_the_first_and_both_functions_follow(guard):
    first = made(guard, "1/h")
    with pytest.warns(UserWarning, match=AGAIN) as said:
        second = made(guard, "3/h")
    assert 1 == len(said)
    assert ["u1", "u1", "u1"] == [first(), second(), first()]
    assert refusal(first)
    assert refusal(second)


def test_the_warning_points_to_the_line_that_decorates_again(guard):
    made(guard)
    decorators = [guard.limit("2/h", name="r"), guard.limit("3/h", name="r")]
    for decorator, function in zip(decorators, [id, staticmethod(id)], strict=True):
        with pytest.warns(UserWarning, match=AGAIN) as said:
            decorator(function)
        assert [__file__] == [warning.filename for warning in said]


def test_what_was_used_stays_used_when_the_rate_is_replaced(guard):
    made(guard, "2/h")()
    with pytest.warns(UserWarning, match=AGAIN):
        made(guard, "4/h")
    assert 3 == left(guard, "r")


def test_functions_that_were_called_before_follow_too(guard):
    first = made(guard, "1/h")
    first()
    assert refusal(first)
    with pytest.warns(UserWarning, match=AGAIN):
        made(guard, "5/h")
    assert "u1" == first()


def test_a_breaker_that_is_open_stays_open(guard):
    def function():
        raise OSError

    first = guard.breaker(consecutive_failures=1, name="r")(function)
    with pytest.raises(OSError):
        first()
    with pytest.warns(UserWarning, match=AGAIN):
        second = guard.breaker(consecutive_failures=2, name="r")(function)
    assert "breaker_open" == refusal(second).reason


def test_a_replaced_rule_need_not_be_of_one_algorithm(guard):
    first = made(guard, "1/h")
    first()
    with pytest.warns(UserWarning, match=AGAIN):
        made(guard, "2/h", algorithm="fixed_window")
    assert ["u1", "u1"] == [first(), first()]
    assert refusal(first)


def test_a_factory_of_a_whole_stack_shares_each_of_its_rules(guard):
    def factory():
        @guard.limit("3/h")
        @guard.bulkhead(1)
        @guard.limit("2/h", name="r")
        async def function():
            pass

        return function

    calls = [factory() for _ in range(3)]
    for call in calls[:2]:
        result(call)
    assert "r/limit" == refusal(calls[2]).rule
    assert (0, 1) == (left(guard, "r", "r/limit"), left(guard, "r", "r/limit/2"))


def test_each_function_of_a_factory_computes_its_own_key(guard):
    """The callables differ from one function to the next; that is no reason for a warning."""

    def factory(prefix):
        return guard.limit("1/h", key=lambda user: f"{prefix}{user}", name="r")(lambda user: user)

    first, second = factory("a"), factory("b")
    assert ["u", "u"] == [first("u"), second("u")]
    assert refusal(first, "u")
    assert refusal(second, "u")


def test_a_function_that_does_not_know_the_new_key_counts_for_itself(guard):
    """The rule is one for both; who lacks the argument shares the state of those who lack it."""
    first = guard.limit("1/h", name="r")(lambda: 1)
    with pytest.warns(UserWarning, match=AGAIN):
        second = guard.limit("1/h", key="user", name="r")(lambda user: user)
    assert [1, "a", "b"] == [first(), second("a"), second("b")]
    assert refusal(first)
    assert refusal(second, "a")


def test_a_mistake_the_second_time_leaves_the_first_as_it_was(guard):
    first = made(guard, "1/h")
    with pytest.raises(RuleError):
        made(guard, "fast")
    with pytest.raises(TypeError):
        made(guard, "5/h", fallback=lambda: 1)
    first()
    assert refusal(first)


def test_where_warnings_are_errors_the_first_stays(guard):
    first = made(guard, "1/h")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            made(guard, "5/h")
    first()
    assert refusal(first)


def test_a_decorator_may_be_kept_and_used_again(guard):
    """Also one that was given a generator of keys."""
    limited = guard.limit("1/h", key=(name for name in ["a"]))
    first, second = limited(first_function), limited(second_function)
    assert [1, 2, 1] == [first(1), first(2), second(1)]
    assert refusal(first, 1)
    assert refusal(second, 1)


def first_function(a):
    return a


def second_function(a):
    return a
