"""Rules in code: what decorators say, by resource.

Law: one name, one rule. Decorating again under the same name shares the rule if it is equal, else replaces it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from guardrail.rules.model import Rule


class InlineRules:
    """Keep the rules that decorators have made. Callers serialise changes."""

    def __init__(self) -> None:
        self._by_resource: dict[str, dict[str, Rule]] = {}
        self._by_name: dict[str, Rule] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._by_resource))

    def of(self, resource: str, names: Iterable[str] | None = None) -> list[Rule]:
        """Return the rules of a resource: those with these names, in their order, or all."""
        rules = self._by_resource.get(resource, {})
        return list(rules.values()) if names is None else [rules[name] for name in names]

    def get(self, resource: str, name: str) -> Rule | None:
        """Return one rule."""
        return self._by_resource.get(resource, {}).get(name)

    def named(self, name: str) -> Rule | None:
        """Return the rule of this name, whatever its resource."""
        return self._by_name.get(name)

    def put(self, resource: str, rule: Rule) -> None:
        """Add a rule, or replace the one of its name."""
        self._by_resource.setdefault(resource, {})[rule.name] = rule
        self._by_name[rule.name] = rule
