"""Snapshot: all that can be seen of a guard at one moment, as one frozen object.

Law: it says nothing but numbers, names and reasons; keys are hashed unless asked for. Metrics, health checks, pages and
the command line read this, and nothing else of a guard.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrail.core.breaker_state import BreakerSnapshot, Phase
    from guardrail.core.verdict import Kind
    from guardrail.telemetry.histogram import Distribution


# The moves of every breaker's life.
USUAL_MOVES = (("closed", "open"), ("open", "half_open"), ("half_open", "closed"), ("half_open", "open"))


@dataclass(frozen=True, slots=True)
class RuleCounts:
    """Hold what one rule decided for one resource, since this process began.

    Attributes:
        resource: `__other__` stands for all that came after the first thousand.
        allowed: Calls that went ahead.
        refused: Calls that the rule kept out. A call that two rules refuse is in both.
        shadow_refused: Calls that it would have kept out, if it did not just watch.
        errors: How many of them were decided by `on_store_error`: the store could not be asked.
    """

    resource: str
    rule: str
    allowed: int
    refused: int
    shadow_refused: int
    errors: int

    def outcomes(self) -> dict[str, int]:
        """Return the counts by the words that metrics have for them."""
        return {
            "allow": self.allowed,
            "refuse": self.refused,
            "shadow_refuse": self.shadow_refused,
            "error": self.errors,
        }


@dataclass(frozen=True, slots=True)
class RuleSnapshot:
    """Hold one rule in force.

    Attributes:
        text: Its numbers, such as `100/min`.
        source: Where it stands: a file or folder, or `code`.
        mode: `enforce`, `shadow` or `off`, the guard's own mode taken into account.
        enforced: The share of keys for which it is enforced, from 0 to 1.
        on_store_error: What decides while the store cannot be asked; None: the rule counts in this process.
        keys: How many keys have a state in this process; None: the rule has no key.
        allowed: As in RuleCounts, over all resources; so are the next three.
        would_refuse: The share of calls it was asked about that it refused, or would have if it did not just watch.
        waited: How long calls waited for it, of those that did.
    """

    name: str
    kind: Kind
    resource: tuple[str, ...]
    text: str
    source: str
    mode: str
    enforced: float
    on_store_error: str | None
    keys: int | None
    allowed: int
    refused: int
    shadow_refused: int
    errors: int
    would_refuse: float | None
    waited: Distribution | None


@dataclass(frozen=True, slots=True)
class BreakerRuleSnapshot:
    """Hold the breakers of one rule: one, or one for each key.

    Attributes:
        states: How many are in each state.
        transitions: How often they moved, by (from, to).
        successes: Calls that ended well, over all of them; so are the next three.
        notable: Those that are not closed, at most 20, by name; and the only one, whatever its state.
    """

    rule: str
    states: Mapping[Phase, int]
    transitions: Mapping[tuple[str, str], int]
    successes: int
    failures: int
    slow: int
    ignored: int
    notable: Mapping[str, BreakerSnapshot]

    def moves(self) -> dict[tuple[str, str], int]:
        """Return how often they moved; usual moves from the start, so that the first one is seen as an increase."""
        return dict.fromkeys(USUAL_MOVES, 0) | dict(self.transitions)

    def outcomes(self) -> dict[str, int]:
        """Return how calls ended, by the words that metrics have for it."""
        return {"success": self.successes, "failure": self.failures, "ignored": self.ignored}


@dataclass(frozen=True, slots=True)
class BulkheadRuleSnapshot:
    """Hold the bulkheads of one rule: one, or one for each key.

    Attributes:
        in_use: Places taken, over all of them.
        waiting: Calls in line.
        capacity: Places of each one.
        fullest: Places taken of the fullest one.
        count: How many there are.
    """

    rule: str
    in_use: int
    waiting: int
    capacity: int
    fullest: int
    count: int

    def places(self) -> int:
        """Return how many places there are over all of them; of one that nobody has entered, its own."""
        return self.capacity * max(1, self.count)


@dataclass(frozen=True, slots=True)
class HotKey:
    """Hold one of the keys that a rule is asked about most.

    Attributes:
        key: A hash of it, the same for all time in all processes (but for keys of over 128 characters); or the key itself
            where it was asked for.
        calls: How often it was asked about, at least, as far as a sample can tell: one allowed call in 64 is looked at.
        refused: How often it was refused, or would have been; at most `calls`.
    """

    rule: str
    key: str
    calls: int
    refused: int


@dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """Hold how a store is.

    Attributes:
        store: Its name, without its password.
        available: It answers.
        reason: The last fault as a sentence, empty if there was none.
        outages: How often it was found to be away.
        errors: How often it failed, by one word for what; a connection that was lost is one, however many calls waited.
        seconds: How long it took to answer those that were.
    """

    store: str
    available: bool
    reason: str
    outages: int
    errors: Mapping[str, int]
    seconds: Distribution


@dataclass(frozen=True, slots=True)
class Latency:
    """Hold how long calls to a resource took, from being let in to their end, in seconds; see `Distribution.quantile`."""

    resource: str
    p50: float | None
    p95: float | None
    p99: float | None
    distribution: Distribution


@dataclass(frozen=True, slots=True)
class ReloadSnapshot:
    """Hold how the rules came into force. Times are seconds since 1970.

    Attributes:
        source: The file or folder; None: they are from code.
        failures: How often new rules could not be used.
        error: Why, if the last ones could not: those before them are in force.
    """

    source: str | None
    revision: str
    at: float
    reloads: int
    failures: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Hold all that can be seen of a guard. Times are seconds since 1970."""

    at: float
    pid: int
    mode: str
    reload: ReloadSnapshot
    rules: tuple[RuleSnapshot, ...]
    counts: tuple[RuleCounts, ...]
    breakers: tuple[BreakerRuleSnapshot, ...]
    bulkheads: tuple[BulkheadRuleSnapshot, ...]
    hot_keys: tuple[HotKey, ...]
    store: StoreSnapshot | None
    latencies: tuple[Latency, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        plain: dict[str, Any] = asdict(self)
        for breakers in plain["breakers"]:
            breakers["transitions"] = [
                {"from": before, "to": after, "count": count}
                for (before, after), count in breakers["transitions"].items()
            ]
        return plain
