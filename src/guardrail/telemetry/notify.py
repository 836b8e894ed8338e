"""Telling listeners.

Law: whatever a listener raises, every other listener hears every event, and so it is where the log raises as well; only
what ends a program passes through.
"""

from __future__ import annotations

from contextlib import suppress
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
                    _report(listener, event, error)


def _report(listener: Listener, event: Event, error: Exception) -> None:
    from logging import getLogger  # only a listener that fails needs it

    name = getattr(listener, "__qualname__", type(listener).__qualname__)
    log = getLogger("guardrail.listeners")
    log.error("listener %s failed at a %s", name, type(event).__name__, exc_info=error)
