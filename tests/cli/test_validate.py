"""`guardrail validate` lists every mistake of all files, for people, programs and GitHub."""

import json

import pytest

from guardrail import RuleSet
from tests.cli.shell import guardrail

GOOD = "version: 1\nrules:\n  - {resource: orders.create, kind: limit, rate: 100/min}\n"
BAD = """\
version: 1
rules:
  - resource: orders.create
    kind: limit
    rate: often
    brst: 20
  - resource: payments.charge
"""
NO_RATE = "rate must be an amount per time, such as 100/min, got 'often'"
NO_KEY = "unknown key 'brst'; did you mean 'burst'?"
NO_KIND = "a rule needs a kind: limit, breaker or bulkhead"


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    (tmp_path / "empty").mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.yaml").write_text(GOOD)
    (folder / "b.yml").write_text(GOOD.replace("create", "cancel"))
    (folder / "notes.txt").write_text("not a rule file")
    return tmp_path


def test_good_rules_are_praised_and_the_code_is_0():
    revision = RuleSet.parse(GOOD).revision
    assert (0, f"good.yaml: no mistakes; 1 rule, revision {revision}\n", "") == guardrail("validate", "good.yaml")


def test_every_mistake_of_all_files_has_its_place_and_the_code_is_1():
    done = guardrail("validate", "bad.yaml", "missing.yaml", "good.yaml")
    assert 1 == done.code
    assert (
        f"""\
good.yaml: no mistakes; 1 rule, revision {RuleSet.parse(GOOD).revision}
bad.yaml:5:11: {NO_RATE}
    rate: often
bad.yaml:6:5: {NO_KEY}
    brst: 20
bad.yaml:7:5: {NO_KIND}
    - resource: payments.charge
missing.yaml: cannot be read: No such file or directory
4 mistakes in 2 files
"""
        == done.out
    )


def test_a_folder_is_all_its_rule_files_together(files):
    assert guardrail("validate", "folder").out.startswith("folder: no mistakes; 2 rules, revision ")
    (files / "folder" / "b.yml").write_text(GOOD)
    done = guardrail("validate", "folder")
    assert 1 == done.code
    assert "folder/b.yml:3:5: two limit rules on 'orders.create' have no name (the other: folder/a.yaml:3)" in done.out


def test_each_path_is_checked_by_itself_and_once(files):
    (files / "same.yaml").write_text(GOOD)
    done = guardrail("validate", "good.yaml", "same.yaml", "good.yaml")
    assert 0 == done.code
    assert ["good.yaml", "same.yaml"] == [line.partition(":")[0] for line in done.out.splitlines()]


def test_a_dash_is_what_is_piped_in():
    assert guardrail("validate", "-", stdin=GOOD).out.startswith("-: no mistakes; 1 rule, revision ")
    done = guardrail("validate", "-", stdin=BAD)
    assert 1 == done.code
    assert f"<stdin>:5:11: {NO_RATE}\n" in done.out


def test_json_is_stable():
    done = guardrail("validate", "--format", "json", "good.yaml", "bad.yaml", "empty")
    assert 1 == done.code
    revision = RuleSet.parse(GOOD).revision
    expected = {
        "ok": False,
        "paths": [
            {"path": "good.yaml", "ok": True, "rules": 1, "revision": revision},
            {"path": "bad.yaml", "ok": False, "rules": None, "revision": None},
            {"path": "empty", "ok": False, "rules": None, "revision": None},
        ],
        "problems": [
            {"message": NO_RATE, "file": "bad.yaml", "line": 5, "column": 11, "excerpt": "rate: often"},
            {"message": NO_KEY, "file": "bad.yaml", "line": 6, "column": 5, "excerpt": "brst: 20"},
            {"message": NO_KIND, "file": "bad.yaml", "line": 7, "column": 5, "excerpt": "- resource: payments.charge"},
            {
                "message": "the folder has no rule files (*.yaml, *.yml)",
                "file": "empty",
                "line": None,
                "column": None,
                "excerpt": None,
            },
        ],
    }
    assert expected == json.loads(done.out)
    assert json.loads(guardrail("validate", "--format", "json", "good.yaml").out)["ok"]


def test_github_gets_one_annotation_for_each_mistake():
    done = guardrail("validate", "--format", "github", "bad.yaml", "empty", "good.yaml")
    assert 1 == done.code
    *annotations, praise = done.out.splitlines()
    assert [
        f"::error file=bad.yaml,line=5,col=11::{NO_RATE}",
        f"::error file=bad.yaml,line=6,col=5::{NO_KEY}",
        f"::error file=bad.yaml,line=7,col=5::{NO_KIND}",
        "::error file=empty::the folder has no rule files (*.yaml, *.yml)",
    ] == annotations
    assert praise.startswith("good.yaml: no mistakes")


def test_github_is_not_misled_by_what_a_message_or_a_name_holds(files):
    name = "50%,a:b.yaml"
    (files / name).write_text("version: 1\nrules:\n  - {resource: a, kind: breaker, failure_rate: 500%}\n")
    line, *_ = guardrail("validate", "--format", "github", name).out.splitlines()
    assert "::error file=50%25%2Ca%3Ab.yaml,line=3,col=48::" in line
    assert line.endswith("failure_rate must be between 0%25 and 100%25, got '500%25'")


def test_a_thousand_mistakes_are_listed_and_the_rest_is_counted(files):
    (files / "many.yaml").write_text("version: 1\nrules:\n" + "  - {}\n" * 2_000)
    *listed, more, count = guardrail("validate", "many.yaml").out.splitlines()
    assert 1_000 == sum(1 for line in listed if line.startswith("many.yaml:"))
    assert "more" in more
    assert "1,000 mistakes in 1 file" == count
    *_, annotation = guardrail("validate", "--format", "github", "many.yaml").out.splitlines()
    assert f"::error::{more}" == annotation


#   in the file    what it says
UNREADABLE = [
    (b"\x00\xff\x13\x37" * 500, "broken.yaml:1:2: the file is no UTF-8 text"),
    (b"caf\xe9", "broken.yaml:1:4: the file is no UTF-8 text"),
    (b"a\x00b", "broken.yaml:1:2: the character U+0000 cannot stand in YAML"),
    (b"", "broken.yaml:1:1: the file is empty; write version: 1 and rules:"),
    (b"a" * (4 * 2**20 + 1), "broken.yaml: the file is larger than 4 MiB; split it"),
]


@pytest.mark.parametrize(("content", "sentence"), UNREADABLE, ids=["binary", "latin-1", "nul", "empty", "large"])
def test_what_is_no_rule_file_ends_in_a_sentence(files, content, sentence):
    (files / "broken.yaml").write_bytes(content)
    done = guardrail("validate", "broken.yaml")
    assert 1 == done.code
    assert sentence in done.out


def test_a_path_is_needed():
    done = guardrail("validate")
    assert (2, "") == (done.code, done.out)
    assert "Missing argument 'PATH'" in done.err


def test_a_format_that_does_not_exist_is_a_usage_error():
    done = guardrail("validate", "--format", "xml", "good.yaml")
    assert 2 == done.code
    assert "github" in done.err
