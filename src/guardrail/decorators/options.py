"""Options: what a decorator was given, turned into a rule of the same model that files use.

Law: an option means in code what its field means in a file; only callables and exception classes are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from guardrail.admission.permit import checked_cost
from guardrail.errors import Problem, RuleError

if TYPE_CHECKING:
    from guardrail.core.verdict import Kind
    from guardrail.decorators.arguments import Arguments
    from guardrail.rules.model import Rule

Duration = str | float | timedelta
Key = str | Callable[..., Any] | Iterable[str | Callable[..., Any]]
Cost = int | str | Callable[..., int]
Exceptions = type[BaseException] | str | Iterable[type[BaseException] | str]
Errors = type[Exception] | tuple[type[Exception], ...]
When = Mapping[str, Any]


class Options:
    """Hold the options of one decorator that become a rule."""

    __slots__ = ("_fields", "kind")

    def __init__(self, kind: Kind, **fields: Any) -> None:
        self.kind = kind
        self._fields = {name: _listed(value) for name, value in fields.items() if value is not None}

    def named(self, resource: str, place: int) -> str:
        """Return the name of the rule: the second of its kind in a stack is `resource/kind/2`."""
        return f"{resource}/{self.kind}" if place == 1 else f"{resource}/{self.kind}/{place}"

    def rule(self, name: str, resource: str, arguments: Arguments) -> Rule:
        """Return the rule, checked.

        Raises:
            RuleError: An option is wrong; its text says what to write instead.
        """
        from guardrail.rules.making import parse_rule

        fields = dict(self._fields)
        call = f"call.{name.removeprefix(resource).strip('/').replace('/', '')}"
        if "key" in fields:
            fields["key"] = _named(fields["key"], f"{call}.key", arguments)
        if callable(cost := fields.get("cost")):
            fields["cost"] = _named(_whole(cost), f"{call}.cost", arguments)
        fields.update(kind=self.kind, resource=resource, name=name)
        rule = parse_rule(fields, where=f"@{self.kind} on {resource}")
        _check_names(rule, arguments, resource)
        return rule


def _listed(option: Any) -> Any:
    """Let any iterable stand for a list, also where the decorator is used more than once."""
    is_one = callable(option) or isinstance(option, str | bytes | Mapping)
    return list(option) if isinstance(option, Iterable) and not is_one else option


def _named(option: Any, stands_for: str, arguments: Arguments) -> Any:
    """Give callables a name that a rule can hold, and a parameter called `resource` one that only arguments have."""
    if callable(option):
        arguments.computed[stands_for] = option
        return stands_for
    if isinstance(option, list):
        return [_named(one, f"{stands_for}.{index}", arguments) for index, one in enumerate(option)]
    if isinstance(option, str) and "resource" in arguments.names():
        names = [name.strip() for name in option.split("|")]
        return "|".join("arg.resource" if name == "resource" else name for name in names)
    return option


def _whole(cost: Callable[..., Any]) -> Callable[..., int]:
    return lambda *args, **kwargs: checked_cost(cost(*args, **kwargs))


def _check_names(rule: Rule, arguments: Arguments, resource: str) -> None:
    from guardrail.rules.spelling import did_you_mean

    named = {name for part in rule.key for name in part} | set(rule.when)
    if rule.kind == "limit" and isinstance(rule.cost, str):
        named.add(rule.cost)
    for name in sorted(named):
        if not arguments.knows(name):
            hint = did_you_mean(name, arguments.names())
            parameters = ", ".join(arguments.names()) or "none"
            raise RuleError(
                [
                    Problem(
                        f"@{rule.kind} on {resource}: '{name}' is neither a parameter ({parameters}) nor an attribute such as "
                        f"`user`, `client.ip` or `header.x-tenant`{hint}"
                    )
                ]
            )
