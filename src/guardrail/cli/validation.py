"""`guardrail validate`: every mistake of all files, for people, programs or a GitHub workflow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.cli.exits import OK, WRONG, say
from guardrail.cli.loading import load
from guardrail.cli.terminal import drawn, on_terminal
from guardrail.cli.words import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardrail.errors import Problem
    from guardrail.rules.ruleset import RuleSet

# What GitHub would take for the end of a value in `::error file=...::message`
_ESCAPED = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_ESCAPED_IN_PLACE = _ESCAPED | {":": "%3A", ",": "%2C"}


class Checked(NamedTuple):
    """Hold what became of one path: its rules, or its problems."""

    path: str
    rules: RuleSet | None
    problems: tuple[Problem, ...]


def validate(paths: Sequence[str], form: str) -> int:
    """Check the rules at each of *paths*, print what was found, and return the exit code."""
    checked = [check(path) for path in dict.fromkeys(paths)]
    problems = [problem for one in checked for problem in one.problems]
    match form:
        case "json":
            say(json.dumps(_plain_values(checked), indent=2))
        case "github":
            say("\n".join([*map(annotation, problems), *_praises(checked)]))
        case _:
            for praise in _praises(checked):
                say(praise)
            if problems:
                say_problems(problems)
    return WRONG if problems else OK


def check(path: str) -> Checked:
    """Read the rules at *path*."""
    from guardrail.errors import RuleError

    try:
        return Checked(path, load(path), ())
    except RuleError as wrong:
        return Checked(path, None, wrong.problems)


def say_problems(problems: Sequence[Problem], what: str = "mistake") -> None:
    """Print problems as people read them, and how many there are."""
    lines = [_coloured(problem) for problem in problems] if on_terminal() else list(map(str, problems))
    placed = [problem.file for problem in problems if problem.file]  # that there are even more stands nowhere
    say("\n".join([*lines, f"{number(len(placed), what)} in {number(len(set(placed)), 'file')}"]))


def annotation(problem: Problem, level: str = "error") -> str:
    """Write a problem as a GitHub workflow reads it."""
    place = {"file": problem.file, "line": problem.line, "col": problem.column}
    known = [f"{name}={_escaped(str(value), _ESCAPED_IN_PLACE)}" for name, value in place.items() if value is not None]
    return f"::{level} {','.join(known)}".rstrip() + f"::{_escaped(problem.message, _ESCAPED)}"


def _escaped(text: str, characters: dict[str, str]) -> str:
    return "".join(characters.get(character, character) for character in text)


def _plain_values(checked: Sequence[Checked]) -> dict[str, Any]:
    return {
        "ok": not any(one.problems for one in checked),
        "paths": [
            {
                "path": one.path,
                "ok": one.rules is not None,
                "rules": None if one.rules is None else len(one.rules),
                "revision": None if one.rules is None else one.rules.revision,
            }
            for one in checked
        ],
        "problems": [problem._asdict() for one in checked for problem in one.problems],
    }


def _praises(checked: Sequence[Checked]) -> Iterator[str]:
    for path, rules, _ in checked:
        if rules is not None:
            yield f"{path}: no mistakes; {number(len(rules), 'rule')}, revision {rules.revision}"


def _coloured(problem: Problem) -> str:
    from rich.text import Text

    text = Text(str(problem))
    place = len(str(problem._replace(excerpt=None))) - len(problem.message)
    text.stylize("bold", 0, place)
    text.stylize("dim", place + len(problem.message))
    return drawn([text], wrap=False)
