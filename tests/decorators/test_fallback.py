"""A fallback answers where a rule says no, and for the errors it is told to; everything else goes its way."""

import asyncio

import pytest

from guardrail import BreakerOpen, BulkheadFull, RateLimited, Refused
from tests.decorators.kinds import async_generator, coroutine, function, generator
from tests.decorators.scene import inside, items, result


class TestValues:
    @pytest.mark.parametrize("value", [None, 0, "", "instead", (), [1, 2]])
    def test_any_value_is_an_answer(self, guard, value):
        call = guard.limit("1/h", fallback=value)(lambda: "itself")
        assert ["itself", value, value] == [call(), call(), call()]

    def test_a_coroutine_answers_with_it_too(self, guard):
        @guard.limit("1/h", fallback="instead")
        async def call():
            return "itself"

        assert ["itself", "instead"] == [result(call), result(call)]

    def test_a_generator_yields_from_an_iterable(self, guard):
        @guard.limit("1/h", fallback=("a", "b"))
        def stream():
            yield 1

        assert [[1], ["a", "b"], ["a", "b"]] == [list(stream()) for _ in range(3)]

    def test_an_async_generator_yields_from_an_async_iterable(self, guard):
        class Letters:
            async def __aiter__(self):
                yield "a"
                yield "b"

        @guard.limit("1/h", fallback=Letters())
        async def stream():
            yield 1

        assert [[1], ["a", "b"], ["a", "b"]] == [result(stream) for _ in range(3)]


class TestCallables:
    def test_it_is_called_with_the_arguments_of_the_call(self, guard):
        def instead(a, b=2, *rest, c=3, **more):
            return "instead", a, b, rest, c, more

        call = guard.limit("1/h", fallback=instead)(lambda a, b=2, *rest, c=3, **more: "itself")
        call(1)
        assert ("instead", 1, 5, (6,), 7, {"d": 8}) == call(1, 5, 6, c=7, d=8)
        assert ("instead", 1, 2, (), 3, {}) == call(a=1)

    def test_its_parameters_may_have_other_names(self, guard):
        call = guard.limit("1/h", fallback=lambda one, other, *, c: (one, other, c))(lambda a, b=2, *, c=3: "itself")
        call(1)
        assert [(1, 2, 3), (1, 5, 3), (1, 5, 7)] == [call(a=1), call(b=5, a=1), call(1, b=5, c=7)]

    def test_it_may_take_whatever_comes(self, guard):
        call = guard.limit("1/h", fallback=lambda *args, **kwargs: (args, kwargs))(lambda a, b=2, *, c=3: "itself")
        call(1)
        assert ((1,), {}) == call(1)
        assert ((1, 2), {"c": 4}) == call(1, c=4)

    def test_a_parameter_called_refused_receives_the_refusal(self, guard):
        def instead(a, *, refused):
            return a, refused

        call = guard.limit("1/h", name="r", fallback=instead)(lambda a: a)
        call(1)
        a, refused = call(2)
        assert 2 == a
        assert isinstance(refused, RateLimited)
        assert ("r", "r/limit", 3600.0) == (refused.resource, refused.rule, refused.retry_after)

    def test_it_may_have_a_default_and_stand_behind_the_others(self, guard):
        call = guard.limit("1/h", fallback=lambda a, refused=None: refused.reason)(lambda a: a)
        assert [1, "rate"] == [call(1), call(a=1)]

    def test_a_method_passes_itself(self, guard):
        class Service:
            def instead(self, x, refused):
                return self, x, refused.reason

            @guard.limit("1/h", fallback=instead)
            def call(self, x):
                return x

        service = Service()
        assert [1, (service, 2, "rate")] == [service.call(1), service.call(x=2)]

    def test_it_may_be_a_builtin_a_class_or_a_bound_method(self, guard):
        def call(text):
            return text

        for number, (instead, answer) in enumerate(
            [(len, 3), (list, ["a", "b", "c"]), ("-".join, "a-b-c"), (max, "c")]
        ):
            guarded = guard.limit("1/h", fallback=instead, name=f"r{number}")(call)
            assert ["abc", answer] == [guarded("abc"), guarded("abc")]

    def test_it_may_stand_in_for_a_builtin_that_does_not_say_what_it_takes(self, guard):
        call = guard.limit("1/h", fallback=lambda items: "instead")(max)
        assert [3, "instead"] == [call([1, 2, 3]), call([1, 2, 3])]

    def test_its_own_error_comes_out(self, guard):
        def instead():
            raise LookupError("no cache")

        call = guard.limit("1/h", fallback=instead)(lambda: 1)
        call()
        with pytest.raises(LookupError, match="no cache"):
            call()


