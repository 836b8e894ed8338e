"""Whatever can be called can be guarded, and is called as before."""

import functools
import gc
import inspect
import weakref

import pytest

from guardrail import Guard
from tests.decorators.scene import inside, refusal, result


def function(a, b=2):
    return a, b


async def coroutine(a, b=2):
    return a, b


def generator(a, b=2):
    yield a
    yield b


async def async_generator(a, b=2):
    yield a
    yield b


class Called:
    """An object that is called."""

    def __init__(self, mark="kept"):
        self.mark = mark

    def __call__(self, a, b=2):
        return a, b


class Awaited:
    async def __call__(self, a, b=2):
        return a, b


class Streamed:
    def __call__(self, a, b=2):
        yield a
        yield b


class AsyncStreamed:
    async def __call__(self, a, b=2):
        yield a
        yield b


class Slotted:
    __slots__ = ()

    def __call__(self, a, b=2):
        return a, b


class Service:
    def method(self, a, b=2):
        return a, b

    async def amethod(self, a, b=2):
        return a, b

    @classmethod
    def of_class(cls, a, b=2):
        return a, b

    @staticmethod
    def static(a, b=2):
        return a, b


CALLABLES = {
    "a function": function,
    "a coroutine function": coroutine,
    "a generator function": generator,
    "an async generator function": async_generator,
    "a lambda": lambda a, b=2: (a, b),
    "a bound method": Service().method,
    "a bound coroutine method": Service().amethod,
    "a bound class method": Service.of_class,
    "a static method, looked up": Service.static,
    "a partial": functools.partial(function, b=2),
    "a partial of a coroutine function": functools.partial(coroutine, b=2),
    "a partial of a generator function": functools.partial(generator, b=2),
    "a partial of an async generator function": functools.partial(async_generator, b=2),
    "a partial of a partial of a method": functools.partial(functools.partial(Service().method), b=2),
    "a partial of an object that is awaited": functools.partial(Awaited(), b=2),
    "an object that is called": Called(),
    "an object that is awaited": Awaited(),
    "an object that streams": Streamed(),
    "an object that streams asynchronously": AsyncStreamed(),
    "an object without room for attributes": Slotted(),
    "a cached function": functools.lru_cache(function),
}
STREAMS = {name for name in CALLABLES if "generator" in name or "streams" in name}


def expected(name, *values):
    return list(values) if name in STREAMS else values


@pytest.fixture(params=["a clock that stands still", "the system's clock"])
def guard(request, clock):
    return Guard(clock=clock if request.param == "a clock that stands still" else None)


@pytest.mark.parametrize("name", CALLABLES)
class TestEveryCallable:
    def test_gets_its_arguments_and_gives_its_answer(self, name, guard):
        call = guard.limit("100/h")(CALLABLES[name])
        assert expected(name, 1, 2) == result(call, 1)
        assert expected(name, 1, 3) == result(call, 1, b=3)

    def test_is_refused_by_a_limit(self, name, guard):
        call = guard.limit("1/h", name="r")(CALLABLES[name])
        result(call, 1)
        refused = refusal(call, 1)
        assert ("r", "r/limit", "rate") == (refused.resource, refused.rule, refused.reason)

    def test_is_counted_by_a_limit_with_a_key_given_by_position_or_by_name(self, name, guard):
        call = guard.limit("1/h", key="a", name="r")(CALLABLES[name])
        result(call, 1)
        assert "r/limit" == refusal(call, 1).rule
        assert expected(name, 2, 2) == result(call, a=2)
        assert "r/limit" == refusal(call, 2).rule

    def test_holds_its_place_in_a_bulkhead_no_longer_than_it_runs(self, name, guard):
        call = guard.bulkhead(1, name="r")(CALLABLES[name])
        for _ in range(2):
            assert expected(name, 1, 2) == result(call, 1)
        assert 0 == inside(guard)

    def test_is_seen_by_a_breaker(self, name, guard):
        call = guard.breaker(name="r")(CALLABLES[name])
        result(call, 1)
        with pytest.raises(TypeError):
            result(call)
        assert 1 == guard.breakers["r/breaker"].snapshot().total_successes

    def test_is_of_the_kind_it_was(self, name, guard):
        """Frameworks ask the callable, and then its `__call__`."""
        before, after = CALLABLES[name], guard.limit("1/h")(CALLABLES[name])
        for is_kind in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            assert is_kind(before) == is_kind(after)
            assert not is_kind(before.__call__) or is_kind(after.__call__)

    def test_shows_the_signature_it_had(self, name, guard):
        assert inspect.signature(CALLABLES[name]) == inspect.signature(guard.limit("1/h")(CALLABLES[name]))

    def test_passes_through_when_wrapped_twice(self, name, guard):
        call = guard.bulkhead(1, name="outer")(guard.bulkhead(1, name="inner")(CALLABLES[name]))
        for _ in range(2):
            assert expected(name, 1, 2) == result(call, 1)
        assert 0 == inside(guard)


