"""What `top` shows, in numbers: the snapshots of one process or several, summed by rule.

Law: counts are since the processes began, and add up; rates are between two looks, and None where there was one only. Names
and types stay as they are, since `--json` shows them; there may be more of them later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """Hold one process: where it is, and why it does not answer if it does not."""

    place: str
    pid: int | None
    mode: str | None
    revision: str | None
    trouble: str | None
    away_s: float


@dataclass(frozen=True, slots=True)
class Rules:
    """Hold how the rules of a revision came into force, and in how many processes they are."""

    revision: str
    source: str | None
    processes: int
    age_s: float
    reloads: int
    failures: int
    error: str | None


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """Hold one rule. Rates are calls a second; `recent_refused` counts since this command looks."""

    name: str
    kind: str
    text: str
    mode: str
    enforced: float
    asked: int
    refused: int
    would_refuse: int
    errors: int
    recent_refused: int
    calls_per_s: float | None
    refused_per_s: float | None
    would_refuse_per_s: float | None
    waits_per_s: float | None
    wait_mean_s: float | None


@dataclass(frozen=True, slots=True)
class BreakerFigures:
    """Hold one breaker: in how many processes it is in which state, and of the worst of them, why and since when."""

    name: str
    states: Mapping[str, int]
    state: str
    reason: str | None
    since_s: float | None
    retry_after_s: float | None
    failure_rate: float | None
    calls: int


@dataclass(frozen=True, slots=True)
class BulkheadFigures:
    """Hold the bulkheads of one rule: all together, and the fullest of them."""

    rule: str
    in_use: int
    places: int
    waiting: int
    fullest: int
    capacity: int
    count: int


@dataclass(frozen=True, slots=True)
class HotKeyFigures:
    """Hold one of the keys that were asked about most, or its hash. About how often, and how often it was refused."""

    rule: str
    key: str
    hashed: bool
    calls: int
    refused: int


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """Hold a store as all processes see it. Times are seconds, of all questions so far."""

    store: str
    processes: int
    away: int
    reason: str
    outages: int
    errors: int
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold all that is shown at one moment."""

    sources: tuple[Source, ...]
    rules_in_force: tuple[Rules, ...]
    rules: tuple[RuleFigures, ...]
    breakers: tuple[BreakerFigures, ...]
    bulkheads: tuple[BulkheadFigures, ...]
    hot_keys: tuple[HotKeyFigures, ...]
    stores: tuple[StoreFigures, ...]
