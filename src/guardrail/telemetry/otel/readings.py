"""Readings: a snapshot as numbers, each under its instrument and attributes.

Law: only names, states and words become attributes. What a key was, or why something happened, is not even read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guardrail.telemetry.otel import instruments as on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardrail.telemetry.histogram import Distribution
    from guardrail.telemetry.otel.instruments import Instrument
    from guardrail.telemetry.snapshot import (
        BreakerRuleSnapshot,
        BulkheadRuleSnapshot,
        RuleCounts,
        Snapshot,
        StoreSnapshot,
    )

MOST_CHARACTERS = 200  # of one name


class Reading(NamedTuple):
    """Hold one number, or the distribution of times, and the attributes it stands under."""

    instrument: Instrument
    attributes: dict[str, str]
    value: float | Distribution


def readings(snapshot: Snapshot) -> Iterator[Reading]:
    """Yield every number that is told."""
    for counts in snapshot.counts:
        yield from _decisions(counts)
    for breakers in snapshot.breakers:
        yield from _breakers(breakers)
    for bulkheads in snapshot.bulkheads:
        yield from _bulkheads(bulkheads)
    for rule in snapshot.rules:
        if rule.waited is not None:
            yield Reading(on.QUEUE_WAIT, {on.RULE: written(rule.name)}, rule.waited)
    for latency in snapshot.latencies:
        yield Reading(on.CALL_DURATION, {on.RESOURCE: written(latency.resource)}, latency.distribution)
    if snapshot.store is not None:
        yield from _store(snapshot.store)
    yield Reading(on.RULES, {on.REVISION: snapshot.reload.revision}, 1)
    yield Reading(on.RELOADED, {}, snapshot.reload.at)
    yield Reading(on.RELOAD_FAILURES, {}, snapshot.reload.failures)


def written(name: str) -> str:
    """Return a name that every exporter can encode, and that is not endless."""
    short = name if len(name) <= MOST_CHARACTERS else f"{name[: MOST_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
    return short if short.isascii() else short.encode(errors="replace").decode()


def _decisions(counts: RuleCounts) -> Iterator[Reading]:
    place = {on.RESOURCE: written(counts.resource), on.RULE: written(counts.rule)}
    for outcome, count in counts.outcomes().items():
        if count or outcome == "allow":  # an SDK keeps 2,000 streams of an instrument: none for what never happened
            yield Reading(on.DECISIONS, {**place, on.OUTCOME: outcome}, count)


def _breakers(breakers: BreakerRuleSnapshot) -> Iterator[Reading]:
    rule = {on.RULE: written(breakers.rule)}
    for state, count in breakers.states.items():
        yield Reading(on.BREAKER_STATE, {**rule, on.STATE: state}, count)
    for (before, after), count in breakers.moves().items():
        yield Reading(on.BREAKER_TRANSITIONS, {**rule, on.FROM_STATE: before, on.TO_STATE: after}, count)
    for outcome, count in breakers.outcomes().items():
        yield Reading(on.BREAKER_CALLS, {**rule, on.OUTCOME: outcome}, count)


def _bulkheads(bulkheads: BulkheadRuleSnapshot) -> Iterator[Reading]:
    rule = {on.RULE: written(bulkheads.rule)}
    yield Reading(on.BULKHEAD_IN_USE, rule, bulkheads.in_use)
    yield Reading(on.BULKHEAD_CAPACITY, rule, bulkheads.places())
    yield Reading(on.BULKHEAD_WAITING, rule, bulkheads.waiting)


def _store(store: StoreSnapshot) -> Iterator[Reading]:
    name = {on.STORE: written(store.store)}
    yield Reading(on.STORE_DURATION, name, store.seconds)
    for kind, count in store.errors.items():
        yield Reading(on.STORE_ERRORS, {**name, on.ERROR_TYPE: kind}, count)
    yield Reading(on.STORE_FALLBACK, name, int(not store.available))
