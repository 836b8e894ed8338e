"""Make a picture of what was seen of one process or several.

Law: a process that does not answer now is not in the sums, unless none does: then they are the last that are known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from guardrail.cli.remote.breakers import breakers_of
from guardrail.cli.remote.figures import (
    BulkheadFigures,
    HotKeyFigures,
    Picture,
    RuleFigures,
    Rules,
    Source,
    StoreFigures,
)
from guardrail.telemetry.histogram import Distribution

if TYPE_CHECKING:
    from guardrail.cli.remote.following import Sight
    from guardrail.telemetry.snapshot import BulkheadRuleSnapshot, RuleSnapshot, Snapshot, StoreSnapshot


class Seen(NamedTuple):
    """Hold one rule as one process showed it: now, at the look before, and at the first one."""

    now: RuleSnapshot
    before: RuleSnapshot | None
    first: RuleSnapshot | None
    seconds: float


def picture_of(sights: Sequence[Sight], *, hashed: bool = True) -> Picture:
    """Sum up what was seen.

    Args:
        hashed: Keys are hashes.
    """
    known = [one for one in sights if one.now is not None]
    summed = [one for one in known if one.trouble is None] or known
    snapshots = [one.now for one in summed if one.now is not None]
    return Picture(
        sources=tuple(map(_source, sights)),
        rules_in_force=tuple(_rules(snapshots)),
        rules=tuple(_rule(name, seen) for name, seen in _by_rule(summed).items()),
        breakers=tuple(breakers_of(snapshots)),
        bulkheads=tuple(_bulkheads(snapshots)),
        hot_keys=tuple(_hot_keys(snapshots, hashed=hashed)),
        stores=tuple(_stores(snapshots)),
    )


def _source(sight: Sight) -> Source:
    now = sight.now
    if now is None:
        return Source(sight.place, None, None, None, sight.trouble, sight.away_s)
    return Source(sight.place, now.pid, now.mode, now.reload.revision, sight.trouble, sight.away_s)


def _rules(snapshots: Iterable[Snapshot]) -> Iterator[Rules]:
    by_revision: dict[str, list[Snapshot]] = defaultdict(list)
    for one in snapshots:
        by_revision[one.reload.revision].append(one)
    for revision, alike in by_revision.items():
        yield Rules(
            revision,
            alike[0].reload.source,
            len(alike),
            min(one.at - one.reload.at for one in alike),
            max(one.reload.reloads for one in alike),
            sum(one.reload.failures for one in alike),
            next((one.reload.error for one in alike if one.reload.error), None),
        )


def _by_rule(sights: Iterable[Sight]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = defaultdict(list)
    for sight in sights:
        before = {} if sight.before is None else {one.name: one for one in sight.before.rules}
        first = {} if sight.first is None else {one.name: one for one in sight.first.rules}
        for one in () if sight.now is None else sight.now.rules:
            found[one.name].append(Seen(one, before.get(one.name), first.get(one.name), sight.seconds))
    return found


def _rule(name: str, seen: Sequence[Seen]) -> RuleFigures:
    any_one = seen[0].now
    waits = _rate(seen, lambda one: one.waited.count if one.waited else 0)
    waited_s = _rate(seen, lambda one: one.waited.total if one.waited else 0.0)
    return RuleFigures(
        name=name,
        kind=any_one.kind,
        text=any_one.text,
        mode=" or ".join(sorted({one.now.mode for one in seen})),
        enforced=min(one.now.enforced for one in seen),
        asked=sum(_asked(one.now) for one in seen),
        refused=sum(one.now.refused for one in seen),
        would_refuse=sum(one.now.shadow_refused for one in seen),
        errors=sum(one.now.errors for one in seen),
        recent_refused=sum(_kept_out(one.now) - (0 if one.first is None else _kept_out(one.first)) for one in seen),
        calls_per_s=_rate(seen, _asked),
        refused_per_s=_rate(seen, lambda one: one.refused),
        would_refuse_per_s=_rate(seen, lambda one: one.shadow_refused),
        waits_per_s=waits,
        wait_mean_s=waited_s / waits if waits and waited_s is not None else None,
    )


def _rate(seen: Iterable[Seen], count: Callable[[RuleSnapshot], float]) -> float | None:
    rates = [(count(one.now) - count(one.before)) / one.seconds for one in seen if one.before and one.seconds > 0]
    return sum(rates) if rates else None


def _asked(rule: RuleSnapshot) -> int:
    return rule.allowed + rule.refused + rule.shadow_refused


def _kept_out(rule: RuleSnapshot) -> int:
    return rule.refused + rule.shadow_refused


def _bulkheads(snapshots: Iterable[Snapshot]) -> Iterator[BulkheadFigures]:
    by_rule: dict[str, list[BulkheadRuleSnapshot]] = defaultdict(list)
    for snapshot in snapshots:
        for one in snapshot.bulkheads:
            by_rule[one.rule].append(one)
    for rule, alike in by_rule.items():
        yield BulkheadFigures(
            rule,
            in_use=sum(one.in_use for one in alike),
            places=sum(one.capacity * max(1, one.count) for one in alike),
            waiting=sum(one.waiting for one in alike),
            fullest=max(one.fullest for one in alike),
            capacity=max(one.capacity for one in alike),
            count=sum(max(1, one.count) for one in alike),
        )


def _hot_keys(snapshots: Iterable[Snapshot], *, hashed: bool) -> list[HotKeyFigures]:
    calls, refused = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for snapshot in snapshots:
        for one in snapshot.hot_keys:
            calls[one.rule, one.key] += one.calls
            refused[one.rule, one.key] += one.refused
    return [HotKeyFigures(*name, hashed, times, refused[name]) for name, times in calls.most_common()]


def _stores(snapshots: Iterable[Snapshot]) -> Iterator[StoreFigures]:
    by_store: dict[str, list[StoreSnapshot]] = defaultdict(list)
    for snapshot in snapshots:
        if snapshot.store is not None:
            by_store[snapshot.store.store].append(snapshot.store)
    for name, alike in by_store.items():
        away = [one for one in alike if not one.available]
        took = _together([one.seconds for one in alike])
        yield StoreFigures(
            name,
            processes=len(alike),
            away=len(away),
            reason=next((one.reason for one in [*away, *alike] if one.reason), ""),
            outages=sum(one.outages for one in alike),
            errors=sum(count for one in alike for count in one.errors.values()),
            p50=took.quantile(0.5),
            p99=took.quantile(0.99),
        )


def _together(parts: Sequence[Distribution]) -> Distribution:
    buckets = tuple(map(sum, zip_longest(*(one.buckets for one in parts), fillvalue=0)))
    return Distribution(sum(one.count for one in parts), sum(one.total for one in parts), buckets)
