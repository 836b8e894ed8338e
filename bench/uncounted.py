"""Guarded functions that do not count: the closures of guardrail with the lines taken out that count decisions.

What those lines cost is then seen in one run, beside the real ones.
"""

import ast
import inspect
import types
from collections.abc import Callable
from typing import Any

from guardrail import Guard
from guardrail.admission import closures, compiled, single


class Uncounted(ast.NodeTransformer):
    """Leave out every statement that counts, and every `if` that was there for it alone."""

    def visit_Assign(self, node):
        rest = [one for one in node.targets if not (isinstance(one, ast.Attribute) and one.attr == "allowed")]
        if len(rest) < len(node.targets):
            node.targets, node.value = rest, ast.Constant(1)
        return node

    def visit_AugAssign(self, node):
        return None if isinstance(node.target, ast.Attribute) and node.target.attr == "allowed" else node

    def visit_If(self, node):
        if any(isinstance(one, ast.Attribute) and one.attr == "due" for one in ast.walk(node.test)):
            return None
        self.generic_visit(node)
        return node if node.body else None


def twin(module: types.ModuleType) -> types.ModuleType:
    """Return *module* without the lines that count."""
    source = inspect.getsource(module)
    tree = Uncounted().visit(ast.parse(source))
    assert ast.unparse(tree) != ast.unparse(ast.parse(source))
    made = types.ModuleType(module.__name__)
    exec(compile(ast.fix_missing_locations(tree), module.__name__, "exec"), made.__dict__)  # noqa: S102  it is our own
    return made


def guarded(decorate: Callable[[Guard], Any]) -> Any:
    """Return what *decorate* makes of a new guard, with closures that do not count."""
    bare_single, bare_closures = twin(single), twin(closures)
    bare_closures.SLOW = closures.SLOW
    kept = {name: getattr(compiled, name) for name in ("limited", "limited_by_key", "placed", "watched", "stack_admit")}
    try:
        for name in kept:
            setattr(compiled, name, getattr(bare_closures if name == "stack_admit" else bare_single, name))
        function: Any = decorate(Guard())
        binding = function.__guardrail__
        shape = binding.current().shape  # made now: the numbers and the closures go together
        if shape is None:
            return function
        plan = binding.current()
        return shape(
            binding.function, binding.host, lambda: plan.numbers, lambda args, kwargs: function(*args, **kwargs)
        )
    finally:
        for name, real in kept.items():
            setattr(compiled, name, real)
