"""What the README shows is what happens: every Python block runs, every output is real, every rule file is valid."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from guardrail import RuleSet
from guardrail.stores.contact import RIGHTS
from guardrail.testing import FakeClock, substituted

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
PYTHON = [
    (code, after) for (kind, code), after in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True) if kind == "python"
]


@pytest.mark.parametrize(("code", "after"), PYTHON, ids=[f"block {number}" for number, _ in enumerate(PYTHON)])
def test_each_program_prints_what_stands_below_it(code, after):
    kind, expected = after
    assert kind == "text", "a program in the README is followed by its output"
    printed = io.StringIO()
    with substituted(clock=FakeClock()), contextlib.redirect_stdout(printed):
        exec(compile(code, str(README), "exec"), {"__name__": "__main__"})
    assert expected == printed.getvalue()


def test_each_rule_file_is_valid():
    files = [text for kind, text in BLOCKS if kind == "yaml"]
    assert len(files) >= 2
    for text in files:
        assert len(RuleSet.parse(text)) >= 1


def test_the_rights_it_names_are_those_a_store_needs():
    acl = next(text for kind, text in BLOCKS if kind == "text" and text.startswith("ACL SETUSER"))
    assert set(RIGHTS.split()) == {word for word in acl.split() if word.startswith("+")}


def test_the_first_screen_holds_how_to_get_it_code_output_a_rule_file_and_the_two_commands():
    first = [kind for kind, _ in BLOCKS[:5]]
    assert ["console", "python", "text", "yaml", "console"] == first
    assert "pip install guardrail-py" in BLOCKS[0][1]
    assert "make demo" in BLOCKS[4][1]
    assert "make test" in BLOCKS[4][1]
