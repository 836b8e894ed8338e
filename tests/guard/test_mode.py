"""A kill switch, and a safe first day: one word for all rules of a guard."""

import asyncio

import pytest

from guardrail import Guard
from guardrail.telemetry.events import CallRefused
from tests.decorators.scene import inside, result

RULES = [{"resource": "r", "kind": "limit", "rate": "1/h"}]


@pytest.fixture
def call(guard):
    return guard.limit("1/h", name="r", fallback="instead")(lambda: "itself")


class TestOff:
    def test_every_call_passes_and_nothing_is_counted(self, guard, call):
        guard.mode = "off"
        assert ["itself"] * 3 == [call() for _ in range(3)]
        assert () == guard.peek("r").verdicts
        guard.mode = "enforce"
        assert ["itself", "instead"] == [call(), call()]

    def test_states_outlast_it(self, guard, call):
        call()
        guard.breaker(name="b")(id)
        guard.breakers["b/breaker"].force_open()
        guard.mode = "off"
        guard.apply([{"resource": "elsewhere", "kind": "limit", "rate": "1/h"}])
        guard.mode = "enforce"
        assert "instead" == call()
        assert "forced_open" == guard.breakers["b/breaker"].state

    def test_every_kind_of_callable_passes(self, guard):
        async def coroutine():
            return [1]

        def generator():
            yield 1

        async def async_generator():
            yield 1

        for number, kind in enumerate([lambda: [1], coroutine, generator, async_generator]):
            call = guard.limit(
                "1/h", name=f"r{number}", fallback_on=OSError, fallback=generator if number == 2 else kind
            )(kind)
            result(call)
            guard.mode = "off"
            assert [[1], [1]] == [result(call), result(call)]
            guard.mode = "enforce"

    def test_a_call_that_was_inside_gives_its_place_back(self, guard):
        @guard.bulkhead(1, name="r")
        def call():
            guard.mode = "off"

        call()
        assert 0 == inside(guard)
        guard.mode = "enforce"
        call()

    def test_entering_by_hand_passes_too(self, guard, call):
        guard.mode = "off"
        for _ in range(3):
            with guard.enter("r") as permit:
                assert permit
        assert (True, None, ()) == (permit.decision.allowed, permit.decision.rule, permit.decision.verdicts)


class TestShadow:
    def test_rules_count_and_never_refuse(self, guard, call, news):
        guard.mode = "shadow"
        assert ["itself"] * 3 == [call() for _ in range(3)]
        assert [True, True] == [event.shadow for event in news.of(CallRefused)]
        guard.mode = "enforce"
        assert "instead" == call()

    def test_nobody_waits(self, guard, clock):
        call = guard.limit("1/h", max_wait="2h", name="r")(clock.now_us)
        guard.mode = "shadow"
        assert 1 == len({call() for _ in range(5)})

    def test_a_rule_that_is_off_stays_off(self, guard):
        guard.limit("1/h", mode="off", name="r")(id)
        guard.mode = "shadow"
        assert () == guard.peek("r").verdicts


class TestWhereItComesFrom:
    def test_the_argument(self, clock):
        assert "shadow" == Guard(RULES, clock=clock, mode="shadow").mode
        assert "enforce" == Guard(RULES, clock=clock).mode

    def test_the_environment_wins_as_a_kill_switch_must(self, clock, monkeypatch):
        monkeypatch.setenv("GUARDRAIL_MODE", "off")
        guard = Guard(RULES, clock=clock, mode="enforce")
        assert "off" == guard.mode
        for _ in range(3):
            with guard.enter("r"):
                pass

    def test_an_empty_variable_is_none(self, clock, monkeypatch):
        monkeypatch.setenv("GUARDRAIL_MODE", "")
        assert "shadow" == Guard(RULES, clock=clock, mode="shadow").mode

    @pytest.mark.parametrize("mode", ["on", "", "OFF", None, True, "disabled"])
    def test_other_words_are_refused(self, clock, mode):
        with pytest.raises(ValueError, match="mode must be enforce, shadow or off, got"):
            Guard(clock=clock, mode=mode)

    def test_a_wrong_variable_is_told_of_as_one(self, clock, monkeypatch):
        monkeypatch.setenv("GUARDRAIL_MODE", "disabled")
        with pytest.raises(ValueError, match=r"got 'disabled' \(GUARDRAIL_MODE overrides the argument\)"):
            Guard(clock=clock)

    def test_a_wrong_word_later_changes_nothing(self, guard, call):
        with pytest.raises(ValueError, match="mode must be enforce, shadow or off"):
            guard.mode = "disabled"
        assert "enforce" == guard.mode
        assert ["itself", "instead"] == [call(), call()]


def test_a_reload_at_the_very_moment_is_not_undone(guard):
    """The switch must not put the rules back that were in force when it was reached for."""

    class Overtaken:
        """A lock before which somebody else is served first."""

        def __init__(self, lock):
            self.lock = lock

        def __enter__(self):
            guard._swapping = self.lock
            guard.apply(RULES)
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()

    guard._swapping = Overtaken(guard._swapping)
    guard.mode = "shadow"
    assert 1 == len(guard.rules)
    assert "shadow" == guard.mode
    assert [True] == [verdict.shadow for verdict in guard.peek("r").verdicts]


def test_tasks_that_wait_for_a_place_are_not_forgotten(guard):
    @guard.bulkhead(1, max_wait="1h", name="r")
    async def call(gate):
        await gate.wait()

    async def main():
        gate = asyncio.Event()
        calls = [asyncio.ensure_future(call(gate)) for _ in range(3)]
        await asyncio.sleep(0)
        guard.mode = "off"
        await call(set_gate())
        gate.set()
        await asyncio.gather(*calls)
        return inside(guard)

    def set_gate():
        event = asyncio.Event()
        event.set()
        return event

    assert 0 == asyncio.run(main())
