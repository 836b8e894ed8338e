"""Several documents -> one list of rules, or every mistake in any of them.

Law: everything is read to its end before anything is refused; mistakes are in the order of files and lines, and so are
the rules. No two rules have one name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from guardrail.errors import Problem, RuleError
from guardrail.rules.document import MOST_PROBLEMS, Placed, read_document
from guardrail.rules.page import Page
from guardrail.rules.reader import read
from guardrail.rules.tree import Literal, Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from guardrail.rules.model import Rule


def rules_of_files(files: Mapping[str, bytes | str], environ: Mapping[str, str] | None = None) -> tuple[Rule, ...]:
    """Read the rules of some files, in the order of the mapping.

    Args:
        files: What is in each, by the name that messages shall give it.
        environ: What `${VAR}` stands for; default: the environment.

    Raises:
        RuleError: Everything that is wrong with any of them.
    """
    rules, problems, named = list[Rule](), list[Problem](), dict[str, Placed]()
    for name, content in files.items():
        try:
            page = Page.of(name, content)
        except RuleError as wrong:
            problems += wrong.problems
            continue
        tree = read(page, os.environ if environ is None else environ)
        rules += _gather(tree, named)
        problems += sorted(tree.problems, key=lambda problem: (problem.line or 0, problem.column or 0))
    _refuse(problems)
    return tuple(rules)


def rules_of_values(values: Mapping[str, Any] | Sequence[Any]) -> tuple[Rule, ...]:
    """Make the rules of a document, or of a list of rules, that a program holds as plain values.

    A field that is None counts as not written, and variables are not filled in: a program has its own.

    Raises:
        RuleError: Everything that is wrong with them, by its path, such as `rules[2].burst`.
    """
    document = dict(values) if isinstance(values, Mapping) else {"version": 1, "rules": values}
    if isinstance(listed := document.get("rules"), list | tuple):
        document["rules"] = [_without_none(rule) for rule in listed]
    origin = Literal(document)
    rules = list(_gather(origin, {}))
    _refuse(origin.problems)
    return tuple(rules)


def _without_none(rule: Any) -> Any:
    return {name: value for name, value in rule.items() if value is not None} if isinstance(rule, Mapping) else rule


def _gather(origin: Origin, named: dict[str, Placed]) -> Iterable[Rule]:
    for found in read_document(origin):
        first = named.setdefault(found.rule.name, found)
        if first is not found:
            _report_name(found, first)
        yield found.rule


def _report_name(found: Placed, first: Placed) -> None:
    rule, other = found.rule, first.origin.where(first.path)
    if "name" in rule.written:
        message = f"the name {rule.name!r} is taken by another rule ({other}); names are unique"
    elif "name" in first.rule.written or rule.kind != first.rule.kind:
        message = f"this rule's name would be {rule.name!r}, which another rule has ({other}); give it a name"
    else:
        message = f"two {rule.kind} rules on {rule.resource[0]!r} have no name (the other: {other}); give one a name"
    found.origin.report((*found.path, "name"), message)


def _refuse(problems: list[Problem]) -> None:
    if not problems:
        return
    more = len(problems) - MOST_PROBLEMS
    raise RuleError(problems if more <= 0 else [*problems[:MOST_PROBLEMS], Problem(f"and {more:,} mistakes more")])
