"""A fallback answers the errors it is told to, and no others; the breaker counts them all the same."""

import asyncio

import pytest

from guardrail import Refused
from tests.decorators.kinds import async_generator, coroutine, function, generator
from tests.decorators.scene import inside, result


class TestErrors:
    KINDS = (function, coroutine, generator, async_generator)

    @pytest.fixture(params=KINDS)
    def failing(self, request):
        def function(error):
            raise error

        async def coroutine(error):
            raise error

        def generator(error):
            raise error
            yield

        async def async_generator(error):
            raise error
            yield

        return {"function": function, "coroutine": coroutine, "generator": generator}.get(
            request.param.__name__, async_generator
        )

    @pytest.fixture
    def instead(self, failing):
        """An answer of the failing function's kind, and what it comes to."""
        if failing.__name__ == "async_generator":
            return (lambda error: async_generator("instead")), ["instead"]
        return (lambda error: ["instead"]), ["instead"]

    def test_those_it_is_told_to_are_answered(self, guard, failing, instead):
        answer, comes_to = instead
        call = guard.guarded("r", fallback=answer, fallback_on=(OSError, KeyError))(failing)
        assert [comes_to, comes_to] == [result(call, ConnectionError()), result(call, KeyError())]

    def test_others_are_not(self, guard, failing, instead):
        call = guard.guarded("r", fallback=instead[0], fallback_on=OSError)(failing)
        with pytest.raises(ValueError, match="wrong"):
            result(call, ValueError("wrong"))

    def test_without_being_told_none_is(self, guard, failing, instead):
        call = guard.limit("9/h", fallback=instead[0])(failing)
        with pytest.raises(OSError, match="gone"):
            result(call, OSError("gone"))

    def test_the_breaker_counts_them_all_the_same(self, guard, failing, instead):
        answer, comes_to = instead
        call = guard.breaker(consecutive_failures=2, name="r", fallback=answer, fallback_on=OSError)(failing)
        assert [comes_to] * 3 == [result(call, OSError()) for _ in range(3)]  # the last is a refusal
        assert "open" == guard.breakers["r/breaker"].state
        assert 2 == guard.breakers["r/breaker"].snapshot().total_failures

    def test_places_are_given_back_before_it_answers(self, guard, failing):
        held = []

        def instead(error):
            held.append(inside(guard))
            return async_generator("instead") if failing.__name__ == "async_generator" else ["instead"]

        call = guard.bulkhead(1, fallback=instead, fallback_on=OSError)(failing)
        result(call, OSError())
        assert [0] == held
        assert 0 == inside(guard)

    def test_it_is_told_of_no_refusal_then(self, guard):
        call = guard.guarded("r", fallback=lambda error, refused: refused, fallback_on=OSError)(raising)
        assert call(OSError()) is None

    def test_a_coroutine_may_answer_for_errors_too(self, guard):
        async def instead(error):
            await asyncio.sleep(0)
            return "instead"

        async def fails(error):
            raise error

        call = guard.guarded("r", fallback=instead, fallback_on=OSError)(fails)
        assert "instead" == result(call, OSError())

    def test_a_stream_that_has_begun_goes_on_without_it(self, guard):
        """Whoever has read half of it would not know where the answer begins."""

        def half():
            yield 1
            raise OSError("gone")

        async def ahalf():
            yield 1
            raise OSError("gone")

        for name, stream, answer in (("r", half, ["instead"]), ("ar", ahalf, lambda: async_generator("instead"))):
            call = guard.guarded(name, fallback=answer, fallback_on=OSError)(stream)
            with pytest.raises(OSError, match="gone"):
                result(call)

    def test_a_refusal_may_be_among_them(self, guard):
        """Then those from further in are answered too, because somebody has said so."""
        inner = guard.limit("1/h", name="inner")(lambda: "itself")
        call = guard.guarded("outer", fallback="instead", fallback_on=Refused)(inner)
        assert ["itself", "instead"] == [call(), call()]


def raising(error):
    raise error
