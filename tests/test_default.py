"""The guard behind the module-level decorators: made when it is first needed, replaced by `configure`, found at each call."""

import gc
import threading
import weakref

import pytest

import guardrail
from guardrail import Guard, RateLimited, Refused, RuleError, configure, default_guard
from guardrail.admission.host import Host
from guardrail.default import _host, substituted
from guardrail.telemetry.events import Immediate
from guardrail.testing import FakeClock
from tests.decorators.scene import START_US, left, refusal

RULES = "version: 1\nrules:\n- {resource: %s, kind: limit, rate: 1/h}\n"


@pytest.fixture(autouse=True)
def nobody_seated(monkeypatch):
    """No default guard, and no rules in code, before the test and after it."""
    seated, inline = _host.desk, _host.inline
    _host.desk = _host.epoch = None
    _host.inline = type(inline)()
    yield
    if isinstance(_host.desk, Guard):
        _host.desk.close()
    _host.desk, _host.inline = None, inline
    if isinstance(seated, Guard):
        seated.take_seat()


@pytest.fixture
def clock():
    return FakeClock(START_US)


def decorated(name="r", rate="2/h"):
    @guardrail.limit(rate, name=name)
    def function():
        return name

    return function


class TestMade:
    def test_by_the_first_call(self):
        call = decorated()
        assert _host.desk is None
        assert ["r", "r"] == [call(), call()]
        assert refusal(call)
        assert isinstance(_host.desk, Guard)

    def test_by_whoever_asks_for_it(self):
        assert default_guard() is default_guard()

    def test_from_the_environment(self, tmp_path, monkeypatch):
        (tmp_path / "rules.yaml").write_text(RULES % "r")
        monkeypatch.setenv("GUARDRAIL_RULES", str(tmp_path))
        monkeypatch.setenv("GUARDRAIL_MODE", "shadow")
        guard = default_guard()
        assert (1, "shadow") == (len(guard.rules), guard.mode)

    def test_once_however_many_threads_come_first(self):
        """Each would let as many calls through as are allowed in all."""
        made, second = [], threading.Event()

        def make():
            made.append(1)
            if len(made) == 2:
                second.set()
            second.wait(0.2)  # as long as a second one may need to come in, were it let in
            host.desk = object()

        host = Host(make)
        threads = [threading.Thread(target=host.current) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [1] == made

    def test_a_mistake_in_the_environment_is_told_at_each_call_until_it_is_mended(self, tmp_path, monkeypatch):
        call = decorated()
        monkeypatch.setenv("GUARDRAIL_RULES", str(tmp_path / "rules.yaml"))
        for _ in range(2):
            with pytest.raises(RuleError, match=r"rules\.yaml: cannot be read: No such file or directory"):
                call()
        (tmp_path / "rules.yaml").write_text(RULES % "r")
        call()
        assert refusal(call)


class TestConfigured:
    def test_it_returns_the_guard_from_then_on(self, clock):
        guard = configure([], clock=clock)
        assert guard is default_guard()
        assert clock is guard.ledger.clock

    def test_functions_that_were_decorated_before_follow(self, clock):
        call = decorated()
        configure([{"resource": "r", "kind": "limit", "rate": "1/h"}], clock=clock)
        call()
        assert refusal(call)

    def test_functions_that_were_called_before_follow_and_begin_anew(self, clock):
        call = decorated(rate="1/h")
        configure(clock=clock)
        call()
        assert refusal(call)
        configure(clock=clock)
        assert "r" == call()
        assert refusal(call)

    def test_twice_closes_the_first(self, tmp_path, clock):
        (tmp_path / "rules.yaml").write_text(RULES % "r")
        others = set(threading.enumerate())
        first = configure(tmp_path, clock=clock)
        second = configure(tmp_path, clock=clock)
        assert ["guardrail-rules"] == [thread.name for thread in set(threading.enumerate()) - others]
        assert first is not second
        gone = weakref.ref(first)
        del first
        clock._moved.clear()
        gc.collect()
        assert gone() is None

    def test_a_mistake_leaves_the_guard_as_it_was(self, clock):
        first = configure(clock=clock)
        call = decorated()
        for wrong in ({"rules": [{"resource": "r"}]}, {"mode": "on"}, {"store": "nowhere://"}, {"max_keys": 0}):
            with pytest.raises(ValueError, match=r"kind|mode|store|max_keys"):
                configure(**wrong)
        assert first is default_guard()
        assert "r" == call()

    def test_code_that_the_new_files_contradict_keeps_the_old_guard(self, clock):
        first = configure(clock=clock)
        decorated()
        with pytest.raises(RuleError, match="rule 'r/limit' is a limit in code"):
            configure([{"name": "r/limit", "resource": "r", "kind": "breaker"}])
        assert first is default_guard()

    def test_options_are_those_of_a_guard(self, clock):
        heard = []
        configure(
            [{"name": "per-user", "resource": "r", "kind": "limit", "rate": "1/h", "key": "user"}],
            clock=clock,
            listeners=[Immediate(heard.append)],
            overrides={"per-user": lambda key: "3/h" if key == "vip" else None},
            mode="enforce",
            max_keys=10,
        )

        @guardrail.guarded("r")
        def call(user):
            return user

        assert ["vip"] * 3 == [call("vip") for _ in range(3)]
        assert call("u1")
        assert refusal(call, "u1")
        assert ["CallRefused"] == [type(event).__name__ for event in heard]

    def test_unknown_options_are_an_error(self):
        with pytest.raises(TypeError, match="clok"):
            configure(clok=1)

    def test_decorating_while_it_is_there_is_in_force_at_once(self, clock):
        guard = configure(clock=clock)
        decorated("late", "1/h")
        assert 1 == left(guard, "late")
        assert {"late/limit"} == set(guard.named())

    def test_all_four_decorators_are_bound_to_it(self, clock):
        guard = configure(clock=clock)

        @guardrail.limit("9/h")
        @guardrail.breaker()
        @guardrail.bulkhead(1)
        @guardrail.guarded("r")
        def call():
            return 1

        call()
        assert {"r/limit", "r/breaker", "r/bulkhead"} == set(guard.named())
        assert [] == [name for name in dir(guardrail.default._decorators) if not name.startswith("_") and name not in
                      ("limit", "breaker", "bulkhead", "guarded")]  # fmt: skip


class TestSubstituted:
    def test_a_fresh_one_inside_the_block_and_the_old_one_after_it(self, clock):
        old = configure(clock=clock)
        call = decorated(rate="1/h")
        call()
        with substituted(clock=clock) as guard:
            assert guard is default_guard()
            call()
            assert refusal(call)
        assert old is default_guard()
        assert refusal(call)
        assert 0 == left(old, "r")

    def test_where_there_was_none_there_is_none_after_it(self, clock):
        with substituted(clock=clock):
            decorated()()
        assert _host.desk is None

    def test_an_error_inside_brings_the_old_one_back(self, clock):
        old = configure(clock=clock)
        with pytest.raises(Refused), substituted(clock=clock):
            call = decorated(rate="1/h")
            call()
            call()
        assert old is default_guard()

    def test_blocks_nest(self, clock):
        with substituted(clock=clock) as outer:
            with substituted(clock=clock) as inner:
                assert inner is default_guard()
            assert outer is default_guard()

    def test_what_the_old_one_learned_meanwhile_is_in_force_after_it(self, clock):
        """Its files may change at any time, and functions may be decorated anew."""
        old = configure(clock=clock)
        call, other = decorated(rate="9/h"), decorated("s", "1/h")
        call()
        other()
        with substituted(clock=clock):
            old.apply([{"resource": "r", "kind": "limit", "rate": "2/h"}])
            with pytest.warns(UserWarning, match="s/limit is decorated again"):
                decorated("s", "2/h")
        assert "r" == call()
        assert isinstance(refusal(call), RateLimited)
        assert "s" == other()
        assert refusal(other)

    def test_code_that_the_old_ones_files_contradict_is_told_of_at_the_end(self, clock):
        old = configure([{"name": "s/limit", "resource": "s", "kind": "breaker"}], clock=clock)
        call = decorated(rate="1/h")
        with pytest.raises(RuleError, match="rule 's/limit' is a limit in code"), substituted(clock=clock):
            wrong = decorated("s")
            wrong()
        assert old is default_guard()
        call()
        assert refusal(call)
        with pytest.raises(RuleError, match="rule 's/limit' is a limit in code"):
            wrong()

    def test_a_mistake_changes_nothing(self, clock):
        old = configure(clock=clock)
        with pytest.raises(ValueError, match="mode must be"), substituted(mode="on"):
            pytest.fail("not reached")
        assert old is default_guard()
