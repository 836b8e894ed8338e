"""`guardrail lint`: rules judged, for people, programs or a GitHub workflow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.cli.exits import OK, WRONG, say
from guardrail.cli.validation import annotation, say_problems
from guardrail.cli.words import number

if TYPE_CHECKING:
    from guardrail.cli.lint.places import Finding, Located, Places
    from guardrail.errors import Problem
    from guardrail.rules.ruleset import RuleSet


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
    from guardrail.cli.lint.places import Places
    from guardrail.cli.loading import contents
    from guardrail.errors import RuleError
    from guardrail.rules.ruleset import RuleSet

    try:
        files = contents(path)
        rules = RuleSet.of_files(files, path)
    except RuleError as wrong:
        return Judged(path, None, (), wrong.problems)
    places = Places.of_files(files)
    found = [places.locate(finding) for finding in _findings(rules, places)]
    file_order = {name: number for number, name in enumerate(files)}
    found.sort(key=lambda one: _place(one.problem, file_order))
    return Judged(path, len(rules), found, ())


def _findings(rules: RuleSet, places: Places) -> Iterator[Finding]:
    """Find what is wrong with each rule. One that no call comes to is not judged further."""
    from guardrail.cli.lint.alone import findings_alone, misnamed_in, never_asked
    from guardrail.cli.lint.requests import has_method
    from guardrail.cli.lint.together import findings_together
    from guardrail.rules.ruleset import RuleSet

    beside_methods = any(has_method(text) for rule in rules for text in rule.resource)
    living = []
    for rule in rules:
        if rule.mode == "off":
            continue
        if (unmet := never_asked(rule)) is not None:
            yield unmet
            continue
        misnamed = list(misnamed_in(rule, beside_methods=beside_methods))
        yield from misnamed
        if sum(one.where[0] == "resource" for one in misnamed) < len(rule.resource):
            living.append(rule)
    others = RuleSet(living)
    order = {rule.name: number for number, rule in enumerate(living)}
    for rule in living:
        yield from findings_alone(rule)
        yield from findings_together(rule, others, order, places.name)


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
