"""The face of a guard: how it is made, entered and closed."""

import asyncio
import gc
import threading
import weakref
from pathlib import Path
from time import monotonic

import pytest

from guardrail import Guard, RuleError, RuleSet
from guardrail.clock import SystemClock
from guardrail.telemetry.events import BreakerMoved, CallRefused
from guardrail.testing import FakeClock, RecordingListener
from tests.decorators.scene import START_US

RULES = [
    {"resource": "r", "kind": "limit", "rate": "5/h", "key": "user"},
    {"resource": "r", "kind": "bulkhead", "max_concurrent": 2},
    {"resource": "r", "kind": "breaker", "consecutive_failures": 1},
]
TEXT = "version: 1\nrules:\n- {resource: r, kind: limit, rate: 5/h}\n"


@pytest.fixture
def clock():
    return FakeClock(START_US)


@pytest.fixture
def guard(clock):
    return Guard(RULES, clock=clock)


@pytest.fixture(autouse=True)
def others(monkeypatch):
    """Threads that tests before this one have left; those of this one have the time to end that they need."""
    monkeypatch.setattr("guardrail.sources.watch.LONGEST_GOODBYE_S", 20.0)
    OTHERS.clear()
    OTHERS.update(threading.enumerate())


OTHERS = set()


def watching():
    return [thread for thread in threading.enumerate() if thread.name == "guardrail-rules" and thread not in OTHERS]


class TestMade:
    @pytest.fixture
    def file(self, tmp_path):
        (tmp_path / "rules.yaml").write_text(TEXT)
        return tmp_path / "rules.yaml"

    def test_without_rules_it_lets_every_call_through(self):
        guard = Guard()
        with guard.enter("anything") as permit:
            assert permit.decision.allowed
        assert 0 == len(guard.rules)

    @pytest.mark.parametrize("form", ["file", "folder", "path", "text", "list", "tuple", "document", "set of rules"])
    def test_rules_come_in_many_forms(self, file, form):
        rules = {
            "file": str(file),
            "folder": str(file.parent),
            "path": file,
            "text": TEXT,
            "list": RULES[:1],
            "tuple": tuple(RULES[:1]),
            "document": {"version": 1, "rules": RULES[:1]},
            "set of rules": RuleSet.parse(TEXT),
        }[form]
        with Guard(rules) as guard:
            assert ["r/limit"] == [rule.name for rule in guard.rules]
            assert 12 == len(guard.rules.revision)

    def test_the_path_may_be_in_the_environment(self, file, monkeypatch):
        monkeypatch.setenv("GUARDRAIL_RULES", str(file))
        with Guard() as guard:
            assert (1, str(file)) == (len(guard.rules), guard.rules.source)
        assert 0 == len(Guard([]).rules)  # what is given goes before what is around

    def test_an_empty_variable_is_none(self, monkeypatch):
        monkeypatch.setenv("GUARDRAIL_RULES", "")
        monkeypatch.setenv("GUARDRAIL_STORE", "")
        assert 0 == len(Guard().rules)

    def test_it_follows_the_clock_of_the_system_unless_told_otherwise(self, clock):
        assert isinstance(Guard().ledger.clock, SystemClock)
        assert clock is Guard(clock=clock).ledger.clock

    BAD_RULES = (
        ("nowhere.yaml", "nowhere.yaml: cannot be read: No such file or directory"),
        (Path("nowhere"), "nowhere: cannot be read: No such file or directory"),
        ("version: 1\nrules:\n- {resource: r, kind: limit}\n", "<text>:3:3: a limit needs a rate"),
        ([{"resource": "r", "kind": "limit"}], "a limit needs a rate"),
    )

    @pytest.mark.parametrize(("rules", "message"), BAD_RULES)
    def test_bad_rules_are_told_of(self, rules, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RuleError) as error:
            Guard(rules)
        assert message in f"{error.value}"
        assert isinstance(error.value, ValueError)
        assert [] == watching()

    @pytest.mark.parametrize("store", ["memory://", "", None])
    def test_state_is_kept_in_this_process(self, store, clock):
        assert Guard(RULES, clock=clock, store=store).peek("r").allowed

    BAD_STORES = (
        ("memory", ValueError, "or 'memory://' for none"),
        ("postgres://localhost", ValueError, "store: "),
        (42, TypeError, "got 42"),
    )

    @pytest.mark.parametrize(("store", "kind", "message"), BAD_STORES)
    def test_other_stores_are_refused(self, store, kind, message):
        with pytest.raises(kind) as error:
            Guard(store=store)
        assert message in f"{error.value}"

    def test_a_store_in_the_environment_counts_where_none_is_given(self, monkeypatch):
        monkeypatch.setenv("GUARDRAIL_STORE", "redis://:secret@host:port")
        with pytest.raises(ValueError, match="GUARDRAIL_STORE: ") as error:
            Guard()
        assert "secret" not in f"{error.value}"
        assert Guard(store="memory://")

    WRONG = (
        ({"max_keys": 0}, ValueError, "max_keys must be at least 1, got 0"),
        ({"max_keys": "10"}, TypeError, "max_keys must be a whole number, got '10'"),
        ({"max_keys": True}, TypeError, "max_keys must be a whole number, got True"),
        ({"max_keys": 1.5}, TypeError, "max_keys must be a whole number, got 1.5"),
        ({"listeners": print}, TypeError, "listeners must be a list of callables over an event, got <built-in"),
        ({"listeners": "log"}, TypeError, "listeners must be a list of callables over an event, got 'log'"),
        ({"listeners": [1]}, TypeError, r"listeners must be a list of callables over an event, got \[1\]"),
        ({"listeners": (listener for listener in [print])}, TypeError, "listeners must be a list of callables"),
        ({"clock": FakeClock}, TypeError, r"such as FakeClock\(\), got <class"),
        ({"clock": 0}, TypeError, "clock must be an object with now_us, sleep and asleep"),
    )

    @pytest.mark.parametrize(("options", "error", "message"), WRONG)
    def test_wrong_options_are_told_of(self, options, error, message):
        with pytest.raises(error, match=message):
            Guard(**options)


