"""Telling listeners.

Law: whatever a listener raises, every other listener hears every event, and so it is where the log raises as well; only
what ends a program passes through. A listener is told of by the name of its code: what it holds may be a secret.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardrail.telemetry.events import Event, Listener


def notify(listeners: Iterable[Listener], events: Iterable[Event]) -> None:
    """Tell each event to each listener, in order. Hold no lock meanwhile: a listener may call back."""
    told = tuple(listeners)
    for event in events:
        for listener in told:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001  it is reported, as well as it can be
                with suppress(Exception):
                    report(listener, event, error)


def report(listener: Listener, event: Event, error: BaseException) -> None:
    """Log that a listener has failed."""
    from logging import getLogger  # only a listener that fails needs it

    log = getLogger("guardrail.listeners")
    log.error("listener %s failed at a %s", name_of(listener), type(event).__name__, exc_info=error)


def name_of(listener: object) -> str:
    """Return what the code of a listener is called."""
    while isinstance(listener, partial):
        listener = listener.func
    name = getattr(listener, "__qualname__", None)
    return name if isinstance(name, str) else type(listener).__qualname__
