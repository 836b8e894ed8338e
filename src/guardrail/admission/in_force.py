"""Which rules are in force for a resource: those in code, taken over where a file says so, then those of the files.

Law: what a file does not write stays as in code, and the state stays where it was: it is kept under the name in code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guardrail.errors import Problem, RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardrail.rules.model import Rule
    from guardrail.rules.ruleset import RuleSet


class Effective(NamedTuple):
    """Hold a rule as it is in force, and the name under which its state is kept."""

    rule: Rule
    state_name: str


def in_force(resource: str, rules: RuleSet, inline: Iterable[Rule]) -> list[Effective]:
    """Return every rule that applies to *resource*, in the order in which they are asked.

    Args:
        inline: The rules in code for this resource, outermost decorator first.

    Raises:
        RuleError: A file contradicts the code it takes over.
    """
    found: list[Effective] = []
    used: set[str] = set()
    for rule in inline:
        over = _taken_over_by(rule, rules)
        if over is None:
            found.append(Effective(rule, rule.name))
        else:
            used.add(over.name)
            found.append(Effective(_merged(rule, over), rule.name))
    found.extend(Effective(rule, rule.name) for rule in rules.match(resource) if rule.name not in used)
    return found


def _taken_over_by(inline: Rule, rules: RuleSet) -> Rule | None:
    named = rules.get(inline.name)
    if named is not None:
        return named
    resource = inline.resource[0]
    if inline.name != f"{resource}/{inline.kind}":
        return None  # a second of its kind in one stack is taken over by name only
    for rule in rules.match(resource):
        if rule.kind == inline.kind and rule.resource == inline.resource:
            return rule
    return None


def _merged(inline: Rule, over: Rule) -> Rule:
    from guardrail.rules.making import merge

    if inline.kind != over.kind:
        raise RuleError(
            [Problem(f"rule '{over.name}' is a {inline.kind} in code: write `kind: {inline.kind}`, or another name")]
        )
    return merge(inline, over)