class TestWhileItRuns:
    """The place is held until the answer is there, not only until the object has been called."""

    @pytest.mark.parametrize(
        "wrap", [lambda call: call, functools.partial, lambda call: functools.partial(functools.partial(call))]
    )
    def test_a_place_is_held(self, guard, wrap):
        class Awaits:
            async def __call__(self):
                return [inside(guard)]

        class Streams:
            def __call__(self):
                yield inside(guard)

        class StreamsSoon:
            async def __call__(self):
                yield inside(guard)

        for number, called in enumerate(
            [Awaits(), Streams(), StreamsSoon(), Awaits().__call__, lambda: [inside(guard)]]
        ):
            assert [1] == result(guard.bulkhead(1, name=f"r{number}")(wrap(called)))
        assert 0 == inside(guard)


class TestObjects:
    def test_an_object_keeps_its_attributes_and_its_class(self, guard):
        called = guard.limit("1/h")(Called("kept"))
        assert "kept" == called.mark
        assert isinstance(called, Called)
        assert Called.__doc__ == called.__doc__

    def test_what_is_set_on_a_guarded_object_is_set_on_the_object(self, guard):
        called = Called()
        guard.limit("1/h")(called).mark = "new"
        assert "new" == called.mark

    def test_nothing_of_ours_is_left_on_the_object(self, guard):
        called = Called()
        guard.limit("1/h")(called)
        assert {"mark": "kept"} == vars(called)

    def test_one_object_guarded_twice_gives_two_callables_that_share_the_rule(self, guard):
        called = Called()
        first, second = guard.limit("1/h")(called), guard.limit("1/h")(called)
        first(1)
        assert refusal(second, 1)

    def test_each_of_two_guarded_twins_can_go_on_being_decorated(self, guard):
        """What was decorated last must not be taken for what was decorated first."""
        called = Called()
        first = guard.limit("2/h", name="r")(called)
        guard.limit("2/h", name="r")(called)
        stacked = guard.bulkhead(1)(first)
        stacked(1)
        assert 1 == left_of(guard, "r/limit")

    def test_a_partial_stays_one(self, guard):
        part = guard.limit("1/h")(functools.partial(function, 1))
        assert isinstance(part, functools.partial)
        assert (function, (1,)) == (part.func, part.args)

    def test_a_cached_function_keeps_its_cache(self, guard):
        @guard.limit("10/h")
        @functools.lru_cache
        def square(x):
            return x * x

        assert [4, 4] == [square(2), square(2)]
        assert 1 == square.cache_info().hits
        square.cache_clear()
        assert 0 == square.cache_info().hits


def left_of(guard, rule):
    [verdict] = [verdict for verdict in guard.peek("r", cost=0).verdicts if verdict.rule == rule]
    return verdict.remaining


def test_the_function_itself_stays_reachable_and_unguarded(guard):
    call = guard.limit("1/h")(function)
    assert function is call.__wrapped__
    assert [(1, 2), (1, 2)] == [call.__wrapped__(1), call.__wrapped__(1)]


def test_a_guarded_function_that_nobody_holds_goes(guard):
    """A factory makes any number of them."""

    def made():
        return 1

    call = guard.limit("1/h", key=lambda: 1)(guard.bulkhead(1)(made))
    call()
    gone = weakref.ref(made)
    del made, call
    gc.collect()
    assert gone() is None