class TestKinds:
    @pytest.fixture
    def plain(self):
        return lambda a, refused: ("plain", a, refused.reason)

    def test_a_coroutine_may_be_answered_for_by_a_coroutine_or_by_a_function(self, guard, plain):
        async def soon(a, refused):
            await asyncio.sleep(0)
            return "soon", a, refused.reason

        for name, instead in (("plain", plain), ("soon", soon)):
            call = guard.limit("1/h", fallback=instead, name=name)(coroutine)
            result(call, 1)
            assert (name, 2, "rate") == result(call, 2)

    def test_a_generator_may_be_answered_for_by_a_generator_that_is_sent_to_and_returns(self, guard):
        def instead(a, refused):
            got = yield "instead", a
            return got, refused.reason

        call = guard.limit("1/h", fallback=instead)(generator)
        list(call(1))
        stream = call(2)
        assert ("instead", 2) == next(stream)
        with pytest.raises(StopIteration) as stop:
            stream.send("sent")
        assert ("sent", "rate") == stop.value.value

    def test_a_generator_may_be_answered_for_by_a_function_that_returns_an_iterable(self, guard):
        call = guard.limit("1/h", fallback=lambda a: [a, a])(generator)
        assert [[1], [2, 2]] == [list(call(1)), list(call(2))]

    def test_an_async_generator_may_be_answered_for_by_an_async_generator(self, guard):
        async def instead(a, refused):
            yield a
            yield refused.reason

        call = guard.limit("1/h", fallback=instead)(async_generator)
        assert [[1], [2, "rate"]] == [result(call, 1), result(call, 2)]

    def test_an_async_generator_may_be_answered_for_by_a_function_that_returns_an_async_iterable(self, guard):
        call = guard.limit("1/h", fallback=lambda a: async_generator(a * 10))(async_generator)
        assert [[1], [20]] == [result(call, 1), result(call, 2)]

    def test_leaving_a_fallback_half_way_holds_nothing(self, guard):
        ended = []

        async def instead(a):
            try:
                yield a
                yield a
            finally:
                ended.append(a)

        @guard.bulkhead(1)
        @guard.limit("1/h", name="r", fallback=instead)
        async def stream(a):
            yield a

        async def main():
            await items(stream(1))
            answer = stream(2)
            assert 2 == await anext(answer)
            await answer.aclose()
            del answer
            for _ in range(3):
                await asyncio.sleep(0)

        asyncio.run(main())
        assert [2] == ended
        assert 0 == inside(guard)


class TestOwnRefusalsOnly:
    def test_every_rule_of_its_own_plan_is_answered(self, guard):
        @guard.bulkhead(1, fallback=lambda refused=None: refused)
        @guard.breaker()
        @guard.limit("2/h", name="r")
        def call():
            return call() if inside(guard) == 1 and not guard.breakers["r/breaker"].snapshot().calls else "itself"

        assert isinstance(call(), BulkheadFull)
        call()
        assert isinstance(call(), RateLimited)
        guard.breakers["r/breaker"].force_open()
        assert isinstance(call(), BreakerOpen)

    def test_rules_from_files_are_of_the_plan_too(self, guard):
        guard.apply([{"resource": "**", "kind": "limit", "rate": "1/h"}])
        call = guard.guarded("r", fallback="instead")(lambda: "itself")
        assert ["itself", "instead"] == [call(), call()]

    @pytest.mark.parametrize("kind", [function, coroutine, generator, async_generator])
    def test_a_refusal_from_further_in_passes_through(self, guard, kind):
        inner = guard.limit("1/h", name="inner")(kind)
        outer = guard.limit("9/h", name="outer", fallback=lambda a: [])(inner)
        result(outer, 1)
        with pytest.raises(Refused) as refused:
            result(outer, 1)
        assert "inner" == refused.value.resource

    def test_a_refusal_that_the_function_raises_itself_passes_through(self, guard):
        inner = guard.limit("1/h", name="inner")(lambda: 1)

        @guard.bulkhead(1, name="outer", fallback="instead")
        def outer():
            return inner()

        outer()
        with pytest.raises(Refused):
            outer()
