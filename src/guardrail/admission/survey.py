"""Survey: what can be seen of a guard, put together when somebody looks.

Law: looking changes nothing, and holds the lock no longer than it takes to copy references; who looks at a busy guard may
see a count of now beside one of a moment ago.
"""

from __future__ import annotations

import os
from collections import Counter
from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple

from guardrail.admission.call import as_text
from guardrail.admission.limit_states import KeyedStates
from guardrail.admission.object_states import BreakerName, BreakerStates
from guardrail.admission.stock import BY_RESOURCE, breaker_names, only_key
from guardrail.telemetry.counts import OTHER, Hot
from guardrail.telemetry.entry import hidden
from guardrail.telemetry.snapshot import (
    BreakerRuleSnapshot,
    BulkheadRuleSnapshot,
    HotKey,
    Latency,
    RuleCounts,
    RuleSnapshot,
    Snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardrail.admission.in_force import Effective
    from guardrail.admission.ledger import Ledger
    from guardrail.admission.stock import Stock
    from guardrail.core.breaker_state import Phase
    from guardrail.rules.model import Rule
    from guardrail.rules.ruleset import RuleSet
    from guardrail.telemetry.snapshot import ReloadSnapshot, StoreSnapshot

HOT_KEYS = 20  # of one rule
NOTABLE = 20  # breakers of one rule
PHASES: tuple[Phase, ...] = ("closed", "open", "half_open", "forced_open", "forced_closed")


class Survey(NamedTuple):
    """Hold what a guard is made of, as far as it can be seen."""

    stock: Stock
    mode: str
    rules: RuleSet
    named: Mapping[str, Effective]

    @property
    def ledger(self) -> Ledger:
        """All state there is."""
        return self.stock.ledger

    def snapshot(
        self, reload: ReloadSnapshot, store: StoreSnapshot | None, *, show_keys: bool, hot_keys: bool = True
    ) -> Snapshot:
        """Return all of it.

        Args:
            show_keys: Name keys as they are, and not by their hashes.
            hot_keys: Name the hottest of them, which takes the most time.
        """
        counts = self._counts()
        by_rule: dict[str, list[RuleCounts]] = {}
        for one in counts:
            by_rule.setdefault(one.rule, []).append(one)
        effective = list(self.named.values())
        return Snapshot(
            at=self.ledger.clock.now_us() / 1_000_000,
            pid=os.getpid(),
            mode=self.mode,
            reload=reload,
            rules=tuple(self._rule(one, by_rule.get(one.rule.name, ())) for one in effective),
            counts=tuple(counts),
            breakers=tuple(self._breakers(one, show_keys=show_keys) for one in effective if one.rule.kind == "breaker"),
            bulkheads=tuple(self._bulkheads(one) for one in effective if one.rule.kind == "bulkhead"),
            hot_keys=tuple(self._hot_keys(by_rule, show_keys=show_keys)) if hot_keys else (),
            store=store,
            latencies=tuple(self._latencies()),
        )

    def _counts(self) -> list[RuleCounts]:
        tallies = list(self.ledger.counts.tallies.values())
        return [
            RuleCounts(one.resource, one.rule, one.allowed, one.refused, one.shadow_refused, one.errors)
            for one in tallies
        ]

    def _rule(self, effective: Effective, mine: Sequence[RuleCounts]) -> RuleSnapshot:
        rule = effective.rule
        allowed, refused = sum(one.allowed for one in mine), sum(one.refused for one in mine)
        shadow_refused = sum(one.shadow_refused for one in mine)
        asked = allowed + refused + shadow_refused
        mode = _mode(rule, self.mode)
        waits = self.ledger.counts.waits.get(rule.name)
        return RuleSnapshot(
            name=rule.name,
            kind=rule.kind,
            resource=tuple(rule.resource),
            text=_text(rule),
            source="code" if self.rules.get(rule.name) is None else self.rules.source or "code",
            mode=mode,
            enforced=float(rule.enforce) if mode == "enforce" else 0.0,
            on_store_error=rule.on_store_error if rule.kind == "limit" and self.stock.shared(effective) else None,
            keys=self._keys(effective),
            allowed=allowed,
            refused=refused,
            shadow_refused=shadow_refused,
            errors=sum(one.errors for one in mine),
            would_refuse=(refused + shadow_refused) / asked if asked else None,
            waited=None if waits is None else waits.view(),
        )

    def _keys(self, effective: Effective) -> int | None:
        rule, name = effective
        if not rule.key:
            return None
        if rule.kind == "limit":
            states = self.ledger.limits.get(name)
            return len(states) if isinstance(states, KeyedStates) else 0
        kept = (self.ledger.breakers if rule.kind == "breaker" else self.ledger.bulkheads).get(name)
        return 0 if kept is None else len(kept.states)

    def _breakers(self, effective: Effective, *, show_keys: bool) -> BreakerRuleSnapshot:
        rule, name = effective
        assert rule.kind == "breaker"
        named, alone = breaker_names(rule), only_key(rule) is not None
        with self.ledger as now_us:
            states = self.ledger.breakers.get(name) or BreakerStates(rule.breaker())
            kept = list(states.states.items())
            moves = dict(states.moves)
        if alone and not kept:  # it exists from the start
            kept = [(only_key(rule) or "", states.breaker.fresh(now_us))]
        telling = [(key, one) for key, one in kept if alone or one.phase != "closed"][:NOTABLE]
        with self.ledger as now_us:
            shown = [(key, states.breaker.snapshot(one, now_us)) for key, one in telling]
        notable = {_shown(named(key), key, show_keys=show_keys): one for key, one in shown}
        phases = Counter(one.phase for _, one in kept)
        counted: dict[Phase, int] = {phase: phases[phase] for phase in PHASES}
        return BreakerRuleSnapshot(rule.name, counted, moves, *states.totals(), notable)

    def _bulkheads(self, effective: Effective) -> BulkheadRuleSnapshot:
        rule, name = effective
        assert rule.kind == "bulkhead"
        found = self.ledger.bulkheads.get(name)
        kept = [] if found is None else list(found.states.values())
        places = [one.in_use for one in kept]
        waiting = sum(one.waiting for one in kept)
        return BulkheadRuleSnapshot(
            rule.name, sum(places), waiting, rule.max_concurrent, max(places, default=0), len(kept)
        )

    def _hot_keys(self, by_rule: Mapping[str, Sequence[RuleCounts]], *, show_keys: bool) -> list[HotKey]:
        """Return the hottest keys of each rule: from its sketch, or from the counts, where each resource is a key."""
        found: list[tuple[str, Hot]] = []
        for rule, keys in list(self.ledger.counts.keys.items()):
            if self._is_by_resource(rule):
                found += [(rule, one) for one in _hottest(by_rule.get(rule, ()))]
            else:
                found += [(rule, one) for one in keys.top(HOT_KEYS)]
        return [
            HotKey(rule, as_text(key, self._parts(rule)) if show_keys else hidden(key), calls, refused)
            for rule, (key, calls, refused) in found
        ]

    def _is_by_resource(self, rule: str) -> bool:
        found = self.named.get(rule)
        return found is not None and found.rule.key == BY_RESOURCE

    def _parts(self, rule: str) -> int:
        """Return how many parts the key of a rule has; one that is gone: 1."""
        found = self.named.get(rule)
        return 1 if found is None else len(found.rule.key)

    def _latencies(self) -> list[Latency]:
        found = [(name, one.view()) for name, one in list(self.ledger.counts.latencies.items())]
        return [Latency(name, one.quantile(0.5), one.quantile(0.95), one.quantile(0.99), one) for name, one in found]


def _shown(name: BreakerName, key: str, *, show_keys: bool) -> str:
    """Return the name of a breaker, its key hashed unless it is a resource."""
    is_open = show_keys or name.breaker == name.rule or name.resource is not None
    return name.breaker if is_open else f"{name.rule}/{hidden(key)}"


def _hottest(counts: Sequence[RuleCounts]) -> list[Hot]:
    """Return the resources called with most."""
    found = []
    for one in counts:
        refused = one.refused + one.shadow_refused
        if one.resource != OTHER and one.allowed + refused:
            found.append(Hot(one.resource, one.allowed + refused, refused))
    return nlargest(HOT_KEYS, found, key=lambda one: one.calls)


def _mode(rule: Rule, mode: str) -> str:
    """Return the mode in which a rule is, under a guard's own one."""
    return rule.mode if mode == "enforce" or rule.mode == "off" else mode


def _text(rule: Rule) -> str:
    if rule.kind == "limit":
        return rule.rate.text
    return str(rule.max_concurrent) if rule.kind == "bulkhead" else ""
