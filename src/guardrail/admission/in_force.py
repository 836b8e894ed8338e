"""Which rules are in force for a resource: those in code, taken over where a file says so, then those of the files.

Law: what a file does not write stays as in code, and the state stays where it was: it is kept under the name in code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guardrail.errors import Problem, RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardrail.admission.inline import InlineRules
    from guardrail.rules.model import Rule
    from guardrail.rules.ruleset import RuleSet


class Effective(NamedTuple):
    """Hold a rule as it is in force, and the name under which its state is kept."""

    rule: Rule
    state_name: str


def in_force(resource: str, rules: RuleSet, inline: Iterable[Rule], code: InlineRules | None = None) -> list[Effective]:
    """Return every rule that applies to *resource*, in the order in which they are asked.

    Args:
        inline: The rules in code for this resource, outermost decorator first.
        code: All rules in code: one that a file takes over is the same rule wherever the file applies it.

    Raises:
        RuleError: A file contradicts the code it takes over.
    """
    found = [taken_over(rule, rules) for rule in inline]
    used = {one.rule.name for one in found}
    for rule in rules.match(resource):
        if rule.name not in used:
            below = None if code is None else _below(rule, rules, code)
            found.append(Effective(rule, rule.name) if below is None else taken_over(below, rules))
    return found


def taken_over(inline: Rule, rules: RuleSet) -> Effective:
    """Return a rule in code as it is in force.

    Raises:
        RuleError: A file contradicts it.
    """
    over = _taken_over_by(inline, rules)
    return Effective(inline if over is None else _merged(inline, over), inline.name)


def _below(over: Rule, rules: RuleSet, code: InlineRules) -> Rule | None:
    """Return the rule in code that *over*, from a file, takes over."""
    resource = over.resource[0]
    for inline in (code.named(over.name), code.get(resource, f"{resource}/{over.kind}")):
        if inline is not None and _taken_over_by(inline, rules) is over:
            return inline
    return None


def _taken_over_by(inline: Rule, rules: RuleSet) -> Rule | None:
    named = rules.get(inline.name)
    if named is not None:
        return named
    resource = inline.resource[0]
    if inline.name != f"{resource}/{inline.kind}":
        return None  # a second of its kind in one stack is taken over by name only
    for rule in rules.match(resource):
        above, _, place = rule.name.rpartition("/")
        is_next = above == inline.name and place.isdecimal()  # `resource/kind/2` is meant for the second of its kind
        if rule.kind == inline.kind and rule.resource == inline.resource and not is_next:
            return rule
    return None


def _merged(inline: Rule, over: Rule) -> Rule:
    from guardrail.rules.making import merge

    if inline.kind != over.kind:
        raise RuleError(
            [Problem(f"rule '{over.name}' is a {inline.kind} in code: write `kind: {inline.kind}`, or another name")]
        )
    return merge(inline, over)
