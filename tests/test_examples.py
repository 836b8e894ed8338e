"""Every example runs, and prints what it says it prints."""

import ast
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SECONDS = re.compile(r"(?<=come back in )\d+(?= s\b)")
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


@pytest.fixture
def store(newest_redis):
    """The URL of a Redis."""
    newest_redis.clear()
    return newest_redis.url


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_prints_what_its_docstring_says(path, request):
    code = path.read_text(encoding="utf-8")
    promised = (ast.get_docstring(ast.parse(code)) or "").partition("Prints:\n")[2]
    shared = {"GUARDRAIL_STORE": request.getfixturevalue("store")} if "GUARDRAIL_STORE" in code else {}
    program = [sys.executable, "-W", "error", path]
    run = subprocess.run(program, env={**os.environ, **shared}, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr
    promised, printed = textwrap.dedent(promised).strip(), run.stdout.strip()
    assert SECONDS.sub("some", promised) == SECONDS.sub("some", printed)
    for asked, left in zip(SECONDS.findall(promised), SECONDS.findall(printed), strict=True):
        assert 0 <= int(asked) - int(left) < 10  # time goes on, and quicker than a slow machine
