"""A guarded async generator is the async generator it was, and holds its permit from its first item to its end."""

import asyncio
import gc
import sys

import pytest

from guardrail import Refused
from tests.decorators.scene import failures, inside, items, left


@pytest.fixture
def ends():
    return []


@pytest.fixture
def echo(guard, ends):
    """An async generator that answers what it is sent, may be thrown at, and says how it ended."""

    @guard.bulkhead(1)
    @guard.breaker(min_calls=1, window_calls=1, failure_rate=1.0, failures=[OSError])
    @guard.limit("100/h", name="r")
    async def echo(first):
        answer = first
        try:
            while True:
                try:
                    got = yield answer
                except KeyError as error:
                    got = f"caught {error}"
                if got is None:
                    return
                answer = got
        except BaseException as error:
            ends.append(type(error).__name__)
            raise
        finally:
            ends.append("closed")

    return echo


async def started(stream):
    """A stream, and the item it began with."""
    return stream, await anext(stream)


class TestProtocol:
    def test_what_is_sent_in_arrives(self, echo):
        async def main():
            stream, first = await started(echo("first"))
            return [first, await stream.asend("second"), await stream.asend("third")]

        assert ["first", "second", "third"] == asyncio.run(main())

    def test_it_ends_where_the_function_ends(self, echo, guard, ends):
        assert ["first"] == asyncio.run(items(echo("first")))
        assert 0 == inside(guard)
        assert ["closed"] == ends

    def test_what_is_thrown_in_may_be_caught(self, echo, guard):
        async def main():
            stream, _ = await started(echo("first"))
            caught = await stream.athrow(KeyError("oops"))
            return caught, inside(guard), await stream.asend("on")

        assert ("caught 'oops'", 1, "on") == asyncio.run(main())

    def test_what_is_thrown_in_and_not_caught_comes_out_and_ends_the_call(self, echo, guard, ends):
        async def main():
            stream, _ = await started(echo("first"))
            with pytest.raises(OSError, match="gone"):
                await stream.athrow(OSError("gone"))
            return inside(guard), await items(stream)

        assert (0, []) == asyncio.run(main())
        assert ["OSError", "closed"] == ends
        assert "open" == guard.breakers["r/breaker"].state

    def test_closing_it_closes_the_function_and_ends_the_call(self, echo, guard, ends):
        async def main():
            stream, _ = await started(echo("first"))
            await stream.aclose()
            await stream.aclose()
            return inside(guard), await items(stream)

        assert (0, []) == asyncio.run(main())
        assert ["GeneratorExit", "closed"] == ends
        snapshot = guard.breakers["r/breaker"].snapshot()
        assert (0, 0, 1) == (snapshot.total_successes, snapshot.total_failures, snapshot.total_ignored)

    def test_closing_it_before_its_first_item_takes_nothing(self, echo, guard, ends):
        async def main():
            stream = echo("first")
            await stream.aclose()
            return await items(stream)

        assert [] == asyncio.run(main())
        assert [] == ends
        assert 100 == left(guard, "r", "r/limit")

    def test_one_that_will_not_be_closed_is_told_on_as_ever(self, guard):
        @guard.bulkhead(1)
        async def stubborn():
            try:
                yield 1
            except GeneratorExit:
                yield 2

        async def main():
            stream, _ = await started(stubborn())
            with pytest.raises(RuntimeError, match="async generator ignored GeneratorExit"):
                await stream.aclose()
            return inside(guard)

        assert 0 == asyncio.run(main())

    def test_it_waits_for_what_the_function_waits_for_when_it_is_closed(self, guard):
        tidied = []

        @guard.bulkhead(1)
        async def tidy():
            try:
                yield 1
            finally:
                tidied.append(inside(guard))
                await asyncio.sleep(0)
                tidied.append("tidy")

        async def main():
            stream, _ = await started(tidy())
            await stream.aclose()
            return inside(guard)

        assert 0 == asyncio.run(main())
        assert [1, "tidy"] == tidied

    def test_an_error_is_not_changed_on_its_way_out(self, guard):
        @guard.bulkhead(1)
        async def fails():
            yield 1
            raise OSError("gone") from KeyError("cause")

        with pytest.raises(OSError, match="gone") as error:
            asyncio.run(items(fails()))
        assert isinstance(error.value.__cause__, KeyError)
        assert 0 == inside(guard)

    @pytest.mark.parametrize("stop", [StopIteration, StopAsyncIteration])
    def test_a_stop_from_inside_is_an_error_as_ever(self, guard, stop):
        @guard.bulkhead(1)
        async def stops():
            yield 1
            raise stop

        with pytest.raises(RuntimeError, match=f"async generator raised {stop.__name__}"):
            asyncio.run(items(stops()))
        assert 0 == inside(guard)


