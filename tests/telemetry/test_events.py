"""Events are facts: they do not change, they compare by what they say, and they travel."""

import copy
import pickle
from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from guardrail.core.verdict import Decision
from guardrail.telemetry.events import (
    BreakerMoved,
    CallRefused,
    Event,
    KeysOverflowed,
    RulesRejected,
    RulesReloaded,
    StoreBack,
    StoreLost,
    StoreWarned,
)

EVENTS = [
    CallRefused("orders", "per-user", "limit", "rate", Decision(allowed=False), shadow=False),
    BreakerMoved("payments/breaker/a", "closed", "open", "failure rate 60 % >= 50 %", "payments/breaker", "a"),
    RulesReloaded("rules/", "b2", None),
    RulesRejected("rules/", FileNotFoundError(2, "gone")),
    KeysOverflowed("per-user", 10_000),
    StoreLost("redis://localhost:6379/0", "timeout", "it does not answer"),
    StoreBack("redis://localhost:6379/0", 1.5),
    StoreWarned("redis://localhost:6379/0", "maxmemory-policy", "limits are refilled"),
]


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_does_not_change(event):
    with pytest.raises(FrozenInstanceError):
        setattr(event, fields(event)[0].name, "other")


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_equals_its_copy_and_travels(event):
    assert event == copy.copy(event)
    assert type(event) is type(pickle.loads(pickle.dumps(event)))


def test_every_event_stands_in_the_union():
    assert {type(event) for event in EVENTS} == set(get_args(Event))
