"""What is wrong with the fields of a rule, field by field and in words.

Law: every mistake is found, each is named once, and none that only follows from another.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from guardrail.rules.conflicts import Conflict, contradictions, misplaced
from guardrail.rules.model import MODELS, RuleFields
from guardrail.rules.spelling import any_of, closest, did_you_mean, shown
from guardrail.rules.tree import MOST_PROBLEMS, UNREADABLE, Path, name_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

_REQUIRED = {
    "resource": "a rule needs a resource, such as resource: orders.create",
    "rate": "a limit needs a rate, such as rate: 100/min",
    "max_concurrent": "a bulkhead needs max_concurrent, such as max_concurrent: 10",
}


class Mistake(NamedTuple):
    """Name what is wrong at which path inside of the rule; `at_key` where the key itself is."""

    path: Path
    message: str
    at_key: bool = False


@lru_cache
def field_names(model: type[RuleFields]) -> dict[str, tuple[str, FieldInfo]]:
    """Return the fields of *model* by their names in YAML, each with its name in Python."""
    return {field.alias or attribute: (attribute, field) for attribute, field in model.model_fields.items()}


def find_mistakes(model: type[RuleFields], merged: Mapping[str, Any], own: Mapping[str, Any]) -> list[Mistake]:
    """Find what is wrong with a rule.

    Args:
        merged: Its fields by their names in YAML, defaults among them.
        own: Those that it wrote itself; what is wrong with the others alone is not its mistake.
    """
    names, found = field_names(model), list[Mistake]()
    values = read_fields(model, merged, found)
    unknown = islice((name for name in merged if name not in names), MOST_PROBLEMS)
    meant = {closest(str(name), tuple(names)) for name in unknown}
    for name, (attribute, field) in names.items():
        if name not in merged:
            if not field.is_required():
                values[attribute] = field.default
            elif name in _REQUIRED and name not in meant:
                found.append(Mistake((), _REQUIRED[name]))
    given = {attribute for name, (attribute, _) in names.items() if name in merged}
    for find in misplaced, contradictions:
        found += [_placed(conflict, names, own.keys()) for conflict in find(values, given)]
    return [mistake for mistake in found if not mistake.path or mistake.path[0] in own]


def read_fields(model: type[RuleFields], given: Mapping[str, Any], mistakes: list[Mistake]) -> dict[str, Any]:
    """Return what can be read of *given* by its names in Python, and add what is wrong with the rest to *mistakes*."""
    names, values = field_names(model), dict[str, Any]()
    for name, value in given.items():
        if len(mistakes) > MOST_PROBLEMS:
            break
        if name not in names:
            if (message := _unknown(name, model)) is not None:
                mistakes.append(Mistake((name,), message, at_key=True))
            continue
        try:
            values[names[name][0]] = _adapter(model, name).validate_python(value)
        except ValidationError as wrong:
            found = [_mistake(name, value, error) for error in wrong.errors(include_url=False)[: MOST_PROBLEMS + 1]]
            mistakes += [mistake for mistake in found if mistake is not None]
    return values


@lru_cache
def _adapter(model: type[RuleFields], name: str) -> TypeAdapter[Any]:
    field = field_names(model)[name][1]
    kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return TypeAdapter(kind)


def _unknown(name: object, model: type[RuleFields]) -> str | None:
    kinds = [kind for kind, other in MODELS.items() if name in field_names(other)]
    if model is RuleFields:  # the kind is not known; any field of any kind may be meant
        every = sorted({field for other in MODELS.values() for field in field_names(other)})
        return None if kinds else f"unknown key {shown(name)}{did_you_mean(name, every)}"
    kind = next(kind for kind, other in MODELS.items() if other is model)
    if kinds:
        return f"{name} is a field of a {any_of(kinds)}, not of a {kind}; leave it out"
    names = field_names(model).keys()
    return f"unknown key {shown(name)}" + (did_you_mean(name, names) or f"; a {kind} takes {', '.join(sorted(names))}")


def _mistake(name: str, value: Any, error: ErrorDetails) -> Mistake | None:
    """Turn pydantic's error into a sentence about the value it is about; None where that is reported already."""
    path: list[str | int] = [name]
    step: Any
    for step in error["loc"]:
        if step == "[key]":
            break
        if isinstance(value, list | tuple) or (isinstance(value, dict) and step in value):
            value = value[step]
            path.append(step)
    at_key = "[key]" in error["loc"]
    if value is UNREADABLE and not at_key:
        return None
    label = f"a key of {name_path(path[:-1])}" if at_key else name_path(path)
    what = error.get("ctx", {}).get("error", error["msg"])
    return Mistake(tuple(path), f"{label} {what}", at_key)


def _placed(conflict: Conflict, names: Mapping[str, tuple[str, FieldInfo]], own: AbstractSet[str]) -> Mistake:
    """Place a conflict at the one of its two options that the rule wrote itself, else at the rule."""
    written = {attribute: name for name, (attribute, _) in names.items() if name in own}
    for attribute in conflict.field, conflict.rival:
        if attribute in written:
            inner = (conflict.inner,) if conflict.inner is not None else ()
            return Mistake((written[attribute], *inner), conflict.message, conflict.at_key)
    return Mistake((), conflict.message)