class TestPermit:
    def test_one_that_was_never_started_holds_nothing_and_costs_nothing(self, echo, guard):
        echo("first")
        gc.collect()
        assert (0, 100) == (inside(guard), left(guard, "r", "r/limit"))

    def test_the_refusal_comes_with_the_first_item(self, echo):
        async def main():
            held, _ = await started(echo("first"))
            other = echo("other")  # nothing is decided yet
            with pytest.raises(Refused) as refused:
                await anext(other)
            await held.aclose()
            return refused.value.reason, await items(other)

        assert ("bulkhead_full", []) == asyncio.run(main())

    def test_one_that_is_left_half_way_gives_its_permit_back_when_it_is_collected(self, echo, guard, ends):
        """A running loop closes what is collected, in its next turns."""

        async def main():
            stream, _ = await started(echo("first"))
            del stream
            gc.collect()
            for _ in range(3):
                await asyncio.sleep(0)
            return inside(guard)

        assert 0 == asyncio.run(main())
        assert ["GeneratorExit", "closed"] == ends

    def test_one_that_is_left_when_the_loop_ends_gives_its_permit_back(self, echo, guard, ends):
        left_behind = []

        async def main():
            stream, _ = await started(echo("first"))
            left_behind.append(stream)

        asyncio.run(main())  # it closes what was never finished
        assert 0 == inside(guard)
        assert ["GeneratorExit", "closed"] == ends

    def test_one_that_was_never_under_a_loop_gives_its_permit_back_when_it_is_collected(self, echo, guard, ends):
        """Nobody has set hooks for async generators, so the collector closes it by itself."""
        assert (None, None) == tuple(sys.get_asyncgen_hooks())
        stream = echo("first")
        step = anext(stream)
        with pytest.raises(StopIteration) as item:
            step.send(None)
        assert "first" == item.value.value
        assert 1 == inside(guard)
        del stream, step, item
        gc.collect()
        assert 0 == inside(guard)
        assert ["GeneratorExit", "closed"] == ends

    def test_one_in_a_cycle_gives_its_permit_back_when_the_cycle_is_collected(self, echo, guard):
        class Holder:
            pass

        async def main():
            holder = Holder()
            holder.me, (holder.stream, _) = holder, await started(echo("first"))
            del holder
            gc.collect()
            for _ in range(3):
                await asyncio.sleep(0)
            return inside(guard)

        assert 0 == asyncio.run(main())

    def test_cancelling_whoever_reads_it_gives_its_permit_back(self, guard, ends):
        @guard.bulkhead(1)
        @guard.breaker(name="r")
        async def stream():
            yield 1
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ends.append("closed")

        async def main():
            reading = asyncio.ensure_future(items(stream()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert 1 == inside(guard)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            return inside(guard)

        assert 0 == asyncio.run(main())
        assert ["closed"] == ends
        assert 1 == guard.breakers["r/breaker"].snapshot().total_ignored

    def test_wrong_arguments_take_nothing(self, echo, guard, recwarn):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'first'"):
            asyncio.run(items(echo()))
        gc.collect()
        assert (0, 100) == (inside(guard), left(guard, "r", "r/limit"))
        assert [] == list(recwarn)

    def test_a_stream_that_fails_before_its_first_item_is_a_failure(self, guard):
        @guard.breaker(name="r")
        async def fails():
            raise OSError("gone")
            yield

        with pytest.raises(OSError, match="gone"):
            asyncio.run(items(fails()))
        assert 1 == failures(guard, "r/breaker")

    def test_a_breaker_measures_until_the_first_item(self, guard, clock):
        @guard.breaker(slow_call="1s", min_calls=1, window_calls=3, name="r")
        async def stream(first, later):
            clock.advance(first)
            yield 1
            clock.advance(later)
            yield 2

        asyncio.run(items(stream(0.5, 100)))
        assert 0 == guard.breakers["r/breaker"].snapshot().slow
        asyncio.run(items(stream(1.5, 0)))
        assert 1 == guard.breakers["r/breaker"].snapshot().slow

    def test_one_without_an_item_ends_the_call(self, guard):
        @guard.bulkhead(1)
        async def nothing():
            for _ in ():
                yield

        assert [[], []] == [asyncio.run(items(nothing())) for _ in range(2)]
        assert 0 == inside(guard)
