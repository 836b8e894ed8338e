"""One file for each mistake. Its first lines are the errors it must give, word by word and place by place."""

from pathlib import Path

import pytest

from guardrail.errors import RuleError
from guardrail.rules.gather import rules_of_files

FOLDER = Path(__file__).parents[1] / "bad_rules"
FILES = sorted(FOLDER.glob("*.yaml"))


def expected(text: str) -> list[str]:
    """Return what the leading comment says: `# line:column: message`."""
    lines = text.splitlines()
    count = next((number for number, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    return [line.removeprefix("# ") for line in lines[:count]]


def test_there_is_a_file_for_each_mistake():
    assert len(FILES) >= 150


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_mistake_is_named_where_it_stands(file):
    text = file.read_text(encoding="utf-8")
    with pytest.raises(RuleError) as refused:
        rules_of_files({file.name: text}, {})
    problems = refused.value.problems
    assert expected(text) == [f"{problem.line}:{problem.column}: {problem.message}" for problem in problems]
    for problem in problems:
        assert file.name == problem.file
        line = text.splitlines()[min(problem.line, len(text.splitlines())) - 1]
        assert (problem.excerpt or "") in line
        assert str(problem).startswith(f"{file.name}:{problem.line}:{problem.column}: ")


def test_a_folder_full_of_them_is_refused_all_at_once():
    texts = {file.name: file.read_text(encoding="utf-8") for file in FILES}
    with pytest.raises(RuleError) as refused:
        rules_of_files(texts, {})
    files = [problem.file for problem in refused.value.problems]
    assert sorted(texts) == sorted(set(files))
    assert files == sorted(files)
