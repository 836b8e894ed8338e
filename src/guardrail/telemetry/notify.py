"""Telling listeners.

Law: whatever a listener raises, every other listener hears every event; only what ends a program passes through.
"""

from __future__ import annotations

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
            except Exception:
                from logging import getLogger  # only a listener that fails needs it

                name = getattr(listener, "__qualname__", type(listener).__qualname__)
                getLogger("guardrail.listeners").exception("listener %s failed at a %s", name, type(event).__name__)
