"""Rate limits, circuit breakers and bulkheads: one rule file for all, edited while the service runs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.admission.ambient import attributes
    from guardrail.admission.permit import Permit
    from guardrail.core.verdict import Decision
    from guardrail.default import breaker, bulkhead, configure, default_guard, guarded, limit
    from guardrail.errors import BreakerOpen, BulkheadFull, GuardrailError, RateLimited, Refused, RuleError, StoreError
    from guardrail.guard import Guard
    from guardrail.rules.ruleset import RuleSet
    from guardrail.stores.redis import RedisStore
    from guardrail.telemetry.events import Listener

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
    "RedisStore",
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

# Where each name lives: it is loaded when it is first used, so that an import costs what it brings.
_ROOMS = {
    "guardrail.admission.ambient": ("attributes",),
    "guardrail.admission.permit": ("Permit",),
    "guardrail.core.verdict": ("Decision",),
    "guardrail.default": ("breaker", "bulkhead", "configure", "default_guard", "guarded", "limit"),
    "guardrail.errors": (
        "BreakerOpen",
        "BulkheadFull",
        "GuardrailError",
        "RateLimited",
        "Refused",
        "RuleError",
        "StoreError",
    ),
    "guardrail.guard": ("Guard",),
    "guardrail.rules.ruleset": ("RuleSet",),
    "guardrail.stores.redis": ("RedisStore",),
    "guardrail.telemetry.events": ("Listener",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'guardrail' has no attribute {name!r}")
    value: object = getattr(import_module(_ROOM_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
