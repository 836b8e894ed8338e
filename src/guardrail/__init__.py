"""Rate limits, circuit breakers and bulkheads: one rule file for all, edited while the service runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.admission.ambient import attributes
from guardrail.admission.permit import Permit
from guardrail.core.verdict import Decision
from guardrail.default import breaker, bulkhead, configure, default_guard, guarded, limit
from guardrail.errors import BreakerOpen, BulkheadFull, GuardrailError, RateLimited, Refused, RuleError, StoreError
from guardrail.guard import Guard
from guardrail.telemetry.events import Listener

if TYPE_CHECKING:
    from guardrail.rules.ruleset import RuleSet

__version__ = "0.1.0"
__all__ = [
    "BreakerOpen",
    "BulkheadFull",
    "Decision",
    "Guard",
    "GuardrailError",
    "Listener",
    "Permit",
    "RateLimited",
    "Refused",
    "RuleError",
    "RuleSet",
    "StoreError",
    "attributes",
    "breaker",
    "bulkhead",
    "configure",
    "default_guard",
    "guarded",
    "limit",
]


def __getattr__(name: str) -> object:
    if name == "RuleSet":  # brings pydantic and PyYAML, which not every import needs
        from guardrail.rules.ruleset import RuleSet

        return RuleSet
    raise AttributeError(f"module 'guardrail' has no attribute {name!r}")
