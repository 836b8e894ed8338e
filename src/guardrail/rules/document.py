"""One document -> its rules, and what is wrong with it.

Law: one mistake never hides another. Whatever can still be understood is judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.rules.making import check_defaults, default_name, make_rule
from guardrail.rules.model import MODELS
from guardrail.rules.scalars import is_nothing
from guardrail.rules.spelling import any_of, did_you_mean, shown
from guardrail.rules.tree import MOST_PROBLEMS, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from guardrail.rules.diagnosis import Mistake
    from guardrail.rules.model import Rule
    from guardrail.rules.tree import Origin, Path

_KEYS = ("version", "defaults", "rules")
_START = "version: 1 and rules:"


class Placed(NamedTuple):
    """Hold a rule and where it came from.

    Attributes:
        name: None where it cannot be told.
        rule: None where it is wrong.
    """

    name: str | None
    fields: Mapping[str, Any]
    rule: Rule | None
    origin: Origin
    path: Path


def read_document(origin: Origin) -> Iterator[Placed]:
    """Find the rules of one document, and add what is wrong to its problems."""
    root = origin.root
    if isinstance(root, Unreadable):
        return
    if root is None or is_nothing(root):
        origin.report((), f"the file is empty; write {_START}")
    elif not isinstance(root, dict):
        origin.report((), f"a file must be a mapping with {_START}, got {_kind_of(root)}")
    else:
        _check_keys(origin, root)
        defaults = _read_defaults(origin, root.get("defaults", {}))
        for number, fields in enumerate(_listed_rules(origin, root)):
            if isinstance(fields, dict):
                yield _read_rule(origin, ("rules", number), fields, defaults)
            elif not isinstance(fields, Unreadable):
                origin.report(("rules", number), f"a rule must be a mapping of its fields, got {_kind_of(fields)}")
            if len(origin.problems) > MOST_PROBLEMS:
                return


def _check_keys(origin: Origin, root: Mapping[Any, Any]) -> None:
    for key in root:
        if key not in _KEYS:
            guess = did_you_mean(key, _KEYS) or f"; a file has {any_of(_KEYS)}"
            origin.report((key,), f"unknown key {shown(key)}{guess}", at_key=True)
    version = root.get("version")
    wrong = version != 1 or type(version) is not int
    if "version" in root and wrong and not isinstance(version, Unreadable):
        origin.report(("version",), f"version must be 1, got {shown(version)}")


def _read_defaults(origin: Origin, defaults: Any) -> dict[str, dict[str, Any]]:
    """Return what rules of each kind start from."""
    found = dict[str, dict[str, Any]]()
    for kind, fields in _entries(origin, ("defaults",), defaults, "such as {breaker: {open_for: 10s}}"):
        if kind not in MODELS:
            message = f"defaults are for {any_of(MODELS)}, got {shown(kind)}{did_you_mean(kind, MODELS)}"
            origin.report(("defaults", kind), message, at_key=True)
            continue
        path = ("defaults", kind)
        given = dict(_entries(origin, path, fields, "of fields"))
        found[kind], mistakes = check_defaults(kind, given)
        _report(origin, path, mistakes)
    return found


def _entries(origin: Origin, path: Path, value: Any, example: str) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    if not isinstance(value, Unreadable):
        origin.report(path, f"{'.'.join(map(str, path))} must be a mapping {example}, got {_kind_of(value)}")
    return ()


def _listed_rules(origin: Origin, root: Mapping[Any, Any]) -> list[Any]:
    rules = root.get("rules")
    if isinstance(rules, list):
        return rules
    if "rules" not in root:
        if origin.complete:
            origin.report((), "the file needs rules; write rules: and a list, [] for none")
    elif not isinstance(rules, Unreadable):
        origin.report(("rules",), f"rules must be a list, each rule with '- ' in front, got {_kind_of(rules)}")
    return []


def _read_rule(
    origin: Origin, path: Path, fields: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]]
) -> Placed:
    kind = fields.get("kind")
    made = make_rule(fields, defaults.get(kind) if isinstance(kind, str) else None)
    if not isinstance(made, list):
        return Placed(made.name, fields, made, origin, path)
    _report(origin, path, made)
    name = fields.get("name", default_name(fields))
    return Placed(name if isinstance(name, str) else None, fields, None, origin, path)


def _report(origin: Origin, path: Path, mistakes: list[Mistake]) -> None:
    for mistake in mistakes:
        origin.report((*path, *mistake.path), mistake.message, at_key=mistake.at_key)


def _kind_of(value: Any) -> str:
    return "nothing" if value is None or is_nothing(value) else shown(value)
