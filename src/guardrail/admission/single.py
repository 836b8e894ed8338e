"""The closures of a single rule: a function and the one rule that guards it, in one Python frame.

Law: a closure decides as the flow would, on the clock of the system, or leaves the call to `otherwise` and has touched
nothing. What it works with is one tuple, replaced as a whole, so that a call uses the numbers of one revision.

The arithmetic is that of `core`, written out: a call of a function would cost more than what it computes. These four and
the stack of `closures.py` are all the shapes there are; `tests/admission/test_compiled.py` holds them against the flow.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from guardrail.admission.closures import HELD
from guardrail.core.breaker_state import NOT_CALM_US

if TYPE_CHECKING:
    from guardrail.admission.closures import Args, Kwargs
    from guardrail.admission.host import Host

Numbers = tuple[Any, ...]
Renewed = Callable[[], Numbers | None]  # the epoch and the numbers in force; None: the plan has another shape by now
Otherwise = Callable[["Args", "Kwargs"], Any]
Shape = Callable[[Callable[..., Any], "Host", Renewed, Otherwise], Callable[..., Any]]

NO_EPOCH = object()  # no host is ever in it: the first call renews


def limited(function: Callable[..., Any], host: Host, renewed: Renewed, otherwise: Otherwise) -> Callable[..., Any]:
    """Guard a function by a token bucket without a key."""
    numbers: Numbers = (NO_EPOCH, *(None,) * 10)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal numbers
        epoch, tally, cell, rate, full, spend, acquire, release, deferred, drain, anchor = numbers
        if epoch is not host.epoch:
            found = renewed()
            if found is None or found[0] is not host.epoch:
                return otherwise(args, kwargs)
            numbers = found
            return wrapper(*args, **kwargs)
        admitted = False
        try:
            acquire()
            now_us = (monotonic_ns() + anchor) // 1000
            debt = cell.debt - (now_us - cell.last_us) * rate
            debt = debt + spend if debt > 0 else spend
            if debt <= full:
                cell.debt = debt
                cell.last_us = now_us
                tally.allowed += 1
                admitted = True
        finally:
            try:
                release()
            except RuntimeError:  # a signal struck while this waited for the lock
                admitted = False
        if not admitted:
            return otherwise(args, kwargs)
        if deferred:
            drain()
        return function(*args, **kwargs) if kwargs else function(*args)  # an empty `**` still makes a dict

    return wrapper


def limited_by_key(
    function: Callable[..., Any], host: Host, renewed: Renewed, otherwise: Otherwise
) -> Callable[..., Any]:
    """Guard a function by a token bucket for each value of a key."""
    numbers: Numbers = (NO_EPOCH, *(None,) * 12)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal numbers
        epoch, tally, find, position, read, rate, full, spend, acquire, release, deferred, drain, anchor = numbers
        if epoch is not host.epoch:
            found = renewed()
            if found is None or found[0] is not host.epoch:
                return otherwise(args, kwargs)
            numbers = found
            return wrapper(*args, **kwargs)
        try:
            key = args[position]
        except (IndexError, TypeError):  # a keyword or a default, or no plain argument at all
            key = None
        if type(key) is not str:
            key = str(key) if type(key) is int else read(args, kwargs)
        count = 0  # of all calls let in; it stays 0 where this one is not
        try:
            acquire()
            cell = find(key)
            if cell is not None:  # else a new key: the flow makes room for it
                now_us = (monotonic_ns() + anchor) // 1000
                debt = cell.debt - (now_us - cell.last_us) * rate
                debt = debt + spend if debt > 0 else spend
                if debt <= full:
                    cell.debt = debt
                    cell.last_us = now_us
                    tally.allowed = count = tally.allowed + 1
        finally:
            try:
                release()
            except RuntimeError:  # as above
                count = 0
        if not count:
            return otherwise(args, kwargs)
        if count >= tally.due:
            tally.sample(key)
        if deferred:
            drain()
        return function(*args, **kwargs) if kwargs else function(*args)  # an empty `**` still makes a dict

    return wrapper


def watched(function: Callable[..., Any], host: Host, renewed: Renewed, otherwise: Otherwise) -> Callable[..., Any]:
    """Guard a function by a breaker that knows no slow calls. While it is closed, entering it is one read."""
    numbers: Numbers = (NO_EPOCH, *(None,) * 10)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal numbers
        epoch, tally, health, top, bottom, leave, acquire, release, deferred, drain, anchor = numbers
        if epoch is not host.epoch:
            found = renewed()
            if found is None or found[0] is not host.epoch:
                return otherwise(args, kwargs)
            numbers = found
            return wrapper(*args, **kwargs)
        generation = health.generation  # read first: if the breaker moves now, the call is of the past and has no vote
        if health.calm_until_us == NOT_CALM_US:
            return otherwise(args, kwargs)
        tally.allowed += 1
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            leave([generation, 0, True, None], error)
            raise
        counted = False
        try:
            window = health.window
            if (
                acquire(False)
                and (monotonic_ns() + anchor) // 1000 < health.calm_until_us
                and health.generation == generation
                and (not window.failures or window.failures * bottom < top * window.calls)
            ):
                health.row = 0
                health.total_successes += 1
                window.calls += 1
                counted = True
        finally:
            try:
                release()
            except RuntimeError:  # it is somebody else's: leaving never waits
                counted = False
        if not counted:
            leave([generation, 0, True, None], None)
        elif deferred:
            drain()
        return result

    return wrapper


def placed(function: Callable[..., Any], host: Host, renewed: Renewed, otherwise: Otherwise) -> Callable[..., Any]:
    """Guard a function by a bulkhead without a key."""
    numbers: Numbers = (NO_EPOCH, *(None,) * 8)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal numbers
        epoch, tally, places, most, leave, acquire, release, deferred, drain = numbers
        if epoch is not host.epoch:
            found = renewed()
            if found is None or found[0] is not host.epoch:
                return otherwise(args, kwargs)
            numbers = found
            return wrapper(*args, **kwargs)
        admitted = left = False
        try:
            try:
                acquire()
                if places.in_use < most and not places.returning and not places.arriving:
                    places.in_use += 1
                    tally.allowed += 1
                    admitted = True
            finally:
                try:
                    release()
                except RuntimeError:  # as above
                    admitted = False
            if not admitted:
                return otherwise(args, kwargs)
            if deferred:
                drain()
            result = function(*args, **kwargs)
            try:
                if acquire(False) and not places.returning and not places.arriving:
                    places.in_use -= 1
                    left = True
            finally:
                try:
                    release()
                except RuntimeError:  # it is somebody else's: leaving never waits
                    left = False
        finally:
            if admitted and not left:
                stamp = [0, 0, True, None]
                try:
                    leave(stamp, None)
                finally:
                    if stamp[HELD]:
                        leave(stamp, None)
        if deferred:
            drain()
        return result

    return wrapper