class TestListeners:
    def test_they_hear_of_refusals_and_of_breakers(self, clock):
        news, more = RecordingListener(), RecordingListener()
        guard = Guard(RULES, clock=clock, listeners=[news, more])
        guard.try_enter("r", cost=6)
        guard.try_enter("r").exit(OSError())
        [refused], [moved] = news.of(CallRefused), news.of(BreakerMoved)
        assert ("r", "r/limit", "limit", "cost_too_large", False) == (
            refused.resource,
            refused.rule,
            refused.kind,
            refused.reason,
            refused.shadow,
        )
        assert ("r/breaker", "closed", "open") == (moved.breaker, moved.from_state, moved.to_state)
        assert news.events == more.events


class TestClosed:
    @pytest.fixture
    def path(self, tmp_path):
        (tmp_path / "rules.yaml").write_text(TEXT)
        return str(tmp_path)

    def test_a_block_ends_its_thread(self, path):
        with Guard(path) as guard:
            assert 1 == len(watching())
        assert [] == watching()
        assert guard.peek("r").allowed

    def test_an_async_block_does_too(self, path):
        async def main():
            async with Guard(path) as guard:
                assert 1 == len(watching())
                return guard

        assert asyncio.run(main()).peek("r").allowed
        assert [] == watching()

    def test_closing_twice_or_where_there_is_no_thread_is_no_matter(self, path):
        for guard in (Guard(path), Guard()):
            guard.close()
            guard.close()
            asyncio.run(guard.aclose())
        assert [] == watching()

    def test_it_goes_on_deciding_and_may_be_given_other_rules(self, path):
        guard = Guard(path)
        guard.close()
        guard.apply([{"resource": "r", "kind": "limit", "rate": "1/h"}])
        guard.try_enter("r").exit()
        assert not guard.try_enter("r")
        guard.reload()
        assert 5 == guard.peek("r").limit

    def test_a_guard_that_nobody_holds_is_collected_with_its_thread(self, path):
        guard = Guard(path)
        guard.limit("1/h")(lambda: 1)()
        gone = weakref.ref(guard)
        [thread] = watching()
        del guard
        until = monotonic() + 20
        while (gone() or thread.is_alive()) and monotonic() < until:  # the thread may be holding it for one look
            gc.collect()
            thread.join(0.05)
        assert gone() is None
        assert not thread.is_alive()

    def test_a_permit_outlives_its_guard(self, clock):
        permit = Guard(RULES, clock=clock).try_enter("r")
        gc.collect()
        permit.exit()
        assert "<Permit for 'r': over>" == f"{permit!r}"
