"""Events: what happened, as facts that no longer change.

Law: an admitted call is no event. There is one for every refusal, for every move of a breaker, and for every change of
the rules or of the store behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from guardrail.core.verdict import Decision, Kind, Reason


@dataclass(frozen=True, slots=True)
class CallRefused:
    """Say that a rule refused a call, or would have.

    Attributes:
        decision: The whole decision. Of a shadow refusal it may be an admission.
        shadow: The rule only watches: the call was not kept out by it.
    """

    resource: str
    rule: str
    kind: Kind
    reason: Reason
    decision: Decision
    shadow: bool


@dataclass(frozen=True, slots=True)
class BreakerMoved:
    """Say that a breaker changed its state.

    Attributes:
        breaker: The rule's name, followed by `/key value` where the rule keeps several breakers.
        reason: Why, as a sentence.
        rule: The rule's name alone.
        resource: What the breaker is for, where the rule keeps one for each resource; None: its key may be a secret, or
            it has none.
    """

    breaker: str = field(repr=False)  # its key may be a secret, and events are printed
    from_state: str
    to_state: str
    reason: str
    rule: str = ""
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class RulesReloaded:
    """Say that other rules are in force.

    Attributes:
        source: The file or folder they came from; None where they came from code.
        revision: What is in force now, a hash of the content.
        previous: What was in force until now.
    """

    source: str | None
    revision: str
    previous: str | None


@dataclass(frozen=True, slots=True)
class RulesRejected:
    """Say that new rules cannot be used. Those in force stay.

    Attributes:
        error: A RuleError that lists every mistake, or the OSError that kept the rules from being read.
    """

    source: str | None
    error: Exception


@dataclass(frozen=True, slots=True)
class KeysOverflowed:
    """Say, once, that a rule keeps as many states as it may, and that further new keys share one."""

    rule: str
    max_keys: int


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """Name the store that something happened to, without its password."""

    store: str


@dataclass(frozen=True, slots=True)
class StoreLost(StoreEvent):
    """Say that a store does not answer: calls are decided by each rule's `on_store_error` until it does.

    Attributes:
        error: One word for what failed: `timeout`, `connection`, `rights`, `password`, `memory`, ...
    """

    error: str
    message: str


@dataclass(frozen=True, slots=True)
class StoreBack(StoreEvent):
    """Say that a store answers again.

    Attributes:
        seconds: How long it had been away.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class StoreWarned(StoreEvent):
    """Say, once for each, that a setting of the store endangers limits.

    Attributes:
        setting: Its name on the server, such as `maxmemory-policy`.
        message: What it does, and what to set instead.
    """

    setting: str
    message: str


Event = (
    CallRefused | BreakerMoved | RulesReloaded | RulesRejected | KeysOverflowed | StoreLost | StoreBack | StoreWarned
)


class Listener(Protocol):
    """Hear of events, in their order, on a thread of its own: one that waits, hangs or raises changes nothing for calls.

    As many events wait for it as a `Background` lets; later ones are left out. One with an attribute `never_waits` that is
    True is told at once, on the thread of the call.
    """

    def __call__(self, event: Event, /) -> object: ...


class Immediate:
    """Tell a listener at once, on the thread of the call, which goes on when it has heard: `Immediate(seen.append)`.

    For listeners that never wait: tests, counters. One that hangs holds up the call.
    """

    never_waits = True

    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    def __call__(self, event: Event) -> None:
        self.listener(event)
