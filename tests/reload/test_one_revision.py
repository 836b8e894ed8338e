"""A call is decided, and ends, by the rules it met when it came; the next one meets the new rules."""

import asyncio
from threading import Event, Thread

import pytest

from guardrail import Guard
from guardrail.testing import FakeClock
from tests.admission.scene import Line
from tests.decorators.scene import START_US, inside, refusal

PREFIX = "version: 1\nrules:\n"
FIRST = PREFIX + "- {name: a, resource: r, kind: limit, rate: 5/h}\n"
WHOLE = FIRST + "- {name: b, resource: r, kind: limit, rate: 6/h}\n"


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(PREFIX + "- {name: a, resource: r, kind: limit, rate: 4/h}\n")
    return file


@pytest.fixture
def guard(path):
    """A guard over the file that looks when the test says so."""
    guard = Guard(path, clock=FakeClock(START_US))
    guard.close()
    return guard


def limits(guard):
    return [verdict.limit for verdict in guard.peek("r").verdicts]


def look(guard, times=1):
    for _ in range(times):
        guard._live.poll()
    return limits(guard)


class TestTakingUp:
    def test_two_looks_have_to_agree(self, guard, path):
        path.write_text(WHOLE)
        assert [[4], [5, 6]] == [look(guard), look(guard)]

    def test_a_half_that_is_valid_by_itself_is_not_taken_for_the_whole(self, guard, path):
        path.write_text(FIRST)
        assert [4] == look(guard)
        path.write_text(WHOLE)
        assert [[4], [5, 6]] == [look(guard), look(guard)]

    def test_a_change_that_is_taken_back_is_none(self, guard, path):
        before = path.read_text()
        path.write_text(WHOLE)
        look(guard)
        path.write_text(before)
        revision = guard.rules.revision
        assert [4] == look(guard, 5)
        assert revision == guard.rules.revision

    def test_plans_are_made_anew_for_another_revision_only(self, guard, path):
        call = guard.limit("9/h", name="other")(lambda: 1)
        call()
        look(guard, 3)
        snapshot = guard._in_force
        call()
        assert snapshot is guard._in_force
        path.write_text(WHOLE)
        look(guard, 2)
        assert snapshot is not guard._in_force

    def test_a_removed_file_of_a_folder_takes_its_rules_with_it_and_what_was_used_of_them(self, tmp_path):
        (tmp_path / "a.yaml").write_text(FIRST)
        (tmp_path / "b.yaml").write_text(PREFIX + "- {name: b, resource: r, kind: limit, rate: 1/h}\n")
        guard = Guard(tmp_path, clock=FakeClock(START_US))
        guard.close()
        guard.try_enter("r").exit()
        assert not guard.try_enter("r")
        kept = (tmp_path / "b.yaml").read_text()
        (tmp_path / "b.yaml").unlink()
        assert [5] == look(guard, 2)
        guard.try_enter("r").exit()
        (tmp_path / "b.yaml").write_text(kept)
        assert [5, 1] == look(guard, 2)
        assert guard.peek("r").allowed


class TestFromEntryToExit:
    def test_a_call_that_waits_for_a_place_is_decided_by_the_rules_it_met(self, guard):
        entered, leave, ended = Event(), Event(), []

        @guard.bulkhead(1, max_wait="1h", name="busy")
        def call(hold=False):
            if hold:
                entered.set()
                assert leave.wait(20)
            ended.append(hold)

        line = Line(guard)
        holding, waiting = Thread(target=call, args=[True]), Thread(target=call)
        holding.start()
        assert entered.wait(20)
        waiting.start()
        assert line.grows()
        guard.apply([{"resource": "busy", "kind": "limit", "rate": "1/h", "name": "new"}])
        leave.set()
        holding.join(20)
        waiting.join(20)
        assert [True, False] == ended
        assert 0 == inside(guard)
        call()  # the one token of the new rule
        assert "new" == refusal(call).rule

    def test_a_call_inside_a_breaker_votes_in_the_breaker_that_let_it_in(self, guard):
        @guard.breaker(consecutive_failures=1, name="b")
        def call(error):
            guard.apply([{"resource": "b", "kind": "breaker", "consecutive_failures": 1, "open_for": "1h"}])
            raise error

        with pytest.raises(OSError):
            call(OSError())
        assert "open" == guard.breakers["b/breaker"].state

    def test_a_call_whose_rule_is_gone_ends_quietly(self, guard):
        guard.apply(
            [
                {"resource": "x", "kind": "bulkhead", "max_concurrent": 1},
                {"resource": "x", "kind": "breaker", "consecutive_failures": 1},
                {"resource": "x", "kind": "limit", "rate": "1/h", "charge": "failure"},
            ]
        )
        permit = guard.try_enter("x")
        guard.apply([])
        permit.settle(3)
        permit.exit(OSError())
        assert [] == list(guard.breakers)
        assert {} == guard.ledger.bulkheads

    def test_a_stream_goes_on_under_the_rules_it_began_with(self, guard):
        @guard.bulkhead(1, name="s")
        def stream():
            yield 1
            yield 2

        first = stream()
        next(first)
        guard.apply([{"resource": "s", "kind": "bulkhead", "max_concurrent": 2}])
        second = stream()
        assert [1, 2] == [next(second), next(first)]
        guard.apply([])
        assert "bulkhead_full" == refusal(next, stream()).reason
        first.close()
        second.close()
        assert 0 == inside(guard)

    def test_an_entry_made_before_and_used_after_is_of_one_revision(self, guard, path):
        entry = guard.enter("r")
        path.write_text(WHOLE)
        look(guard, 2)
        with entry as permit:
            assert [4] == [verdict.limit for verdict in permit.decision.verdicts]
        assert [4, 6] == [verdict.remaining for verdict in guard.peek("r", cost=0).verdicts]  # what was used counts

    def test_tasks_in_line_are_served_when_the_bulkhead_is_taken_away(self, guard):
        guard.apply([{"resource": "x", "kind": "bulkhead", "max_concurrent": 1, "max_wait": "1h"}])

        async def call(gate):
            async with guard.enter("x"):
                await gate.wait()

        async def main():
            gate = asyncio.Event()
            calls = [asyncio.ensure_future(call(gate)) for _ in range(3)]
            await asyncio.sleep(0)
            guard.apply([])
            gate.set()
            await asyncio.gather(*calls)

        asyncio.run(main())
