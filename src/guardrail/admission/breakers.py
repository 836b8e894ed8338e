"""Breakers by hand: look at them, force them, reset them.

Law: a breaker has the name of its rule, or `rule/key value` where the rule has several; it exists from the first look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from guardrail.admission.call import bounded
from guardrail.admission.in_force import Effective
from guardrail.admission.stock import breaker_names, only_key
from guardrail.core.breaker import Breaker
from guardrail.core.breaker_state import BreakerState

if TYPE_CHECKING:
    from guardrail.admission.object_states import BreakerStates
    from guardrail.admission.stock import Stock
    from guardrail.core.breaker_state import BreakerSnapshot, Phase, Transition


Named = Callable[[], Mapping[str, Effective]]
Change = Callable[[Breaker, BreakerState, int], "Transition | None"]


class BreakerHandle:
    """Hold one breaker. Safe from any thread. Its methods raise KeyError once its rule is gone."""

    __slots__ = ("_key", "_named", "_rule_name", "_stock", "name")

    def __init__(self, name: str, key: str, rule_name: str, stock: Stock, named: Named) -> None:
        self.name = name
        self._key = key
        self._rule_name = rule_name
        self._stock = stock
        self._named = named

    def __repr__(self) -> str:
        return f"<Breaker {self.name!r}: {self.state}>"

    @property
    def state(self) -> Phase:
        """`closed`, `open`, `half_open`, `forced_open` or `forced_closed`."""
        return self.snapshot().state

    def snapshot(self) -> BreakerSnapshot:
        """Return the breaker as it stands now: its state, counts and rates."""
        effective = self._effective()
        with self._stock.ledger as now_us:
            states, state = self._find(effective, now_us)
            return states.breaker.snapshot(state, now_us)

    def force_open(self) -> None:
        """Refuse every call until `reset`."""
        self._change(Breaker.force_open)

    def force_closed(self) -> None:
        """Let every call through until `reset`, whatever comes of it."""
        self._change(Breaker.force_closed)

    def reset(self) -> None:
        """Close it and forget its window."""
        self._change(Breaker.reset)

    def _effective(self) -> Effective:
        found = self._named().get(self._rule_name)
        if found is None or found.rule.kind != "breaker":
            raise KeyError(f"breaker '{self.name}' is gone: its rule was taken away")
        return found

    def _find(self, effective: Effective, now_us: int) -> tuple[BreakerStates, BreakerState]:
        assert effective.rule.kind == "breaker"
        states = self._stock.breaker_states(effective.state_name, effective.rule)
        return states, states.find(self._key, now_us)[1]

    def _change(self, change: Change) -> None:
        effective = self._effective()
        with self._stock.ledger as now_us:
            states, state = self._find(effective, now_us)
            assert effective.rule.kind == "breaker"
            name = breaker_names(effective.rule)(self._key)
            self._stock.ledger.moved(states, name, states.breaker.settle(state, now_us))
            self._stock.ledger.moved(states, name, change(states.breaker, state, now_us))


class Breakers(Mapping[str, BreakerHandle]):
    """Find breakers by name. Iterating gives those that exist so far."""

    def __init__(self, stock: Stock, named: Callable[[], Mapping[str, Effective]]) -> None:
        self._stock = stock
        self._named = named

    def __getitem__(self, name: str) -> BreakerHandle:
        rules = self._named()
        found = rules.get(name)
        if found is not None and found.rule.kind == "breaker":
            key = only_key(found.rule)
            if key is None:
                raise KeyError(f"rule '{name}' has a breaker for each key: write '{name}/key'")
            return BreakerHandle(name, key, found.rule.name, self._stock, self._named)
        cut = name.rfind("/")
        while cut > 0:
            found = rules.get(name[:cut])
            if found is not None and found.rule.kind == "breaker" and only_key(found.rule) is None:
                return BreakerHandle(name, bounded(name[cut + 1 :]), found.rule.name, self._stock, self._named)
            cut = name.rfind("/", 0, cut)
        raise KeyError(f"no breaker '{name}'; there are {', '.join(self._known(rules)) or 'none'}")

    def __iter__(self) -> Iterator[str]:
        rules = self._named()
        keys = {name: list(states.states) for name, states in list(self._stock.ledger.breakers.items())}
        for name, (rule, state_name) in rules.items():
            if rule.kind == "breaker":
                named = breaker_names(rule)
                alone = only_key(rule)
                yield from [name] if alone is not None else [named(key).breaker for key in keys.get(state_name, ())]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _known(self, rules: Mapping[str, Effective]) -> list[str]:
        names = [
            name if only_key(rule) is not None else f"{name}/..."
            for name, (rule, _) in rules.items()
            if rule.kind == "breaker"
        ]
        return names[:10]
