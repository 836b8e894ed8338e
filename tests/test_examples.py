"""Every example runs, and prints what it says it prints."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_prints_what_its_docstring_says(path):
    promised = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("Prints:\n")[2]
    run = subprocess.run([sys.executable, "-W", "error", path], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr
    assert textwrap.dedent(promised).strip() == run.stdout.strip()
