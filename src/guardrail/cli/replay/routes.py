"""Which resource a logged call belongs to, and the gates it meets.

Law: a call is named as the HTTP adapters name what no route is known for, by the texts of the rules that match it; what
they let through unasked goes through here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.adapters.http.resources import DEFAULT_EXEMPT, UNMATCHED, Exempt, name_of
from guardrail.admission.limit_gate import LimitGate
from guardrail.cli.replay.call import Call, place_of
from guardrail.cli.replay.straight import straight_past
from guardrail.rules.match import Index

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardrail.admission.gate import Gate
    from guardrail.cli.replay.tally import RuleTally
    from guardrail.guard import Guard

EXEMPT = "exempt"
_MOST = 50_000  # paths and names that are remembered


class Route:
    """Hold the gates of one resource.

    Attributes:
        straight: The way past them if none lets a call wait.
        holds: A granted call has something to hand back when it ends.
    """

    __slots__ = ("gates", "holds", "resource", "straight")

    def __init__(self, resource: str, gates: Sequence[Gate], tallies: Mapping[str, RuleTally]) -> None:
        self.resource = resource
        self.gates = gates
        self.straight = straight_past(resource, gates, tallies)
        self.holds = any(not isinstance(gate, LimitGate) or gate.on_failure_only for gate in gates)


class Routes:
    """Find the route of each call.

    Args:
        tallies: Those of all rules, by name.
    """

    def __init__(self, guard: Guard, tallies: Mapping[str, RuleTally]) -> None:
        self._guard = guard
        self._tallies = tallies
        self._rules = guard.rules
        self._exempt = Exempt(DEFAULT_EXEMPT)
        texts = dict.fromkeys(text for rule in self._rules for text in (*rule.resource, *rule.except_))
        self._index = Index((text, number) for number, text in enumerate(texts))
        self._by_path: dict[tuple[str, str], Route] = {}
        self._by_texts: dict[frozenset[int], Route] = {}
        self._by_name: dict[str, Route] = {}

    def find(self, call: Call) -> Route:
        """Return the route of *call*."""
        target, more = call.target, call.more
        if more is not None and "resource" in more:
            return self._named(more["resource"])
        path = (call.method, target.partition("?")[0] if "?" in target else target)
        route = self._by_path.get(path)
        if route is None:
            if len(self._by_path) >= _MOST:
                self._by_path.clear()
            route = self._by_path[path] = self._matched(place_of(call))
        return route

    def _matched(self, place: str) -> Route:
        """Return the route of `GET /v1/orders/17`. As a rule it follows from the texts that match it, not from the path."""
        if self._exempt.has(*place.split(" ", 1)):
            return self._by_name.get(EXEMPT) or self._by_name.setdefault(EXEMPT, Route(EXEMPT, (), self._tallies))
        found = frozenset(self._index.find(place))
        route = self._by_texts.get(found)
        if route is None:
            name = name_of(self._rules, place)
            route = self._named(name)
            if name == UNMATCHED or any(name in rule.resource for rule in self._rules.match(place)):
                self._by_texts[found] = route
        return route

    def _named(self, resource: str) -> Route:
        route = self._by_name.get(resource)
        if route is None:
            if len(self._by_name) >= _MOST:
                self._by_name.clear()  # what was counted is kept elsewhere
                self._by_texts.clear()
                self._by_path.clear()
            _, gates = self._guard.gates_for(resource, None)
            route = self._by_name[resource] = Route(resource, gates, self._tallies)
        return route
