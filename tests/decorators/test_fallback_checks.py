"""A fallback that does not fit is refused when decorating."""

import pytest

from guardrail import RuleError
from tests.decorators.kinds import async_generator, coroutine, function, generator


class TestChecks:
    """What does not fit is refused when decorating."""

    ROWS = (
        (lambda: 1, "too many positional arguments"),
        (lambda a: 1, "too many positional arguments"),
        (lambda a, b, c: 1, "missing a required argument: 'c'"),
        (lambda a, b, *, d: 1, "'d'"),
        (lambda refused, a, b=2: 1, "multiple values for argument 'refused'"),
    )

    @pytest.mark.parametrize(("instead", "message"), ROWS)
    def test_a_signature_that_does_not_fit(self, guard, instead, message):
        with pytest.raises(TypeError) as error:
            guard.limit("1/s", fallback=instead)(two)
        assert f"{error.value}".startswith("fallback TestChecks.<lambda> cannot be called like two(a, b=2): ")
        assert message in f"{error.value}"
        assert f"{error.value}".endswith(
            "; give it the same parameters, and behind them `refused` if it wants the refusal"
        )

    def test_what_the_function_takes_any_number_of_the_fallback_takes_too(self, guard):
        for target in (lambda *args: 1, lambda **kwargs: 1):
            with pytest.raises(TypeError, match="cannot be called like"):
                guard.limit("1/s", fallback=lambda: 1)(target)
            guard.limit("1/s", fallback=lambda *args, **kwargs: 1)(target)

    def test_callables_without_a_name_are_shown_as_they_are(self, guard):
        class Called:
            def __call__(self, a, b):
                return a

            def __repr__(self):
                return "<called>"

        with pytest.raises(TypeError, match=r"fallback <called> cannot be called like <called>\(a, b\): "):
            guard.limit("1/s", fallback=type("Other", (Called,), {"__call__": lambda self: 1})())(Called())

    KINDS = (
        (function, coroutine, "is a coroutine function and cannot answer for a plain function: make it a plain"),
        (function, generator, "is a generator function and cannot answer for a plain function"),
        (function, async_generator, "is an async generator function and cannot answer for a plain function"),
        (coroutine, generator, "is a generator function and cannot answer for a coroutine function"),
        (coroutine, async_generator, "is an async generator function and cannot answer for a coroutine function"),
        (generator, coroutine, "is a coroutine function and cannot answer for a generator function"),
        (generator, async_generator, "is an async generator function and cannot answer for a generator function"),
        (async_generator, coroutine, "is a coroutine function and cannot answer for an async generator function"),
        (async_generator, generator, "is a generator function and cannot answer for an async generator function"),
    )

    @pytest.mark.parametrize(("target", "instead", "message"), KINDS)
    def test_a_callable_of_another_kind(self, guard, target, instead, message):
        with pytest.raises(TypeError) as error:
            guard.limit("1/s", fallback=instead)(target)
        assert f"fallback {instead.__qualname__} {message}" in f"{error.value}"

    def test_a_value_that_is_no_stream(self, guard):
        with pytest.raises(TypeError, match="fallback=None answers for a generator: give an iterable, or a function"):
            guard.limit("1/s", fallback=None)(generator)
        with pytest.raises(TypeError, match=r"fallback=\[1\] answers for an async generator: give an async iterable"):
            guard.limit("1/s", fallback=[1])(async_generator)

    def test_two_in_one_stack(self, guard):
        with pytest.raises(TypeError, match="r has a fallback already; give one for the whole stack"):
            guard.limit("1/s", fallback=1)(guard.bulkhead(1, fallback=None, name="r")(function))

    def test_two_plans_have_one_each(self, guard):
        call = guard.limit("2/h", fallback="outer", name="outer")(
            guard.limit("1/h", fallback="inner", name="r")(function)
        )
        assert [1, "inner", "outer"] == [call(1), call(1), call(1)]

    def test_what_is_refused_leaves_no_rule_behind(self, guard):
        with pytest.raises(TypeError):
            guard.limit("1/s", fallback=lambda: 1)(two)
        assert {} == dict(guard.named())

    def test_a_wrong_rule_is_told_of_before_nothing_else_is_wrong(self, guard):
        with pytest.raises(RuleError):
            guard.limit("fast", fallback=1)(two)


def two(a, b=2):
    return a, b
