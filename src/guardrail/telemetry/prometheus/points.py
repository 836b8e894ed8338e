"""Points: the numbers of a snapshot, each under its metric and labels.

Law: only names, states and words become labels. What a key was, or why something happened, is not even read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

from guardrail.core.breaker_state import Phase
from guardrail.telemetry.prometheus import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from guardrail.telemetry.histogram import Distribution
    from guardrail.telemetry.prometheus.metrics import Metric
    from guardrail.telemetry.snapshot import (
        BreakerRuleSnapshot,
        BulkheadRuleSnapshot,
        ReloadSnapshot,
        RuleCounts,
        Snapshot,
        StoreSnapshot,
    )

PHASES: tuple[Phase, ...] = get_args(Phase)
USUAL_FAULTS = ("timeout", "connection")  # shown from the start, so that the first one is seen as an increase


class Point(NamedTuple):
    """Hold one number, or the distribution of a histogram, and the values of its metric's labels."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Distribution


def points(snapshot: Snapshot) -> Iterator[Point]:
    """Yield every number that is scraped."""
    yield from _decisions(snapshot.counts)
    for breakers in snapshot.breakers:
        yield from _breakers(breakers)
    for bulkheads in snapshot.bulkheads:
        yield from _bulkheads(bulkheads)
    for rule in snapshot.rules:
        if rule.waited is not None:
            yield Point(metrics.QUEUE_WAIT, (rule.name,), rule.waited)
    if snapshot.store is not None:
        yield from _store(snapshot.store)
    yield from _reload(snapshot.reload)
    for latency in snapshot.latencies:
        yield Point(metrics.CALLS, (latency.resource,), latency.distribution)


def _decisions(counts: Iterable[RuleCounts]) -> Iterator[Point]:
    for one in counts:
        for outcome, count in one.outcomes().items():
            yield Point(metrics.DECISIONS, (one.resource, one.rule, outcome), count)


def _breakers(breakers: BreakerRuleSnapshot) -> Iterator[Point]:
    name = breakers.rule
    for phase in PHASES:
        yield Point(metrics.BREAKER_STATE, (name, phase), breakers.states.get(phase, 0))
    for move, count in breakers.moves().items():
        yield Point(metrics.BREAKER_TRANSITIONS, (name, *move), count)
    for outcome, count in breakers.outcomes().items():
        yield Point(metrics.BREAKER_CALLS, (name, outcome), count)


def _bulkheads(bulkheads: BulkheadRuleSnapshot) -> Iterator[Point]:
    name = (bulkheads.rule,)
    yield Point(metrics.BULKHEAD_IN_USE, name, bulkheads.in_use)
    yield Point(metrics.BULKHEAD_CAPACITY, name, bulkheads.places())
    yield Point(metrics.BULKHEAD_FULLEST, name, bulkheads.fullest)
    yield Point(metrics.BULKHEAD_MAX_CONCURRENT, name, bulkheads.capacity)


def _store(store: StoreSnapshot) -> Iterator[Point]:
    yield Point(metrics.STORE, (store.store,), store.seconds)
    errors = dict.fromkeys(USUAL_FAULTS, 0) | dict(store.errors)
    for kind, count in errors.items():
        yield Point(metrics.STORE_ERRORS, (store.store, kind), count)
    yield Point(metrics.STORE_FALLBACK, (store.store,), int(not store.available))


def _reload(reload: ReloadSnapshot) -> Iterator[Point]:
    yield Point(metrics.RULES, (reload.revision,), 1)
    yield Point(metrics.RELOADED, (), reload.at)
    yield Point(metrics.RELOAD_SUCCESSFUL, (), int(reload.error is None))
    yield Point(metrics.RELOAD_FAILURES, (), reload.failures)
