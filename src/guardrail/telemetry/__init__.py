"""What guardrail tells: frozen events, and the listeners they are told to."""

from guardrail.telemetry.events import (
    BreakerMoved,
    CallRefused,
    Event,
    KeysOverflowed,
    Listener,
    RulesRejected,
    RulesReloaded,
)
from guardrail.telemetry.notify import notify

__all__ = [
    "BreakerMoved",
    "CallRefused",
    "Event",
    "KeysOverflowed",
    "Listener",
    "RulesRejected",
    "RulesReloaded",
    "notify",
]
