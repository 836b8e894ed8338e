"""What a set of rules makes of one call: which rules are asked, in which order, under which key.

Law: nothing is worked out here that admission works out itself. The gates are those that a guard builds; keys, costs and
shares are what they say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from guardrail.admission.ambient import getter
from guardrail.admission.breaker_gate import BreakerGate
from guardrail.admission.bulkhead_gate import BulkheadGate
from guardrail.admission.call import Call, text_of
from guardrail.admission.in_force import in_force
from guardrail.admission.ledger import Ledger
from guardrail.admission.limit_gate import LimitGate
from guardrail.admission.stock import Stock
from guardrail.cli.guesses import resource_meant, unread
from guardrail.cli.silence import Silent, matched_by, silent
from guardrail.clock import SystemClock

if TYPE_CHECKING:
    from guardrail.admission.gate import Gate
    from guardrail.cli.question import Question
    from guardrail.rules.model import Rule
    from guardrail.rules.ruleset import RuleSet

_TURNS = (BreakerGate, BulkheadGate, LimitGate)  # the order of admission/flow.py


class Part(NamedTuple):
    """Hold one part of a rule's key.

    Attributes:
        names: The attributes of which the first that is present counts.
        name: The one that counts; None: none is present.
    """

    names: tuple[str, ...]
    name: str | None
    value: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold one rule that is asked.

    Attributes:
        matched: The resource or pattern of the rule that the call's resource matches.
        parts: What the key is made of.
        key: The key as states are kept under it.
        enforced: False: the rule only watches this call.
        cost: What the call costs a limit.
        own_cost: That is the cost which the call itself names.
        breaker: The name of the breaker, as in `guard.breakers`.
    """

    rule: Rule
    matched: str
    parts: tuple[Part, ...]
    key: str
    enforced: bool
    cost: int = 0
    own_cost: bool = False
    breaker: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """The attributes of the key that the call should have had."""
        return tuple(name for part in self.parts if part.name is None for name in part.names)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Hold the answer.

    Attributes:
        asked: In the order in which they are asked; those that only watch come last.
        silent: The other rules, those that fit the resource first.
        unread: Attributes of the call that no rule on its resource looks at, each with the name that was perhaps meant.
        guess: The resource that was perhaps meant, if no rule fits this one.
    """

    question: Question
    rules: RuleSet
    asked: tuple[Asked, ...]
    silent: tuple[Silent, ...]
    unread: dict[str, str | None]
    guess: str | None


def explain(rules: RuleSet, question: Question) -> Explanation:
    """Work out what *rules* make of a call."""
    call = Call(question.resource, getter(question.resource, question.attributes), question.cost)
    effective = in_force(question.resource, rules, ())
    stock = Stock(Ledger(SystemClock(), 1, ()), {})
    gates = [
        gate
        for gate in stock.gates(question.resource, effective, watch_only=False)
        if gate.applies is None or gate.applies(call)
    ]
    gates.sort(key=lambda gate: _turn(gate, call))
    asked = tuple(_asked(gate, effective[gate.order].rule, call) for gate in gates)
    names = {one.rule.name for one in asked}
    others = sorted((silent(rule, question) for rule in rules if rule.name not in names), key=lambda one: not one.fits)
    fitting = [one.rule for one in asked] + [one.rule for one in others if one.fits]
    return Explanation(
        question=question,
        rules=rules,
        asked=asked,
        silent=tuple(others),
        unread=unread(question.attributes, fitting),
        guess=None if fitting else resource_meant(question.resource, rules),
    )


def _turn(gate: Gate, call: Call) -> tuple[int, int]:
    """Return when a gate is asked; those that only watch decide last, once the call is let in."""
    if gate.only_watches(gate.key_for(call)):
        return len(_TURNS), gate.order
    return _TURNS.index(type(gate)), gate.order


def _asked(gate: Gate, rule: Rule, call: Call) -> Asked:
    key = gate.key_for(call)
    cost, own_cost = _cost(gate, call) if isinstance(gate, LimitGate) else (0, False)
    return Asked(
        rule=rule,
        matched=matched_by(rule.resource, call.resource) or "",
        parts=tuple(_part(names, call) for names in rule.key),
        key=key,
        enforced=not gate.only_watches(key),
        cost=cost,
        own_cost=own_cost,
        breaker=gate.named(key).breaker if isinstance(gate, BreakerGate) else "",
    )


def _cost(gate: LimitGate, call: Call) -> tuple[int, bool]:
    cost = gate.cost_of(call)
    return cost, gate.cost_of(replace(call, cost=call.cost + 1)) != cost


def _part(names: tuple[str, ...], call: Call) -> Part:
    for name in names:
        if value := text_of(call.get(name), name):
            return Part(names, name, value)
    return Part(names, None, "")
