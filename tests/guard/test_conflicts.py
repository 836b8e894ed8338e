"""A file that contradicts the code is reported, whenever the two meet, and changes nothing."""

import logging

import pytest

from guardrail import Guard, RuleError
from guardrail.telemetry.events import RulesRejected
from tests.decorators.scene import refusal

BREAKER = "version: 1\nrules:\n- {resource: r, kind: breaker, name: r/limit}\n"
KIND = "rule 'r/limit' is a limit in code: write `kind: limit`, or another name"


@pytest.fixture
def call(filed):
    return filed.limit("2/h", key="user", name="r")(lambda user="u1": user)


def problem(act, *args):
    with pytest.raises(RuleError) as error:
        act(*args)
    [problem] = error.value.problems
    return problem.message


class TestWhenItIsReported:
    def test_at_reload_the_last_good_rules_stay(self, filed, call, path, news, caplog):
        revision = filed.rules.revision
        path.write_text(BREAKER)
        assert KIND == problem(filed.reload)
        assert revision == filed.rules.revision
        assert ["u1", "u1"] == [call(), call()]
        assert refusal(call)
        [rejected] = news.of(RulesRejected)
        assert (str(path), KIND) == (rejected.source, f"{rejected.error}")
        assert [
            ("guardrail.rules", logging.ERROR, f"rules rejected, the last good ones stay: {KIND}")
        ] == caplog.record_tuples

    def test_a_file_that_is_mended_is_taken_up(self, filed, call, path):
        path.write_text(BREAKER)
        problem(filed.reload)
        path.write_text("version: 1\nrules:\n- {resource: r, kind: limit, rate: 1/h}\n")
        filed.reload()
        call()
        assert refusal(call)

    def test_what_is_applied_is_refused_and_changes_nothing(self, filed, call, guard):
        assert KIND == problem(filed.apply, [{"name": "r/limit", "resource": "r", "kind": "breaker"}])
        assert 0 == len(filed.rules)
        guard.limit("2/h", name="r")(id)
        assert KIND == problem(guard.apply, [{"name": "r/limit", "resource": "r", "kind": "breaker"}])
        assert {"r/limit"} == set(guard.named())

    def test_when_the_file_was_there_first_at_the_decorator(self, filed, path):
        path.write_text(BREAKER)
        filed.reload()
        assert KIND == problem(filed.limit("2/h", name="r"), id)
        assert {"r/limit": "breaker"} == {name: one.rule.kind for name, one in filed.named().items()}
        assert 1 == filed.guarded("r")(lambda x: x)(1)

    def test_when_the_guard_comes_last_as_it_is_made(self, path, clock):
        from guardrail.admission.host import Host
        from guardrail.decorators.face import Decorators

        host = Host()
        Decorators(host).limit("2/h", name="r")(id)
        path.write_text(BREAKER)
        with pytest.raises(RuleError, match="is a limit in code"):
            Guard(str(path), clock=clock, _host=host)
        assert host.desk is None


class TestWhatContradicts:
    def test_an_option_the_file_writes_that_does_not_apply_to_the_code(self, guard):
        guard.limit("2/h", algorithm="sliding_window", name="r")(id)
        text = problem(
            guard.apply, [{"resource": "r", "kind": "limit", "rate": "5/h", "burst": 3, "algorithm": "sliding_window"}]
        )
        assert "burst applies to algorithm token_bucket only, not to sliding_window; leave it out" in text

    def test_numbers_that_only_together_make_no_sense(self, guard):
        guard.breaker(window_calls=5, name="r")(id)
        text = problem(guard.apply, [{"resource": "r", "kind": "breaker", "min_calls": 9}])
        assert text.startswith(
            "rule 'r/breaker', with what code says of it: min_calls (9) must not be above window_calls (5)"
        )

    def test_the_same_in_the_code_that_comes_later(self, guard):
        guard.apply([{"resource": "r", "kind": "breaker", "min_calls": 9}])
        text = problem(guard.breaker(window_calls=5, name="r"), id)
        assert "min_calls (9) must not be above window_calls (5)" in text
        assert 30_000_000 == guard.named()["r/breaker"].rule.breaker().window_us

    def test_overrides_in_the_file_need_the_one_key_of_the_code(self, guard):
        guard.limit("2/h", key=["a", "b"], name="r")(lambda a, b: 1)
        text = problem(
            guard.apply,
            [{"resource": "r", "kind": "limit", "rate": "5/h", "overrides": {"x": "9/h"}, "key": ["a", "b"]}],
        )
        assert "overrides needs exactly one key" in text

    def test_replacing_code_that_a_file_takes_over_is_checked_too(self, guard):
        guard.breaker(window_calls=20, name="r")(id)
        guard.apply([{"resource": "r", "kind": "breaker", "min_calls": 9}])
        with pytest.warns(UserWarning, match="is decorated again"):
            assert "must not be above window_calls (5)" in problem(guard.breaker(window_calls=5, name="r"), id)
        assert 20 == guard.named()["r/breaker"].rule.window_calls
