"""Other rules, by hand or from the file: checked whole, put in force at once, and said so."""

import pytest

from guardrail import Guard, RuleError, RuleSet
from guardrail.telemetry.events import RulesRejected, RulesReloaded

LIST = [{"resource": "r", "kind": "limit", "rate": "5/h"}]
TEXT = "version: 1\nrules:\n- {resource: r, kind: limit, rate: 5/h}\n"
OTHER = TEXT.replace("5/h", "7/h")
BAD = "version: 1\nrules:\n- {resource: r, kind: limit, rate: fast}\n"


def capacity(guard):
    return guard.peek("r").limit


class TestApply:
    @pytest.mark.parametrize("form", ["list", "tuple", "document", "text", "set of rules", "file", "path", "generator"])
    def test_rules_come_in_many_forms(self, guard, form, tmp_path):
        file = tmp_path / "other.yaml"
        file.write_text(TEXT)
        rules = {
            "list": LIST,
            "tuple": tuple(LIST),
            "document": {"version": 1, "rules": LIST},
            "text": TEXT,
            "set of rules": RuleSet.parse(TEXT),
            "file": str(file),
            "path": file,
            "generator": (rule for rule in LIST),
        }[form]
        applied = guard.apply(rules)
        assert applied is guard.rules
        assert 5 == capacity(guard)

    def test_it_says_so(self, guard, news):
        before = guard.rules.revision
        after = guard.apply(LIST).revision
        assert [RulesReloaded(None, after, before)] == news.events
        assert before != after

    def test_equal_rules_have_an_equal_revision(self, guard):
        assert guard.apply(LIST).revision == guard.apply(TEXT).revision

    @pytest.mark.parametrize(
        "rules", [BAD, [{"resource": "r"}], {"rules": [{}]}, "nowhere.yaml", [*LIST, *LIST], [1], "x:\n- {"]
    )
    def test_what_cannot_be_used_changes_nothing(self, guard, news, rules):
        guard.apply(LIST)
        with pytest.raises(RuleError):
            guard.apply(rules)
        assert 5 == capacity(guard)
        assert 1 == len(news.events)

    def test_all_mistakes_are_listed(self, guard):
        with pytest.raises(RuleError) as error:
            guard.apply(BAD.replace("rate: fast", "rate: fast, burst: 0"))
        assert 2 == len(error.value.problems)

    def test_a_later_change_of_the_file_replaces_it(self, filed, path):
        filed.apply(LIST)
        assert filed._live.poll() is False
        assert 5 == capacity(filed)
        path.write_text(OTHER)
        assert [True, False] == [filed._live.poll(), filed._live.poll()]
        assert 7 == capacity(filed)

    def test_the_file_as_it_was_does_not(self, filed, path):
        """It was dealt with already; only a change is news."""
        path.write_text(OTHER)
        filed.reload()
        filed.apply(LIST)
        path.write_text(OTHER)
        assert [False] * 3 == [filed._live.poll() for _ in range(3)]
        assert 5 == capacity(filed)

    def test_it_says_so_where_there_is_a_file_too(self, filed, news):
        filed.apply(LIST)
        assert [None] == [event.source for event in news.of(RulesReloaded)]


class TestReload:
    def test_it_returns_what_is_in_force(self, filed, path):
        path.write_text(OTHER)
        assert filed.reload() is filed.rules
        assert (7, str(path)) == (capacity(filed), filed.rules.source)

    def test_it_says_so(self, filed, path, news):
        before = filed.rules.revision
        path.write_text(OTHER)
        filed.reload()
        assert [RulesReloaded(str(path), filed.rules.revision, before)] == news.events

    def test_it_brings_the_file_back_after_other_rules_were_applied(self, filed):
        filed.apply(LIST)
        filed.reload()
        assert 0 == len(filed.rules)

    def test_without_files_there_is_nothing_to_read(self, guard, news):
        guard.apply(LIST)
        assert guard.reload() is guard.rules
        assert 1 == len(news.events)

    def test_bad_content_is_raised_with_its_place_and_told(self, filed, path, news, caplog):
        path.write_text(OTHER)
        filed.reload()
        path.write_text(BAD)
        with pytest.raises(RuleError) as error:
            filed.reload()
        place = f"{path}:3:36: rate must be an amount per time"
        assert f"{error.value}".startswith(place)
        assert 7 == capacity(filed)
        [rejected] = news.of(RulesRejected)
        assert (str(path), error.value) == (rejected.source, rejected.error)
        assert place in caplog.text

    def test_a_file_that_is_gone_is_raised_as_what_it_is(self, filed, path, news):
        path.unlink()
        with pytest.raises(RuleError) as error:
            filed.reload()
        assert f"{path}: cannot be read: No such file or directory" == f"{error.value}"
        assert isinstance(error.value.__cause__, FileNotFoundError)
        assert isinstance(news.of(RulesRejected)[0].error, FileNotFoundError)

    def test_an_emptied_folder_is_raised_as_what_it_is(self, tmp_path, clock):
        (tmp_path / "a.yaml").write_text(TEXT)
        with Guard(tmp_path, clock=clock) as guard:
            guard.close()
            (tmp_path / "a.yaml").unlink()
            with pytest.raises(RuleError, match=r"no .*\*\.yaml"):
                guard.reload()
            assert 5 == capacity(guard)
