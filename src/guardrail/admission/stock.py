"""Stock: joins the rules in force with their states in the ledger, and carries states over to other rules.

Law: a state lives as long as its rule's name. Other numbers keep it; another algorithm or key starts it afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from guardrail.admission.breaker_gate import BreakerGate
from guardrail.admission.bulkhead_gate import BulkheadGate
from guardrail.admission.call import bounded, text_of
from guardrail.admission.limit_gate import LimitGate
from guardrail.admission.limit_states import KeyedStates, LimitStates, OneState
from guardrail.admission.object_states import BreakerName, BreakerStates, BulkheadStates
from guardrail.admission.outcome import classifier
from guardrail.admission.overrides import RateLookup, Terms
from guardrail.admission.refusals import Refusals
from guardrail.admission.shared import Shared
from guardrail.telemetry.counts import OTHER, HotKeys, Tally

if TYPE_CHECKING:
    from guardrail.admission.call import Call
    from guardrail.admission.gate import Gate
    from guardrail.admission.in_force import Effective
    from guardrail.admission.ledger import Ledger
    from guardrail.rules.model import BreakerRule, BulkheadRule, LimitRule, Rule
    from guardrail.stores.protocol import Store

WATCHED = Fraction(0)
BY_RESOURCE = (("resource",),)

Lookup = Callable[[Any], object]


class Stock:
    """Find the states of rules in one ledger, making those that are missing."""

    def __init__(self, ledger: Ledger, lookups: Mapping[str, Lookup], store: Store | None = None) -> None:
        self.ledger = ledger
        self.store = store
        self.refusals = Refusals(None if store is None else store.clock)
        if store is not None:
            store.follow_returns(self.refusals.drop)
        self._ask = lookups
        self._lookups: dict[str, RateLookup] = {}
        self._shapes: dict[str, object] = {}
        self._unshared: set[str] = set()

    def gates(self, resource: str, effective: Iterable[Effective], *, watch_only: bool) -> tuple[Gate, ...]:
        """Return a gate of a resource for each rule that is not off. Takes a turn of the ledger."""
        tally = self.ledger.counts.tally
        with self.ledger.quietly():
            return tuple(
                self._gate(order, one, WATCHED if watch_only else _share(one.rule), tally(resource, one.rule.name))
                for order, one in enumerate(effective)
                if one.rule.mode != "off"
            )

    def gate(self, effective: Effective) -> Gate:
        """Return a gate for one rule by itself, whatever its mode, that nothing counts. Takes a turn of the ledger."""
        with self.ledger.quietly():
            return self._gate(0, effective, _share(effective.rule), Tally(OTHER, effective.rule.name, HotKeys()))

    def carry_over(self, rules: Mapping[str, Rule], *, forget: bool) -> None:
        """Go on with other rules, given by the names of their states.

        Args:
            forget: These are all the rules there are: states of others are forgotten.
        """
        ledger = self.ledger
        self.refusals.clear()
        with ledger.quietly():
            for name in [*ledger.limits, *ledger.breakers, *ledger.bulkheads]:
                if forget or name in rules:
                    self._switch(name, rules.get(name))
            if forget:
                ledger.counts.keep_only({rule.name for rule in rules.values()})

    def forget(self, effective: Effective, subjects: list[str] | None) -> Shared | None:
        """Forget what a rule has counted in this process, for these subjects or for all.

        Returns:
            Where else it is counted, if it is: there it is still to be forgotten, and refusals after that.
        """
        rule, name = effective
        ledger = self.ledger
        keys = None if subjects is None else [bounded(subject) for subject in subjects]
        with ledger as now_us:
            if rule.kind == "limit" and name in ledger.limits:
                ledger.limits[name].forget(keys)
            elif rule.kind == "breaker" and name in ledger.breakers:
                states, named = ledger.breakers[name], breaker_names(rule)
                for key in list(states.states) if keys is None else keys:
                    state = states.states.get(key)
                    if state is not None:
                        ledger.moved(states, named(key), states.breaker.settle(state, now_us))
                        ledger.moved(states, named(key), states.breaker.reset(state, now_us))
        return self.shared(effective)

    def shared(self, effective: Effective) -> Shared | None:
        """Return where a rule is counted together with other processes; None: in this one."""
        rule, name = effective
        if self.store is None or rule.kind != "limit" or rule.scope == "local":
            return None
        return Shared(self.store, name, ", ".join(rule.resource), bool(rule.key), rule.on_store_error, self.refusals)

    def _switch(self, name: str, rule: Rule | None) -> None:
        """Go on with another rule for one state, inside a turn: it is resized, rescaled, or forgotten."""
        ledger = self.ledger
        if rule is None or self._shapes.get(name) != self._shape(rule):
            self._shapes.pop(name, None)
            before = ledger.breakers.get(name)
            for kind in (ledger.limits, ledger.breakers, ledger.bulkheads):
                kind.pop(name, None)
            if before is not None and rule is not None and rule.kind == "breaker":
                self.breaker_states(name, rule).follow(before)
        elif rule.kind == "limit":
            ledger.limits[name].switch(rule.limit())
        elif rule.kind == "breaker":
            ledger.breakers[name].switch(rule.breaker())
        else:
            for waiter in ledger.bulkheads[name].switch(rule.bulkhead()):
                ledger.wake(waiter)

    def _gate(self, order: int, effective: Effective, enforced: Fraction, tally: Tally) -> Gate:
        rule, name = effective
        if rule.kind == "limit":
            return LimitGate(
                order=order,
                name=rule.name,
                kind=rule.kind,
                text=rule.rate.text,
                key=rule.key,
                applies=_applies(rule),
                enforced=enforced,
                ledger=self.ledger,
                tally=tally,
                states=self.limit_states(name, rule),
                terms=Terms(rule.limit(), rule.rate.text),
                overrides={bounded(key): Terms(rule.limit(rate), rate.text) for key, rate in rule.overrides.items()},
                lookup=self._lookup(rule),
                cost=rule.cost,
                on_failure_only=rule.charge == "failure",
                shared=self.shared(effective),
            )
        if rule.kind == "breaker":
            return BreakerGate(
                order=order,
                name=rule.name,
                kind=rule.kind,
                text="",
                key=rule.key,
                applies=_applies(rule),
                enforced=enforced,
                ledger=self.ledger,
                tally=tally,
                states=self.breaker_states(name, rule),
                outcome_of=classifier(rule.failures, rule.ignore),
                named=breaker_names(rule),
            )
        if rule.scope == "shared" and self.store is not None:
            self._say_unshared(name)
        return BulkheadGate(
            order=order,
            name=rule.name,
            kind=rule.kind,
            text=str(rule.max_concurrent),
            key=rule.key,
            applies=_applies(rule),
            enforced=enforced,
            ledger=self.ledger,
            tally=tally,
            states=self.bulkhead_states(name, rule),
            max_wait_us=rule.max_wait_us,
        )

    def limit_states(self, name: str, rule: LimitRule) -> LimitStates:
        """Return the states of a limit, inside a turn."""
        states = self.ledger.limits.get(name)
        if states is None:
            self._shapes[name] = self._shape(rule)
            limit = rule.limit()
            one = not rule.key and rule.name not in self._ask
            states = OneState(limit, self.ledger.now_us) if one else KeyedStates(limit, self.ledger.max_keys)
            self.ledger.limits[name] = states
        return states

    def breaker_states(self, name: str, rule: BreakerRule) -> BreakerStates:
        """Return the states of a breaker, inside a turn."""
        states = self.ledger.breakers.get(name)
        if states is None:
            self._shapes[name] = self._shape(rule)
            states = self.ledger.breakers[name] = BreakerStates(rule.breaker())
        return states

    def bulkhead_states(self, name: str, rule: BulkheadRule) -> BulkheadStates:
        """Return the states of a bulkhead, inside a turn."""
        states = self.ledger.bulkheads.get(name)
        if states is None:
            self._shapes[name] = self._shape(rule)
            states = self.ledger.bulkheads[name] = BulkheadStates(rule.bulkhead())
        return states

    def _say_unshared(self, name: str) -> None:
        if name not in self._unshared:
            from logging import getLogger  # only such a rule needs it

            self._unshared.add(name)
            getLogger("guardrail.rules").warning(
                "bulkhead %r counts in this process: the store shares limits only", name
            )

    def _shape(self, rule: Rule) -> object:
        """Return what may not change if a state is to live on."""
        return rule.kind, rule.key, rule.algorithm if rule.kind == "limit" else None

    def _lookup(self, rule: LimitRule) -> RateLookup | None:
        ask = self._ask.get(rule.name)
        if ask is None:
            return None
        if rule.name not in self._lookups:
            self._lookups[rule.name] = RateLookup(ask, rule, self.ledger.clock)
        lookup = self._lookups[rule.name]
        lookup.follow(rule)
        return lookup


def breaker_names(rule: BreakerRule) -> Callable[[str], BreakerName]:
    """Return how the breakers of a rule are called: by its name, with the key where there can be several."""
    name = rule.name
    if only_key(rule) is not None:
        return lambda _: BreakerName(name, name)
    if rule.key == BY_RESOURCE:
        return lambda key: BreakerName(f"{name}/{key}", name, key)
    return lambda key: BreakerName(f"{name}/{key}", name)


def only_key(rule: BreakerRule) -> str | None:
    """Return the key of a rule's one breaker; None: it can have several."""
    from guardrail.rules.match import is_pattern

    if not rule.key:
        return ""
    alone = rule.key == BY_RESOURCE and len(rule.resource) == 1 and not is_pattern(rule.resource[0])
    return bounded(rule.resource[0]) if alone else None


def _share(rule: Rule) -> Fraction:
    """Return the share of keys for which a rule is enforced."""
    return WATCHED if rule.mode == "shadow" else rule.enforce


def _applies(rule: Rule) -> Callable[[Call], bool] | None:
    if not rule.when:
        return None
    from guardrail.rules.match import matches_when

    when = rule.when

    def applies(call: Call) -> bool:
        def value(name: str) -> str | None:
            found = call.get(name)
            return None if found is None else text_of(found, name)

        return matches_when(when, value)

    return applies
