"""Making rules: from plain values, from defaults, and of one rule over another.

Law: what a rule writes wins; a default, or a field of the rule underneath, that does not apply beside it gives way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from guardrail.errors import Problem, RuleError
from guardrail.rules.conflicts import misplaced
from guardrail.rules.diagnosis import Mistake, field_names, find_mistakes, read_fields
from guardrail.rules.model import MODELS, Rule, RuleFields
from guardrail.rules.spelling import any_of, closest, did_you_mean, shown
from guardrail.rules.tree import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN = ("name", "resource", "kind")  # what every rule says for itself


def make_rule(fields: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Rule | list[Mistake]:
    """Make a rule of *fields* and the *defaults* that it does not write itself, or find out why that cannot be.

    There are no mistakes, and no rule either, where all that is wrong could not even be read and is reported as that.
    """
    kind = fields.get("kind")
    model = MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return _without_kind(fields)
    merged = {**(defaults or {}), **fields}
    if "name" not in merged:
        merged["name"] = default_name(fields) or "unnamed"
    if defaults:
        _give_way(model, merged, fields)
    try:
        return model.model_validate(merged).remember(frozenset(fields), merged)
    except ValidationError:
        return find_mistakes(model, merged, fields)


def check_defaults(kind: str, fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
    """Return those of *fields* that rules of this kind can start from, and what is wrong with the others."""
    mistakes = [
        Mistake((name,), f"{name} has no default; every rule says it for itself", at_key=True)
        for name in _OWN
        if name in fields
    ]
    values = read_fields(MODELS[kind], {name: fields[name] for name in fields if name not in _OWN}, mistakes)
    if "window_us" in values and "window_calls" in values:
        mistakes.append(Mistake(("window_calls",), "window and window_calls exclude each other; keep one", at_key=True))
    wrong = {mistake.path[0] for mistake in mistakes}
    return {name: value for name, value in fields.items() if name not in wrong}, mistakes


def default_name(fields: Mapping[str, Any]) -> str | None:
    """Return the name of a rule that writes none: its first resource and its kind."""
    resource = fields.get("resource")
    first = resource[0] if isinstance(resource, list | tuple) and resource else resource
    return f"{first}/{fields['kind']}" if isinstance(first, str | int) and isinstance(fields.get("kind"), str) else None


def parse_rule(fields: Mapping[str, Any], *, where: str) -> Rule:
    """Make a rule of what a program passed. A field that is None counts as not written.

    Args:
        where: What to name in front of every mistake, such as `@limit of app.fetch`.

    Raises:
        RuleError: Everything that is wrong with it.
    """
    made = make_rule({name: value for name, value in fields.items() if value is not None})
    if isinstance(made, list):
        raise RuleError(Problem(f"{where}: {mistake.message}") for mistake in made)
    return made


def merge(inline: Rule, over: Rule) -> Rule:
    """Let a rule from a file take over from one in code, field by field: what it does not write stays.

    Raises:
        RuleError: The two are of different kinds, or contradict each other.
    """
    if inline.kind != over.kind:
        kinds = f"a {inline.kind} in code and a {over.kind} in the rules"
        raise RuleError([Problem(f"rule '{over.name}' is {kinds}; give one of them another name")])
    written = {name: over.fields[name] for name in over.written}
    made = make_rule(written, inline.fields)
    if isinstance(made, list):
        raise RuleError(Problem(f"rule '{inline.name}', with what code says of it: {wrong.message}") for wrong in made)
    return made.remember(inline.written | over.written, made.fields)


def _give_way(model: type[RuleFields], merged: dict[str, Any], own: Mapping[str, Any]) -> None:
    """Take the fields out of *merged* that are not the rule's own and do not apply beside those."""
    names = {attribute: name for name, (attribute, _) in field_names(model).items()}
    values = {attribute: merged[name] for attribute, name in names.items() if name in merged}
    for conflict in misplaced(values, values.keys()):
        droppable = (names[field] for field in (conflict.field, conflict.rival) if field and names[field] not in own)
        merged.pop(next(droppable, ""), None)


def _without_kind(fields: Mapping[str, Any]) -> list[Mistake]:
    """Judge a rule by the kind that was probably meant, or by what all kinds share."""
    kind = fields.get("kind")
    guess = closest(kind, tuple(MODELS)) if isinstance(kind, str) else None
    if guess is None:
        shared = field_names(RuleFields).keys()
        likely = [
            name for name, model in MODELS.items() if fields.keys() & (field_names(model).keys() - shared - {"kind"})
        ]
        guess = likely[0] if len(likely) == 1 else None
    perhaps = f"; its fields are those of a {guess}" if guess else ""
    if "kind" not in fields:
        mistakes = [Mistake((), f"a rule needs a kind: {any_of(MODELS)}{perhaps}")]
    elif kind is UNREADABLE:
        mistakes = []
    else:
        perhaps = (did_you_mean(kind, MODELS) if isinstance(kind, str) else "") or perhaps
        mistakes = [Mistake(("kind",), f"kind must be {any_of(MODELS)}, got {shown(kind)}{perhaps}")]
    rest = {name: value for name, value in fields.items() if name != "kind"}
    merged = {"name": "unnamed", **rest}
    if guess:
        return mistakes + find_mistakes(MODELS[guess], {**merged, "kind": guess}, rest)
    return mistakes + find_mistakes(RuleFields, merged, rest)
