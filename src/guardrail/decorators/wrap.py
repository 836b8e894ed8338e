"""The wrappers: one for each kind of callable, each with the fast way first.

Law: what was granted is handed back exactly once, however the call ends: return, error, cancellation, a generator that
is closed or collected.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

from guardrail.admission.closures import GONE, HELD, SLOW

if TYPE_CHECKING:
    from guardrail.admission.permit import Permit
    from guardrail.decorators.binding import Binding
    from guardrail.decorators.kinds import CallableKind


def wrapped(binding: Binding) -> Any:
    """Return what stands in the place of the binding's function."""
    function = binding.function
    wrapper = WRAPPERS[binding.kind](binding)
    if isinstance(function, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return functools.wraps(function)(wrapper)
    return _stand_in(function, wrapper)


def _stand_in(function: Any, wrapper: Callable[..., Any]) -> Any:
    """Return a proxy, for partials and callable objects, whose attributes a closure does not have."""
    from wrapt import ObjectProxy

    def bind(proxy: Any, instance: object, _owner: type | None = None) -> Any:
        is_method = instance is not None and hasattr(function, "__get__")
        return types.MethodType(proxy, instance) if is_method else proxy

    # What the class has is looked up and set on the proxy, all else on what is behind it.
    own = {"__call__": staticmethod(wrapper), "__get__": bind, "__guardrail__": None}
    return type("StandIn", (ObjectProxy,), own)(function)


def _function(binding: Binding) -> Callable[..., Any]:
    function, host = binding.function, binding.host

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        plan = binding.plan
        if plan.epoch is not host.epoch:
            plan = binding.renew()
        stamp = plan.admit(args, kwargs)
        if stamp is None:
            return function(*args, **kwargs)
        if stamp is SLOW:
            return _run(binding, args, kwargs)
        try:
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                plan.fail(stamp, error)
                raise
            plan.leave(stamp)
        finally:
            if stamp[HELD]:  # a signal struck on the way out
                plan.fail(stamp, GONE)
        return result

    shape = binding.likely_shape()
    if shape is None:
        return wrapper
    return shape(function, host, lambda: binding.numbers_for(shape), lambda args, kwargs: wrapper(*args, **kwargs))


def _coroutine(binding: Binding) -> Callable[..., Any]:
    function, host = binding.function, binding.host

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        plan = binding.plan
        if plan.epoch is not host.epoch:
            plan = binding.renew()
        stamp = plan.admit(args, kwargs)
        if stamp is None:
            return await function(*args, **kwargs)
        if stamp is SLOW:
            return await _arun(binding, args, kwargs)
        try:
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                plan.fail(stamp, error)
                raise
            plan.leave(stamp)
        finally:
            if stamp[HELD]:  # as above
                plan.fail(stamp, GONE)
        return result

    return wrapper


def _run(binding: Binding, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    permit = binding.enter(args, kwargs)
    if not permit:
        refusal = permit.refusal()
        if binding.fallback is None:
            raise refusal
        return binding.fallback.answer(refusal, args, kwargs)
    try:
        result = binding.function(*args, **kwargs)
        failed = binding.is_failure(result)
    except BaseException as error:
        permit.exit(error)
        fallback = binding.answers(error)
        if fallback is None:
            raise
        return fallback.answer(None, args, kwargs)
    permit.exit(failed=failed)
    return result


async def _arun(binding: Binding, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    permit = await binding.aenter(args, kwargs)
    fallback = binding.fallback
    if not permit:
        refusal = permit.refusal()
        if fallback is None:
            raise refusal
        answer = fallback.answer(refusal, args, kwargs)
        return await answer if fallback.awaited else answer
    try:
        result = await binding.function(*args, **kwargs)
        failed = binding.is_failure(result)
    except BaseException as error:
        permit.exit(error)
        fallback = binding.answers(error)
        if fallback is None:
            raise
        answer = fallback.answer(None, args, kwargs)
        return await answer if fallback.awaited else answer
    permit.exit(failed=failed)
    return result


def _generator(binding: Binding) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = binding.function(*args, **kwargs)  # runs nothing yet; wrong arguments take nothing
        permit = binding.enter(args, kwargs)
        if not permit:
            refusal = permit.refusal()
            if binding.fallback is None:
                raise refusal
            return (yield from binding.fallback.answer(refusal, args, kwargs))
        stream = _Noted(generator, permit)
        try:
            result = yield from stream
        except BaseException as error:
            permit.exit(error)
            fallback = None if stream.begun else binding.answers(error)
            if fallback is None:
                raise
            answer = fallback.answer(None, args, kwargs)
        else:
            permit.exit()
            return result
        return (yield from answer)

    return wrapper


class _Noted(Generator[Any, Any, Any]):
    """Note the first item of a generator that somebody delegates to."""

    __slots__ = ("_permit", "_stream", "begun")

    def __init__(self, stream: Generator[Any, Any, Any], permit: Permit) -> None:
        self._stream = stream
        self._permit = permit
        self.begun = False

    def send(self, value: Any) -> Any:
        return self._note(self._stream.send(value))

    def throw(self, *error: Any) -> Any:
        return self._note(self._stream.throw(*error))

    def _note(self, item: Any) -> Any:
        if not self.begun:
            self.begun = True
            self._permit.begin()
        return item


def _async_generator(binding: Binding) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        stream: AsyncGenerator[Any, Any] = binding.function(*args, **kwargs)  # runs nothing yet
        permit = await binding.aenter(args, kwargs)
        if not permit:
            refusal = permit.refusal()
            if binding.fallback is None:
                raise refusal
            async for item in binding.fallback.answer(refusal, args, kwargs):
                yield item
            return
        begun = False
        answer: AsyncIterator[Any]
        try:
            item = await _first(stream)
            while True:
                if not begun:
                    begun = True
                    permit.begin()
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as thrown:  # noqa: BLE001  whatever the consumer throws in goes in
                    item = await stream.athrow(thrown)
                else:
                    item = await stream.asend(sent)
        except StopAsyncIteration:
            permit.exit()
            return
        except BaseException as error:
            await _closed(stream, permit, error)
            fallback = None if begun else binding.answers(error)
            if fallback is None:
                raise
            answer = fallback.answer(None, args, kwargs)
        async for item in answer:
            yield item

    return wrapper


def _first(stream: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """Ask for the first item, out of sight of the event loop: on shutting down, it would close the stream beside us."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, _left_to_us)
    try:
        return anext(stream)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _left_to_us(_: AsyncGenerator[Any, Any]) -> None:
    """Leave a stream that is collected to its wrapper, which is collected with it and closes it in the loop."""


async def _closed(stream: AsyncGenerator[Any, Any], permit: Permit, error: BaseException) -> None:
    """Close a stream that is not finished, and then end its call."""
    try:
        await stream.aclose()
    finally:
        permit.exit(error)


WRAPPERS: dict[CallableKind, Callable[[Binding], Callable[..., Any]]] = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "async generator": _async_generator,
}
