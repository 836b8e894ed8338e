"""Binding: one decorated function, its stack of rules and the plan that is in force for it.

Law: all decorators on one function make one plan. The plan is remade when rules or guard change, and not otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from guardrail.admission.call import Call, KeyParts, KeyReader
from guardrail.admission.closures import COST_OF_A_CALL, SLOW, Slow
from guardrail.admission.compiled import NO_KEY, Compiled, compile_gates
from guardrail.admission.permit import Permit, aenter, enter
from guardrail.admission.plan import way_past
from guardrail.admission.quick_shared import is_open
from guardrail.admission.single import Numbers, Shape, limited, limited_by_key, placed, watched
from guardrail.decorators.arguments import Arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.admission.gate import Gate
    from guardrail.admission.host import Host
    from guardrail.admission.ledger import Ledger
    from guardrail.admission.plan import Way
    from guardrail.decorators.fallback import Fallback
    from guardrail.decorators.kinds import CallableKind


class BoundPlan:
    """Hold what one revision of the rules says of one function.

    Attributes:
        shape: The closure that a plan of one rule is worth, and `numbers`, what it works with.
        admit: The compiled closure over the arguments; it answers `SLOW` where only the flow can decide.
        way: The quick way past the gates, where no closure fits, and `key`, which finds its key in the arguments.
    """

    __slots__ = ("admit", "epoch", "fail", "gates", "key", "leave", "ledger", "numbers", "shape", "way")

    def __init__(
        self,
        epoch: object,
        gates: tuple[Gate, ...],
        ledger: Ledger,
        compiled: Compiled | None,
        way: Way | None = None,
        key: Callable[..., str] = NO_KEY.read,
    ) -> None:
        self.way = way
        self.key = key
        self.epoch = epoch
        self.gates = gates
        self.ledger = ledger
        self.admit: Callable[..., Any] = compiled.admit if compiled else _only_the_flow
        self.leave: Callable[[Any], None] = compiled.leave if compiled else _never
        self.shape = None if compiled is None else compiled.shape
        self.numbers = () if compiled is None else (epoch, *compiled.numbers)
        self.fail: Callable[[Any, BaseException], None] = compiled.fail if compiled else _never


class Binding:
    """Hold one decorated function.

    Attributes:
        function: What was decorated, without any of our wrappers.
        names: The names of its rules in code, outermost decorator first.
        wrapper: What stands in its place; another wrapper that copied our attributes is not it.
    """

    __slots__ = ("arguments", "failed", "fallback", "function", "host", "kind", "names", "plan", "resource", "wrapper")

    def __init__(self, function: Callable[..., Any], kind: CallableKind, resource: str, host: Host) -> None:
        self.function = function
        self.kind: CallableKind = kind
        self.resource = resource
        self.host = host
        self.arguments = Arguments(function)
        self.names: tuple[str, ...] = ()
        self.fallback: Fallback | None = None
        self.failed: Callable[[Any], bool] | None = None
        self.wrapper: object = None
        self.plan = BoundPlan(
            object(), (), cast("Ledger", None), None
        )  # no epoch is this object: made anew at the first call

    def renew(self) -> BoundPlan:
        """Make the plan for the rules as they are now."""
        desk = self.host.current()
        epoch, gates = desk.gates_for(self.resource, self.names)
        simple = self.failed is None and (self.fallback is None or not self.fallback.on)
        compiled = compile_gates(gates, desk.ledger, self.resource, self._key_reader) if simple else None
        way = None if compiled else way_past(self.resource, gates)
        key = NO_KEY.read if way is None or not way.parts else self._key_reader(way.parts).read
        self.plan = plan = BoundPlan(epoch, gates, desk.ledger, compiled, way, key)
        return plan

    def numbers_for(self, shape: Shape) -> Numbers | None:
        """Return the numbers in force for a shape; None: the plan has another one by now."""
        plan = self.current()
        return plan.numbers if plan.shape is shape else None

    def current(self) -> BoundPlan:
        """Return the plan, renewed if the rules have changed."""
        plan = self.plan
        return plan if plan.epoch is self.host.epoch else self.renew()

    def enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Permit:
        """Take one call in, waiting in this thread."""
        plan = self.current()
        if plan.way is not None:
            begun = plan.way.begin(self.resource, plan.key(args, kwargs), COST_OF_A_CALL)
            if begun is not None:
                return _held(begun.ask() if is_open(begun) else begun)
        return _held(enter(plan.gates, self._call(args, kwargs), plan.ledger))

    async def aenter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Permit:
        """Take one call in, waiting in this task."""
        plan = self.current()
        if plan.way is not None:
            begun = plan.way.begin(self.resource, plan.key(args, kwargs), COST_OF_A_CALL)
            if begun is not None:
                return _held(await begun.aask() if is_open(begun) else begun)
        return _held(await aenter(plan.gates, self._call(args, kwargs), plan.ledger))

    def answers(self, error: BaseException) -> Fallback | None:
        """Return the fallback if it answers this error of the function."""
        return self.fallback if self.fallback is not None and isinstance(error, self.fallback.on) else None

    def likely_shape(self) -> Shape | None:
        """Return the closure that the stack in code is worth, before any file has its say."""
        rules = self.host.inline.of(self.resource, self.names)
        if len(rules) != 1:
            return None
        rule = rules[0]
        if rule.kind == "limit":
            return limited_by_key if rule.key else limited
        return watched if rule.kind == "breaker" else placed

    def is_failure(self, result: Any) -> bool:
        """Tell whether a result counts as a failure."""
        return self.failed is not None and bool(self.failed(result))

    def _key_reader(self, parts: KeyParts) -> KeyReader:
        return self.arguments.key_reader(parts, self.resource)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return Call(self.resource, self.arguments.getter(self.resource, args, kwargs))


def _held(permit: Permit) -> Permit:
    permit.is_held = True
    return permit


def _only_the_flow(*_: object) -> Slow:
    return SLOW


def _never(*_: object) -> None:
    raise AssertionError("a plan without closures has nothing to leave")
