"""Differences in words, and for programs.

Law: names and types for programs stay as they are; there may be more of them later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from guardrail.cli.diff.changes import Change, Differences, field_text
from guardrail.cli.diff.state import effects, state_after
from guardrail.cli.words import Row, number, plainly
from guardrail.rules.diagnosis import field_names
from guardrail.rules.spelling import any_of

if TYPE_CHECKING:
    from guardrail.rules.model import Rule
    from guardrail.rules.ruleset import RuleSet

SIGNS = {"added": "+", "removed": "-", "changed": "~", "renamed": "~"}
_OWN = {"name", "kind", "resource", "except", "when", "key"}  # what `for` and `before` say


def lines(found: Differences) -> Iterator[str]:
    """Say what differs."""
    yield f"Old: {_source(found.old)}"
    yield f"New: {_source(found.new)}"
    if not found:
        yield f"No difference: {number(found.unchanged, 'rule')}, all of them as before."
        return
    counts = Counter(change.sort for change in found.changes)
    said = [f"{count:,} {sort}" for sort in ("changed", "added", "removed", "renamed") if (count := counts[sort])]
    yield f"Rules: {', '.join([*said, f'{found.unchanged:,} unchanged'])}"
    for change in found.changes:
        name = (
            f"{change.old.name} -> {change.rule.name}" if change.sort == "renamed" and change.old else change.rule.name
        )
        yield ""
        yield f"{SIGNS[change.sort]} {change.rule.kind} {name}"
        rows = list(rows_of(change))
        wide = max(len(row.about) for row in rows)
        yield from (f"   {row.about:{wide}}  {row.sentence}" for row in rows)
    coverage = list(_coverage(found))
    if coverage or found.reordered:
        yield ""
        yield from coverage
    if found.reordered:
        yield "The rules that both have are asked in another order: that of the new files."


def rows_of(change: Change) -> Iterator[Row]:
    """Say what there is to say of one rule."""
    whom, before = audience(change.rule), None if change.old is None else audience(change.old)
    yield Row("for", whom)
    if change.sort == "changed":
        if before is not None and before != whom:
            yield Row("before", before)
        yield from _resources(change)
        for field, old, new in change.fields:
            if field not in _OWN or field == "kind":
                yield Row(field, f"{old or 'none'} -> {new or 'none'}")
    elif change.sort == "added":
        for name, (attribute, _) in field_names(type(change.rule)).items():
            if name not in _OWN and attribute in change.rule.model_fields_set:
                yield Row(name, field_text(change.rule, attribute) or "none")
    for effect in effects(change):
        yield Row("effect", effect)
    state = state_after(change)
    yield Row("state", f"{state.fate}: {state.sentence}")


def audience(rule: Rule) -> str:
    """Say which calls a rule is about, and what it counts apart."""
    said = any_of(rule.resource)
    if rule.except_:
        said += f", except {any_of(rule.except_)}"
    for name, values in rule.when.items():
        negative = values[0].startswith("!")
        wanted = any_of(plainly(value[1:] if negative else value) for value in values)
        said += f", where {name} is {'not ' if negative else ''}{wanted}"
    if rule.key:
        said += f"; each {' and '.join(any_of(names) for names in rule.key)} by itself"
    return said


def plain_values(found: Differences) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "ok": True,
        "differ": bool(found),
        "old": _values_of(found.old),
        "new": _values_of(found.new),
        "unchanged": found.unchanged,
        "reordered": found.reordered,
        "changes": [
            {
                "change": change.sort,
                "rule": change.rule.name,
                "was": change.old.name if change.old is not None else None,
                "kind": change.rule.kind,
                "for": audience(change.rule),
                "before": audience(change.old) if change.old is not None else None,
                "fields": [one._asdict() for one in change.fields],
                "effects": list(effects(change)),
                "state": state_after(change).fate,
                "why": state_after(change).sentence,
            }
            for change in found.changes
        ],
        "no_longer_covered": {kind: list(texts) for kind, texts in found.lost.items()},
        "newly_covered": {kind: list(texts) for kind, texts in found.gained.items()},
    }


def _resources(change: Change) -> Iterator[Row]:
    """Say which resources a rule takes up and lets go of."""
    if change.old is None or change.new is None or change.old.resource == change.new.resource:
        return
    if gone := [text for text in change.old.resource if text not in change.new.resource]:
        yield Row("leaves", ", ".join(gone))
    if come := [text for text in change.new.resource if text not in change.old.resource]:
        yield Row("takes up", ", ".join(come))


def _coverage(found: Differences) -> Iterator[str]:
    for texts_by_kind, says in (found.lost, "No {} is left for"), (found.gained, "There was no {} before for"):
        for kind, texts in texts_by_kind.items():
            more = f" and {len(texts) - 10:,} more" if len(texts) > 10 else ""
            yield f"{says.format(kind)} {', '.join(texts[:10])}{more}."


def _source(rules: RuleSet) -> str:
    source = "what is piped in" if rules.source == "-" else rules.source
    return f"{source}, {number(len(rules), 'rule')}, revision {rules.revision}"


def _values_of(rules: RuleSet) -> dict[str, Any]:
    return {"path": rules.source, "count": len(rules), "revision": rules.revision}
