"""What people write: rules in files or in code, and which of them apply.

The names below are loaded when first asked for: models need pydantic, documents need yaml, and a program that only
imports guardrail needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardrail.rules.making import merge, parse_rule
    from guardrail.rules.model import BreakerRule, BulkheadRule, LimitRule, Rule
    from guardrail.rules.ruleset import RuleSet
    from guardrail.rules.schema import json_schema

__all__ = ["BreakerRule", "BulkheadRule", "LimitRule", "Rule", "RuleSet", "json_schema", "merge", "parse_rule"]

_HOMES = {
    "BreakerRule": "model",
    "BulkheadRule": "model",
    "LimitRule": "model",
    "Rule": "model",
    "RuleSet": "ruleset",
    "json_schema": "schema",
    "merge": "making",
    "parse_rule": "making",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
