"""Breakers over several processes: each has its own, and the worst one is the one to look at.

Law: a breaker that keeps calls out is shown, however many there are: what is not named is counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from guardrail.cli.remote.figures import BreakerFigures

if TYPE_CHECKING:
    from guardrail.core.breaker_state import BreakerSnapshot
    from guardrail.telemetry.snapshot import Snapshot

WORST_FIRST = ("forced_open", "open", "half_open", "forced_closed", "closed")


def breakers_of(snapshots: Iterable[Snapshot]) -> Iterator[BreakerFigures]:
    """Yield every breaker that is named, the worst first, and the rest of each rule as one."""
    named: dict[str, list[tuple[BreakerSnapshot, float]]] = defaultdict(list)
    rest: dict[str, Counter[str]] = defaultdict(Counter)
    for snapshot in snapshots:
        for rule in snapshot.breakers:
            more = Counter[str]()
            more.update(rule.states)
            for name, one in rule.notable.items():
                named[name].append((one, snapshot.at))
                more[one.state] -= 1
            rest[rule.rule].update({state: count for state, count in more.items() if count > 0 and state != "closed"})
    found = [_breaker(name, alike) for name, alike in named.items()]
    yield from sorted(found, key=lambda one: (_badness(one.state), one.name))
    for rule_name, states in rest.items():
        if states:
            worst = min(states, key=_badness)
            yield BreakerFigures(f"{rule_name} (others)", dict(states), worst, None, None, None, None, 0)


def _breaker(name: str, alike: list[tuple[BreakerSnapshot, float]]) -> BreakerFigures:
    worst, at = min(alike, key=lambda one: (_badness(one[0].state), one[0].moved_at or 0.0))
    since_s = None if worst.moved_at is None else max(0.0, at - worst.moved_at)
    states = dict(Counter[str](one.state for one, _ in alike))
    calls = sum(one.calls for one, _ in alike)
    failures = sum(one.failures for one, _ in alike)
    rate = failures / calls if calls else None
    return BreakerFigures(name, states, worst.state, worst.reason, since_s, worst.retry_after, rate, calls)


def _badness(state: str) -> int:
    return WORST_FIRST.index(state) if state in WORST_FIRST else len(WORST_FIRST)
