"""What was perhaps meant by a name that no rule knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from guardrail.rules.match import is_pattern
from guardrail.rules.spelling import closest

if TYPE_CHECKING:
    from guardrail.rules.model import Rule

_MOST = 1_000  # resources that a misspelled one is held against


def resource_meant(resource: str, rules: Iterable[Rule]) -> str | None:
    """Return the resource with rules of its own that was perhaps meant by one without."""
    texts = dict.fromkeys(text for rule in rules for text in rule.resource if not is_pattern(text))
    return closest(resource, tuple(islice(texts, _MOST)))


def unread(attributes: Iterable[str], rules: Iterable[Rule]) -> dict[str, str | None]:
    """Return the attributes that none of *rules* looks at, each with the one that was perhaps meant."""
    looked_at = {name for rule in rules for name in _looked_at(rule)}
    free = tuple(sorted(looked_at - set(attributes)))
    return {name: closest(name, free) for name in attributes if name not in looked_at}


def _looked_at(rule: Rule) -> Iterator[str]:
    yield from rule.when
    for names in rule.key:
        yield from names
    if rule.kind == "limit" and isinstance(rule.cost, str):
        yield rule.cost
