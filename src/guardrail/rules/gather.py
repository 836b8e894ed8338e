"""Several documents -> one list of rules, or every mistake in any of them.

Law: everything is read to its end before anything is refused; mistakes are in the order of files and lines, and so are
the rules. No two rules have one name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from guardrail.errors import Problem, RuleError
from guardrail.rules.document import Placed, read_document
from guardrail.rules.page import Page
from guardrail.rules.reader import read
from guardrail.rules.spelling import shown
from guardrail.rules.tree import MOST_PROBLEMS, Literal, Origin

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
    rules: list[Rule] = []
    problems: list[Problem] = []
    named: dict[str, Placed] = {}
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
    if isinstance(rules := document.get("rules"), list | tuple):
        document["rules"] = [_without_none(rule) for rule in rules]
    if isinstance(defaults := document.get("defaults"), Mapping):
        document["defaults"] = {kind: _without_none(fields) for kind, fields in defaults.items()}
    origin = Literal(document)
    found = tuple(_gather(origin, {}))
    _refuse(origin.problems)
    return found


def _without_none(rule: Any) -> Any:
    return {name: value for name, value in rule.items() if value is not None} if isinstance(rule, Mapping) else rule


def _gather(origin: Origin, named: dict[str, Placed]) -> Iterable[Rule]:
    for found in read_document(origin):
        if found.name is not None:
            first = named.setdefault(found.name, found)
            if first is not found:
                found.origin.report((*found.path, "name"), _same_name(found, first))
        if found.rule is not None:
            yield found.rule
        assert found.rule is not None or origin.problems, "no rule is left out without a word"


def _same_name(found: Placed, first: Placed) -> str:
    other = first.origin.where(first.path)
    if "name" in found.fields:
        return f"the name {shown(found.name)} is taken by another rule ({other}); names are unique"
    if "name" in first.fields:
        return f"this rule would be called {shown(found.name)}, which another one is ({other}); give it a name"
    resource, _, kind = str(found.name).rpartition("/")
    return f"two {kind} rules on {shown(resource)} have no name (the other: {other}); give one a name"


def _refuse(problems: list[Problem]) -> None:
    if len(problems) > MOST_PROBLEMS:
        problems = [*problems[:MOST_PROBLEMS], Problem(f"there are more; these are the first {MOST_PROBLEMS:,}")]
    if problems:
        raise RuleError(problems)
