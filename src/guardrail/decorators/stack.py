"""Stack: puts one more decorator on a callable.

Law: decorators that follow one another directly make one plan for the function below them. A second plan for the same
function needs a resource, and so states, of its own.
"""

from __future__ import annotations

import inspect
import types
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from guardrail.decorators.binding import Binding
from guardrail.decorators.fallback import UNSET, Fallback
from guardrail.decorators.kinds import kind_of
from guardrail.decorators.wrap import wrapped
from guardrail.errors import Problem, RuleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.admission.host import Host
    from guardrail.decorators.options import Errors, Options

MARK = "__guardrail__"


def decorate(
    target: Any,
    host: Host,
    options: Options | None,
    name: str | None,
    failed: Callable[[Any], bool] | None,
    fallback: Any,
    fallback_on: Errors,
) -> Any:
    """Return *target* guarded by one more rule; None for *options*: by the rules in files only."""
    function = target.__func__ if isinstance(target, classmethod | staticmethod) else target
    _check_target(function)
    binding = _binding(function, host, name)
    _add_failed(binding, failed)
    _add_fallback(binding, fallback, fallback_on)
    if options is not None:  # last: a rule that nothing wears would stay in force
        binding.names = (_add_rule(binding, options), *binding.names)
    wrapper = wrapped(binding)
    setattr(wrapper, MARK, binding)
    binding.wrapper = wrapper
    return wrapper if function is target else type(target)(wrapper)


def check_parentheses(first: object, decorator: str, example: str = "") -> None:
    """Refuse what `@limit` without parentheses passes as the first option: the function itself."""
    if callable(first) or isinstance(first, classmethod):
        raise TypeError(f"@{decorator} is used without parentheses: write @{decorator}({example})")


def _check_target(target: Any) -> None:
    if inspect.isclass(target):
        raise TypeError(
            f"{target.__qualname__} is a class; decorate its methods instead, or the function that makes it"
        )
    if not callable(target):
        what = type(target).__name__
        instead = f"; decorate the function below @{what}" if hasattr(target, "__get__") else ""
        raise TypeError(f"this {what} cannot be decorated, as it is not callable{instead}")


def _binding(target: Any, host: Host, name: str | None) -> Binding:
    """Return a binding for the function, with what decorators directly below have given it."""
    if not isinstance(name, str | None):
        raise TypeError(f"name= must be the resource as text, such as name='orders.create', got {name!r}")
    below = _ours(target, host)
    resource = name or (below.resource if below else _resource_of(target))
    if "*" in resource:
        raise RuleError(
            [Problem(f"name={resource!r} is a pattern; a function is one resource, patterns belong in rule files")]
        )
    if below is not None and below.resource == resource:
        binding = Binding(below.function, below.kind, resource, host)
        binding.names, binding.fallback, binding.failed = below.names, below.fallback, below.failed
        binding.arguments = below.arguments
        return binding
    inner = target
    while (inner := _inside(inner)) is not None:
        hidden = _ours(inner, host)
        if hidden is not None and hidden.resource == resource:
            raise RuleError(
                [
                    Problem(
                        f"{resource} is guarded already, below another decorator: put ours together, or give this one a name="
                    )
                ]
            )
    return Binding(target, kind_of(target), resource, host)


def _inside(target: Any) -> Any:
    """Return what *target* calls, as far as that can be seen."""
    if isinstance(target, partial):
        return target.func
    return target.__func__ if isinstance(target, types.MethodType) else getattr(target, "__wrapped__", None)


def _ours(target: Any, host: Host) -> Binding | None:
    binding = getattr(target, MARK, None)
    if isinstance(binding, Binding) and binding.host is host and binding.wrapper is target:
        return binding
    return None


def _resource_of(target: Any) -> str:
    while isinstance(target, partial):
        target = target.func
    named = target if hasattr(target, "__qualname__") else target.__class__
    return f"{getattr(named, '__module__', None) or 'builtins'}.{named.__qualname__}"


def _add_rule(binding: Binding, options: Options) -> str:
    """Register the rule of one decorator; return its name."""
    place = 1
    while (name := options.named(binding.resource, place)) in binding.names:
        place += 1
    rule = options.rule(name, binding.resource, binding.arguments)
    known = binding.host.inline.get(binding.resource, name)
    if known is not None and vars(known) == vars(rule):  # by what they mean, however it was written
        return name
    if known is not None:
        warnings.warn(f"{name} is decorated again with other options, which replace the first", stacklevel=4)
    binding.host.register(rule)
    return name


def _add_failed(binding: Binding, failed: Callable[[Any], bool] | None) -> None:
    if failed is None:
        return
    if not callable(failed):
        raise TypeError(
            f"failed={failed!r} must be a function over the result: failed=lambda answer: answer.status >= 500"
        )
    if binding.kind in ("generator", "async generator"):
        raise TypeError(f"failed= looks at a result, and a stream such as {binding.resource} has none")
    if binding.failed is not None:
        raise TypeError(f"{binding.resource} has a failed= already; give one for the whole stack")
    binding.failed = failed


def _add_fallback(binding: Binding, answer: Any, errors: Any) -> None:
    on = errors if isinstance(errors, tuple) else (errors,)
    if not all(isinstance(error, type) and issubclass(error, Exception) for error in on):
        raise TypeError(f"fallback_on={errors!r} must be exception classes: fallback_on=(OSError, TimeoutError)")
    if answer is UNSET:
        if on:
            raise TypeError("fallback_on= says which errors the fallback answers; give a fallback= too")
        return
    if binding.fallback is not None:
        raise TypeError(f"{binding.resource} has a fallback already; give one for the whole stack")
    binding.fallback = Fallback(answer, on, binding.function, binding.kind)
