"""A guarded generator is the generator it was, and holds its permit from its first item to its end."""

import gc

import pytest

from tests.decorators.scene import failures, inside, left, refusal


@pytest.fixture
def echo(guard):
    """A generator that answers what it is sent, may be thrown at, and says how it ended."""
    ends = []

    @guard.bulkhead(1)
    @guard.breaker(min_calls=1, window_calls=1, failure_rate=1.0, failures=[OSError])
    @guard.limit("100/h", name="r")
    def echo(first):
        answer = first
        try:
            while True:
                try:
                    got = yield answer
                except KeyError as error:
                    got = f"caught {error}"
                if got is None:
                    return "the end"
                answer = got
        except BaseException as error:
            ends.append(type(error).__name__)
            raise
        finally:
            ends.append("closed")

    echo.ends = ends
    return echo


def ended(stream, step):
    with pytest.raises(StopIteration) as stop:
        step(stream)
    return stop.value.value


class TestProtocol:
    def test_what_is_sent_in_arrives(self, echo):
        stream = echo("first")
        assert ["first", "second", "third"] == [next(stream), stream.send("second"), stream.send("third")]

    def test_the_return_value_comes_out(self, echo, guard):
        stream = echo("first")
        next(stream)
        assert "the end" == ended(stream, next)
        assert 0 == inside(guard)
        assert ["closed"] == echo.ends

    def test_what_is_thrown_in_may_be_caught(self, echo, guard):
        stream = echo("first")
        next(stream)
        assert "caught 'oops'" == stream.throw(KeyError("oops"))
        assert 1 == inside(guard)
        assert "on" == stream.send("on")

    def test_what_is_thrown_in_and_not_caught_comes_out_and_ends_the_call(self, echo, guard):
        stream = echo("first")
        next(stream)
        with pytest.raises(OSError, match="gone"):
            stream.throw(OSError("gone"))
        assert 0 == inside(guard)
        assert ["OSError", "closed"] == echo.ends
        assert "open" == guard.breakers["r/breaker"].state

    def test_closing_it_closes_the_function_and_ends_the_call(self, echo, guard):
        stream = echo("first")
        next(stream)
        stream.close()
        stream.close()
        assert ["GeneratorExit", "closed"] == echo.ends
        assert 0 == inside(guard)
        assert [] == list(stream)

    def test_closing_it_is_no_vote(self, echo, guard):
        stream = echo("first")
        next(stream)
        stream.close()
        snapshot = guard.breakers["r/breaker"].snapshot()
        assert (0, 0, 1) == (snapshot.total_successes, snapshot.total_failures, snapshot.total_ignored)

    def test_delegating_to_it_is_as_to_the_function(self, echo):
        def outer():
            return (yield from echo("first"))

        stream = outer()
        assert ["first", "second", "caught 'oops'"] == [
            next(stream),
            stream.send("second"),
            stream.throw(KeyError("oops")),
        ]
        assert "the end" == ended(stream, next)

    def test_one_that_will_not_be_closed_is_told_on_as_ever(self, guard):
        @guard.bulkhead(1)
        def stubborn():
            try:
                yield 1
            except GeneratorExit:
                yield 2

        stream = stubborn()
        next(stream)
        with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
            stream.close()

    def test_an_error_is_not_changed_on_its_way_out(self, guard):
        @guard.bulkhead(1)
        def fails():
            yield 1
            raise OSError("gone") from KeyError("cause")

        with pytest.raises(OSError, match="gone") as error:
            list(fails())
        assert isinstance(error.value.__cause__, KeyError)
        assert 0 == inside(guard)


class TestPermit:
    def test_one_that_was_never_started_holds_nothing_and_costs_nothing(self, echo, guard):
        streams = [echo(number) for number in range(200)]
        assert 0 == inside(guard)
        streams[0].close()
        del streams
        gc.collect()
        assert "first" == next(echo("first"))

    def test_it_holds_its_place_from_the_first_item_on(self, echo, guard):
        stream = echo("first")
        next(stream)
        assert 1 == inside(guard)
        assert "bulkhead_full" == refusal(next, echo("other")).reason

    def test_the_refusal_comes_with_the_first_item(self, echo):
        first = echo("first")
        next(first)
        other = echo("other")  # nothing is decided yet
        assert "r" == refusal(next, other).resource
        assert [] == list(other)

    def test_one_that_is_left_half_way_and_collected_gives_its_permit_back(self, echo, guard):
        stream = echo("first")
        next(stream)
        del stream
        gc.collect()
        assert 0 == inside(guard)
        assert ["GeneratorExit", "closed"] == echo.ends

    def test_a_loop_that_is_left_gives_its_permit_back(self, echo, guard):
        for _ in echo("first"):
            break
        assert 0 == inside(guard)

    def test_one_in_a_cycle_gives_its_permit_back_when_the_cycle_is_collected(self, echo, guard):
        class Holder:
            pass

        holder = Holder()
        holder.me, holder.stream = holder, echo("first")
        next(holder.stream)
        gc.disable()
        try:
            del holder
            assert 1 == inside(guard)
            gc.collect()
        finally:
            gc.enable()
        assert 0 == inside(guard)

    def test_wrong_arguments_take_nothing(self, echo, guard, recwarn):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'first'"):
            next(echo())
        gc.collect()
        assert 0 == inside(guard)
        assert 100 == left(guard, "r", "r/limit")
        assert [] == list(recwarn)

    def test_a_stream_that_fails_before_its_first_item_is_a_failure(self, guard):
        @guard.breaker(name="r")
        def fails():
            raise OSError("gone")
            yield

        with pytest.raises(OSError, match="gone"):
            next(fails())
        assert 1 == failures(guard, "r/breaker")

    def test_a_breaker_measures_until_the_first_item(self, guard, clock):
        @guard.breaker(slow_call="1s", min_calls=1, window_calls=3, name="r")
        def stream(first, later):
            clock.advance(first)
            yield 1
            clock.advance(later)
            yield 2

        list(stream(0.5, 100))
        assert 0 == guard.breakers["r/breaker"].snapshot().slow
        list(stream(1.5, 0))
        assert 1 == guard.breakers["r/breaker"].snapshot().slow

    def test_one_without_an_item_is_measured_to_its_end(self, guard, clock):
        @guard.breaker(slow_call="1s", min_calls=1, window_calls=3, name="r")
        def nothing():
            clock.advance(2)
            yield from ()

        assert [] == list(nothing())
        assert 1 == guard.breakers["r/breaker"].snapshot().slow

    def test_the_charge_of_a_failure_is_kept_and_that_of_a_success_given_back(self, guard):
        @guard.limit("1/h", charge="failure", name="r")
        def stream(error):
            yield 1
            if error is not None:
                raise error

        assert [[1], [1]] == [list(stream(None)), list(stream(None))]
        with pytest.raises(OSError, match="gone"):
            list(stream(OSError("gone")))
        assert refusal(next, stream(None))
