"""What differs between two sets of rules: rule by rule, by name, and field by field.

Law: only what means something else is a change. The same spelled otherwise, or laid out in other files, is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from guardrail.cli.words import percent
from guardrail.rules.diagnosis import field_names
from guardrail.rules.model import MODELS
from guardrail.rules.units import Rate, show_duration

if TYPE_CHECKING:
    from guardrail.rules.model import Rule
    from guardrail.rules.ruleset import RuleSet

Sort = Literal["added", "removed", "changed", "renamed"]
KINDS = tuple(MODELS)
OWN_BURSTS = "each rate's own amount"  # a rule that writes no burst, and has overrides


class FieldChange(NamedTuple):
    """Hold one field that is not what it was; None: it is not written, and has no default that means anything."""

    field: str
    old: str | None
    new: str | None


class Change(NamedTuple):
    """Hold one rule that is not what it was."""

    sort: Sort
    old: Rule | None
    new: Rule | None
    fields: tuple[FieldChange, ...] = ()

    @property
    def rule(self) -> Rule:
        """The rule as it will be, or as it was if it goes."""
        rule = self.new or self.old
        assert rule is not None
        return rule


@dataclass(frozen=True)
class Differences:
    """Hold everything that differs.

    Attributes:
        changes: In the order of the new rules; those that go come last.
        unchanged: How many rules are what they were.
        reordered: Rules that are in both are asked in another order.
        lost: By kind, resources that had a rule of that kind and have none any more.
        gained: By kind, resources that have one now.
    """

    old: RuleSet
    new: RuleSet
    changes: tuple[Change, ...]
    unchanged: int
    reordered: bool
    lost: Mapping[str, tuple[str, ...]]
    gained: Mapping[str, tuple[str, ...]]

    def __bool__(self) -> bool:
        return bool(self.changes or self.reordered)


def differences(old: RuleSet, new: RuleSet) -> Differences:
    """Compare two sets of rules."""
    gone = [rule for rule in old if new.get(rule.name) is None]
    changes = []
    for rule in new:
        before = old.get(rule.name)
        if before is None:
            twin = next((one for one in gone if _is_twin(one, rule)), None)
            if twin is None:
                changes.append(Change("added", None, rule))
            else:
                gone.remove(twin)
                changes.append(Change("renamed", twin, rule))
        elif fields := changed_fields(before, rule):
            changes.append(Change("changed", before, rule, fields))
    changes += [Change("removed", rule, None) for rule in gone]
    kept = [rule.name for rule in new if old.get(rule.name) is not None]
    return Differences(
        old,
        new,
        tuple(changes),
        len(kept) - sum(change.sort == "changed" for change in changes),
        kept != [rule.name for rule in old if new.get(rule.name) is not None],
        {kind: found for kind in KINDS if (found := _uncovered(old, new, kind))},
        {kind: found for kind in KINDS if (found := _uncovered(new, old, kind))},
    )


def changed_fields(old: Rule, new: Rule) -> tuple[FieldChange, ...]:
    """Compare two rules of one name."""
    if old.kind != new.kind:
        return (FieldChange("kind", old.kind, new.kind),)
    return tuple(
        FieldChange(name, field_text(old, attribute, new), field_text(new, attribute, old))
        for name, (attribute, _) in field_names(type(new)).items()
        if name != "name" and _means(old, attribute, new) != _means(new, attribute, old)
    )


def field_text(rule: Rule, attribute: str, beside: Rule | None = None) -> str | None:
    """Show a field as one would write it.

    Args:
        beside: The rule it is compared with.
    """
    text = _text(attribute, _means(rule, attribute, beside))
    if text is None or attribute in rule.model_fields_set:
        return text
    return f"{text} (default)"


def _means(rule: Rule, attribute: str, beside: Rule | None) -> Any:
    """Return what a field means, where others fill in what it leaves unsaid."""
    value = getattr(rule, attribute)
    if rule.kind == "breaker":
        return getattr(rule.breaker(), attribute, value)
    if attribute == "burst" and value is None and rule.kind == "limit" and rule.algorithm == "token_bucket":
        written = beside is not None and beside.kind == "limit" and beside.burst is not None
        return OWN_BURSTS if written and rule.overrides else rule.rate.amount
    return value


def _text(attribute: str, value: Any) -> str | None:
    match value:
        case None | ():
            return None
        case dict():
            return ", ".join(f"{name}: {_listed(attribute, one)}" for name, one in value.items()) or None
        case tuple():
            return ", ".join("|".join(one) if isinstance(one, tuple) else _name(one) for one in value)
        case Fraction():
            return percent(value)
        case int() if attribute.endswith("_us"):
            return show_duration(value) if value else "0s"
        case int():
            return f"{value:,}"
        case Rate():
            return str(value)
        case _:
            return str(value)


def _listed(attribute: str, value: Any) -> str | None:
    text = _text(attribute, value)
    return f"[{text}]" if isinstance(value, tuple) and len(value) > 1 else text


def _name(value: object) -> str:
    return value.__qualname__ if isinstance(value, type) else str(value)


def _is_twin(old: Rule, new: Rule) -> bool:
    """Tell whether only the name is another."""
    return old.kind == new.kind and not changed_fields(old, new)


def _uncovered(one: RuleSet, other: RuleSet, kind: str) -> tuple[str, ...]:
    """Return the resources that have a rule of this kind in *one*, and none in *other*."""
    texts = dict.fromkeys(text for rule in _in_force(one, kind) for text in rule.resource)
    found = (
        text
        for text in texts
        if any(rule in _in_force(one.match(text), kind) for rule in one.match(text))
        and not any(_in_force(other.match(text), kind))
    )
    return tuple(found)


def _in_force(rules: Iterable[Rule], kind: str) -> list[Rule]:
    return [rule for rule in rules if rule.kind == kind and rule.mode != "off"]
