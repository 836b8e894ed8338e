"""What can be wrong with rules beside one another: those that another one makes idle, and keys without a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from guardrail.cli.lint.bounds import idle_overrides, is_idle_under
from guardrail.cli.lint.coverage import covers_calls
from guardrail.cli.lint.places import Finding
from guardrail.rules.spelling import any_of, shown

if TYPE_CHECKING:
    from guardrail.rules.model import LimitRule, Rule
    from guardrail.rules.ruleset import RuleSet
    from guardrail.rules.tree import Path

# attributes that whoever calls can make up, a new one each time
_CHOSEN = ("header.", "query.", "path.", "cookie.", "metadata.")

# where the numbers of a rule stand that make it tight or loose
_NUMBERS: dict[str, Path] = {"limit": ("rate",), "bulkhead": ("max_concurrent",), "breaker": ()}

Named = Callable[["Rule"], str]


def findings_together(rule: Rule, rules: RuleSet, order: dict[str, int], named: Named) -> Iterator[Finding]:
    """Find what is wrong with *rule* beside the others.

    Args:
        order: The place of each rule, by name.
        named: Names a rule and where it stands.
    """
    around = [other for other in rules.match(rule.resource[0]) if other.name != rule.name]
    tight = next((other for other in around if _makes_idle(other, rule, order)), None)
    if tight is not None:
        wrong = (
            f"'{rule.name}' never refuses a call by itself: {named(tight)} is asked about the same calls, counts them "
            "under the same or a wider key, and is at no time looser"
        )
        advice = "take one of them out, or make this one tighter"
        yield Finding("never-binds", rule, _NUMBERS[rule.kind], wrong, advice)
    elif rule.kind == "limit":
        yield from _beyond_reach(rule, around, named)
    yield from _unbounded(rule, around)


def _makes_idle(other: Rule, rule: Rule, order: dict[str, int]) -> bool:
    """Tell whether *rule* is one too many beside *other*; of two that are equal the later one is."""
    if not is_idle_under(rule, other):
        return False
    return order[other.name] < order[rule.name] or not is_idle_under(other, rule)


def _beyond_reach(rule: LimitRule, around: list[Rule], named: Named) -> Iterator[Finding]:
    """Find overrides that promise more than another limit ever lets in."""
    told = set[str]()
    for other in around:
        for key in idle_overrides(rule, other):
            if key not in told and other.kind == "limit":
                told.add(key)
                wrong = (
                    f"{shown(key)} never gets {rule.overrides[key]}: {named(other)} is asked about the same calls, and "
                    f"lets in no more than {other.rate} of them"
                )
                advice = "raise that one, or write here what can be had"
                yield Finding("out-of-reach", rule, ("overrides", key), wrong, advice)


def _unbounded(rule: Rule, around: list[Rule]) -> Iterator[Finding]:
    chosen = [name for name in _chosen(rule) if not _is_listed(rule, name)]
    if not chosen or rule.kind == "breaker":
        return
    if any(_holds(other, rule) for other in around):
        return
    fresh = f"a fresh {rule.rate}" if rule.kind == "limit" else f"{rule.max_concurrent:,} places"
    wrong = f"whoever calls can make up {any_of(chosen)}, and gets {fresh} for each value"
    advice = "add a limit for the same resources with the key client.ip or user, or without a key"
    yield Finding("unbounded-key", rule, ("key",), wrong, advice)


def _holds(other: Rule, rule: Rule) -> bool:
    """Tell whether *other* bounds whoever rotates the keys of *rule*."""
    return (
        other.kind != "breaker"
        and (other.kind == "limit" or rule.kind == "bulkhead")
        and other.mode == "enforce"
        and other.enforce == 1
        and not _chosen(other)
        and covers_calls(other, rule)
    )


def _chosen(rule: Rule) -> list[str]:
    return [name for part in rule.key for name in part if name.startswith(_CHOSEN)]


def _is_listed(rule: Rule, name: str) -> bool:
    """Tell whether `when:` lists the values that an attribute can have here."""
    values = rule.when.get(name)
    return values is not None and not values[0].startswith("!")
