"""The kit for tests of code that uses guardrail."""

import asyncio
from threading import Event, Thread

import pytest

from guardrail import BreakerOpen, BulkheadFull, Guard, default_guard
from guardrail.clock import Advanceable, Clock
from guardrail.default import substituted
from guardrail.telemetry.events import BreakerMoved, CallRefused
from guardrail.testing import FakeClock, RecordingListener, disabled, force_open
from tests.admission.scene import Line, queued
from tests.decorators.scene import inside, refusal


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def guard(clock):
    return Guard(clock=clock)


class TestFakeClock:
    def test_it_stands_still(self, clock):
        assert [0, 0] == [clock.now_us(), clock.now_us()]
        assert 7 == FakeClock(7).now_us()
        assert 8 == FakeClock(start_us=8).now_us()

    def test_it_advances_by_seconds(self, clock):
        clock.advance(1.5)
        clock.advance(0.000001)
        assert 1_500_001 == clock.now_us()

    def test_parts_of_a_microsecond_are_rounded_to_whole_ones(self, clock):
        for _ in range(10):
            clock.advance(0.1)
        assert 1_000_000 == clock.now_us()

    def test_it_may_be_set_also_backwards(self, clock):
        clock.set_us(5)
        clock.set_us(3)
        assert 3 == clock.now_us()

    def test_its_sleeps_take_seconds_and_advance_it(self, clock):
        clock.sleep(1.5)
        asyncio.run(clock.asleep(0.5))
        assert 2_000_000 == clock.now_us()

    def test_a_sleeping_task_lets_others_run(self, clock):
        async def main():
            ran = []
            other = asyncio.ensure_future(note(ran))
            await clock.asleep(1)
            assert ["other"] == ran
            await other

        async def note(ran):
            ran.append("other")

        asyncio.run(main())

    def test_it_is_a_clock_that_can_be_moved(self, clock):
        taken: Clock = clock
        assert isinstance(taken, Advanceable)

    def test_those_who_ask_are_told_whenever_it_was_moved(self, clock):
        told = []
        clock.subscribe(lambda: told.append(clock.now_us()))
        clock.advance(1)
        clock.set_us(5)
        clock.sleep(0)
        assert [1_000_000, 5, 5] == told

    def test_a_limit_comes_back_exactly_when_it_said(self, guard, clock):
        call = guard.limit("1/min")(lambda: 1)
        call()
        clock.advance(refusal(call).retry_after - 0.000001)
        refusal(call)
        clock.advance(0.000001)
        assert 1 == call()

    def test_waiting_for_a_limit_takes_no_real_time(self, guard, clock):
        call = guard.limit("1/h", max_wait="1d")(clock.now_us)
        assert [0, 3_600_000_000, 7_200_000_000] == [call(), call(), call()]

    def test_it_wakes_a_thread_whose_wait_for_a_place_is_over(self, guard, clock):
        entered, leave, refused = Event(), Event(), []

        @guard.bulkhead(1, max_wait="10s", name="r")
        def call(hold):
            if hold:
                entered.set()
                assert leave.wait(20)

        def wait():
            try:
                call(hold=False)
            except BulkheadFull as error:
                refused.append(error.reason)

        line = Line(guard)
        holding, waiting = Thread(target=call, args=[True]), Thread(target=wait)
        holding.start()
        assert entered.wait(20)
        waiting.start()
        assert line.grows()
        clock.advance(9.999999)
        assert 1 == queued(guard)
        clock.advance(0.000001)
        waiting.join(20)
        leave.set()
        holding.join(20)
        assert ["bulkhead_timeout"] == refused
        assert 0 == inside(guard)

    def test_it_wakes_a_task_whose_wait_for_a_place_is_over(self, guard, clock):
        @guard.bulkhead(1, max_wait="10s", name="r")
        async def call(gate):
            await gate.wait()

        async def main():
            gate = asyncio.Event()
            holding, waiting = (asyncio.ensure_future(call(gate)) for _ in range(2))
            await asyncio.sleep(0)
            clock.advance(10)
            with pytest.raises(BulkheadFull) as refused:
                await waiting
            gate.set()
            await holding
            return refused.value.reason

        assert "bulkhead_timeout" == asyncio.run(main())
        assert 0 == inside(guard)


class TestRecordingListener:
    def test_it_remembers_every_event_in_order(self, clock):
        news = RecordingListener()
        guard = Guard([{"resource": "r", "kind": "limit", "rate": "1/h"}], clock=clock, listeners=[news])
        guard.apply([{"resource": "r", "kind": "breaker", "consecutive_failures": 1}])
        guard.try_enter("r").exit(OSError())
        guard.try_enter("r")
        assert ["RulesReloaded", "BreakerMoved", "CallRefused"] == [type(event).__name__ for event in news.events]
        assert [news.events[1]] == news.of(BreakerMoved)
        assert ["breaker_open"] == [event.reason for event in news.of(CallRefused)]


class TestDisabled:
    def test_every_call_passes_inside_the_block_and_nothing_is_counted(self, guard):
        call = guard.limit("1/h")(lambda: 1)
        with disabled(guard):
            assert [1, 1, 1] == [call(), call(), call()]
            assert "off" == guard.mode
        assert 1 == call()
        assert refusal(call)

    def test_the_mode_before_comes_back_also_after_an_error(self, guard):
        guard.mode = "shadow"
        with pytest.raises(OSError), disabled(guard), disabled(guard):
            raise OSError
        assert "shadow" == guard.mode

    def test_without_a_guard_it_is_the_default_one(self, clock):
        with substituted(clock=clock) as guard:
            with disabled():
                assert "off" == guard.mode
            assert "enforce" == default_guard().mode


class TestForceOpen:
    def test_a_breaker_is_open_inside_the_block_and_closed_after_it(self, guard):
        call = guard.breaker(name="r", fallback="instead")(lambda: "itself")
        with force_open("r/breaker", guard):
            assert "instead" == call()
        assert "itself" == call()

    def test_an_error_closes_it_too(self, guard):
        guard.breaker(name="r")(id)
        with pytest.raises(OSError), force_open("r/breaker", guard):
            raise OSError
        assert "closed" == guard.breakers["r/breaker"].state

    def test_one_whose_rule_is_taken_away_meanwhile_is_gone(self, guard):
        guard.apply([{"name": "filed", "resource": "r", "kind": "breaker"}])
        with force_open("filed", guard):
            guard.apply([])
        assert [] == list(guard.breakers)

    def test_one_breaker_of_many(self, guard):
        call = guard.breaker(key="host", name="r")(lambda host: host)
        with force_open("r/breaker/a", guard):
            assert isinstance(refusal(call, "a"), BreakerOpen)
            assert "b" == call("b")

    def test_a_name_that_is_none_says_what_there_is(self, guard):
        guard.breaker(name="r")(id)
        with pytest.raises(KeyError, match="no breaker 'r'; there are r/breaker"), force_open("r", guard):
            pytest.fail("not reached")

    def test_without_a_guard_it_is_one_of_the_default_one(self, clock):
        with substituted(clock=clock) as guard:
            guard.breaker(name="r")(id)
            with force_open("r/breaker"):
                assert "forced_open" == guard.breakers["r/breaker"].state
