"""`guardrail init` writes a file to start from, and never over another."""

import pytest

from guardrail import RuleSet
from tests.cli.shell import ROOT, guardrail

STARTER = (ROOT / "rules" / "starter.yaml").read_text()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_the_starter_file_and_says_how_to_go_on(elsewhere):
    done = guardrail("init")
    assert 0 == done.code
    assert STARTER == (elsewhere / "rules" / "guardrail.yaml").read_text()
    assert (
        """\
Wrote rules/guardrail.yaml. Next:

  guardrail validate rules/guardrail.yaml
  guardrail explain orders.create --rules rules/guardrail.yaml --attr user=u1
  guardrail schema > rules/schema.json    # with it, editors complete the file

and in the code, before the first call: guardrail.configure('rules/guardrail.yaml')
"""
        == done.out
    )


def test_what_it_says_can_be_typed():
    guardrail("init")
    assert 0 == guardrail("validate", "rules/guardrail.yaml").code
    explained = guardrail("explain", "orders.create", "--rules", "rules/guardrail.yaml", "--attr", "user=u1")
    assert "limit orders-per-user" in explained.out


def test_the_starter_file_has_a_rule_of_each_kind_and_a_name_for_no_real_service():
    rules = RuleSet.load(ROOT / "rules" / "starter.yaml")
    assert {"limit", "breaker", "bulkhead"} == {rule.kind for rule in rules}
    assert () == rules.match("anything.else")


#   typed                 what is written
PLACES = [
    ("api.yaml", "api.yaml"),
    ("api.yml", "api.yml"),
    ("config/api.yaml", "config/api.yaml"),
    ("config", "config/guardrail.yaml"),
    ("there.d", "there.d/guardrail.yaml"),
]


@pytest.mark.parametrize(("typed", "file"), PLACES)
def test_a_path_is_a_file_by_its_ending_and_else_a_folder(elsewhere, typed, file):
    (elsewhere / "there.d").mkdir()
    assert 0 == guardrail("init", typed).code
    assert STARTER == (elsewhere / file).read_text()


def test_names_with_a_space_are_quoted_in_what_is_to_be_typed():
    assert "guardrail validate 'my rules/api.yaml'\n" in guardrail("init", "my rules/api.yaml").out


def test_a_file_that_is_there_stays_as_it_is(elsewhere):
    (elsewhere / "api.yaml").write_text("mine")
    done = guardrail("init", "api.yaml")
    assert "guardrail: api.yaml exists already; --force overwrites it, another PATH leaves it alone\n" == done.err
    assert 1 == done.code
    assert "mine" == (elsewhere / "api.yaml").read_text()


def test_with_force_it_is_overwritten(elsewhere):
    (elsewhere / "api.yaml").write_text("mine")
    assert 0 == guardrail("init", "api.yaml", "--force").code
    assert STARTER == (elsewhere / "api.yaml").read_text()


#   typed            code   what it says
MISTAKES = [
    ("rules.txt", 2, "a rule file ends in .yaml or .yml, and rules.txt does not"),
    ("file", 1, "file/guardrail.yaml cannot be written: file is a file, and would have to be a folder"),
    ("file/in/a.yaml", 1, "file/in/a.yaml cannot be written: Not a directory"),
    ("taken", 1, "taken/guardrail.yaml cannot be written: Is a directory"),
]


@pytest.mark.parametrize(("typed", "code", "sentence"), MISTAKES)
def test_what_cannot_be_written_ends_in_a_sentence(elsewhere, typed, code, sentence):
    (elsewhere / "file").write_text("")
    (elsewhere / "taken" / "guardrail.yaml").mkdir(parents=True)
    assert (code, "", f"guardrail: {sentence}\n") == guardrail("init", typed, "--force")
