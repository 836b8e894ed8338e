"""`guardrail lint`: rules judged, for people, programs or a GitHub workflow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.cli.exits import OK, WRONG, say
from guardrail.cli.validation import annotation, say_problems
from guardrail.cli.words import number

if TYPE_CHECKING:
    from guardrail.cli.lint.places import Located
    from guardrail.errors import Problem


class Judged(NamedTuple):
    """Hold what became of one path: how many rules there are and what was found, or what makes them unusable."""

    path: str
    rules: int | None
    found: Sequence[Located]
    problems: Sequence[Problem]


def lint(paths: Sequence[str], form: str) -> int:
    """Judge the rules at each of *paths*, print what was found, and return the exit code."""
    judged = [judge(path) for path in dict.fromkeys(paths)]
    found = [one.problem for each in judged for one in each.found]
    problems = [problem for each in judged for problem in each.problems]
    praises = [_praise(each) for each in judged if each.rules is not None and not each.found]
    match form:
        case "json":
            say(json.dumps(_plain_values(judged), indent=2))
        case "github":
            warnings = [annotation(problem, "warning") for problem in found]
            say("\n".join([*map(annotation, problems), *warnings, *praises]))
        case _:
            if praises:
                say("\n".join(praises))
            if problems:
                say_problems(problems)
            if found:
                say_problems(found, "finding")
    return WRONG if found or problems else OK


def judge(path: str) -> Judged:
    """Judge the rules at one path."""
    from guardrail.cli.lint.alone import findings_alone
    from guardrail.cli.lint.places import Places
    from guardrail.cli.lint.together import findings_together
    from guardrail.cli.loading import contents
    from guardrail.errors import RuleError
    from guardrail.rules.ruleset import RuleSet

    try:
        files = contents(path)
        rules = RuleSet.of_files(files, path)
    except RuleError as wrong:
        return Judged(path, None, (), wrong.problems)
    places = Places.of_files(files)
    order = {rule.name: number for number, rule in enumerate(rules)}
    found = [
        places.locate(finding)
        for rule in rules
        if rule.mode != "off"
        for finding in (*findings_alone(rule), *findings_together(rule, rules, order, places.name))
    ]
    file_order = {name: number for number, name in enumerate(files)}
    found.sort(key=lambda one: _place(one.problem, file_order))
    return Judged(path, len(rules), found, ())


def _place(problem: Problem, files: dict[str, int]) -> tuple[int, int, int]:
    return files.get(problem.file or "", 0), problem.line or 0, problem.column or 0


def _praise(judged: Judged) -> str:
    return f"{judged.path}: nothing found; {number(judged.rules or 0, 'rule')}"


def _plain_values(judged: Sequence[Judged]) -> dict[str, Any]:
    return {
        "ok": not any(one.found or one.problems for one in judged),
        "paths": [{"path": one.path, "rules": one.rules, "findings": len(one.found)} for one in judged],
        "findings": [
            {
                "code": one.finding.code,
                "rule": one.finding.rule.name,
                "wrong": one.finding.wrong,
                "advice": one.finding.advice,
                **one.problem._asdict(),
            }
            for each in judged
            for one in each.found
        ],
        "problems": [problem._asdict() for each in judged for problem in each.problems],
    }
