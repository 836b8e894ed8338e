"""The arguments of a guard, checked: what cannot work is refused in words.

Law: nothing here waits for a server, or remembers anything.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from guardrail.decorators.options import Duration
    from guardrail.stores.protocol import Store

IN_PROCESS = "memory://"


def wait_us_of(max_wait: Duration | None) -> int | None:
    """Return the cap that a call sets on all waiting, in whole microseconds.

    Raises:
        ValueError: It is no duration.
    """
    if max_wait is None:
        return None
    from guardrail.rules.units import parse_duration_us

    try:
        return parse_duration_us(max_wait)
    except ValueError as error:
        raise ValueError(f"max_wait {error}") from None


def store_of(store: object) -> Store | None:
    """Return what is behind a URL, or a store as it is; None: the URL in the environment, or nothing to share.

    Raises:
        ValueError: The URL is wrong.
        TypeError: It is no store.
    """
    source = "store"
    if store is None:
        source, store = "GUARDRAIL_STORE", os.environ.get("GUARDRAIL_STORE") or IN_PROCESS
    if isinstance(store, str):
        if store in {"", IN_PROCESS}:
            return None
        from guardrail.stores.redis import RedisStore

        try:
            return RedisStore(store)
        except ValueError as error:
            hint = f"; or '{IN_PROCESS}' for none" if "must begin with" in f"{error}" else ""
            raise ValueError(f"{source}: {error}{hint}") from None
    if isinstance(store, type) or not hasattr(store, "aadmit"):
        raise TypeError(f"store must be a URL such as 'redis://localhost:6379/0', or a RedisStore, got {store!r}")
    return cast("Store", store)


def check_arguments(max_keys: object, listeners: object, clock: object, log: object) -> None:
    """Refuse what cannot work, in words."""
    if not isinstance(max_keys, int) or isinstance(max_keys, bool):
        raise TypeError(f"max_keys must be a whole number, got {max_keys!r}")
    if max_keys < 1:
        raise ValueError(f"max_keys must be at least 1, got {max_keys}")
    check_listeners(listeners)
    if log is not None and (isinstance(log, type) or not (callable(log) and hasattr(log, "wants"))):
        raise TypeError(f"log must be an EventLog; loggers are set up as any others of logging, got {log!r}")
    if clock is not None and (isinstance(clock, type) or not hasattr(clock, "now_us")):
        raise TypeError(f"clock must be an object with now_us, sleep and asleep, such as FakeClock(), got {clock!r}")


def check_listeners(listeners: object) -> None:
    """Refuse what cannot be told anything."""
    if not isinstance(listeners, Collection) or not all(map(callable, listeners)):
        raise TypeError(f"listeners must be a list of callables over an event, got {listeners!r}")
    if listeners:
        from inspect import iscoroutinefunction  # only who has listeners needs it

        for listener in listeners:
            if iscoroutinefunction(listener) or iscoroutinefunction(getattr(listener, "__call__", None)):  # noqa: B004
                raise TypeError(f"listeners are called, and not awaited, got the coroutine function {listener!r}")
