"""Registration: which guards are shown, and where.

Law: importing this starts nothing; the first registration in multi-process mode starts the one thread there is.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry

from guardrail.telemetry.prometheus.collector import GuardCollector
from guardrail.telemetry.prometheus.files import folder
from guardrail.telemetry.prometheus.writer import writer

if TYPE_CHECKING:
    from guardrail.telemetry.prometheus.sources import Seen

_collectors: WeakKeyDictionary[CollectorRegistry, GuardCollector] = WeakKeyDictionary()
_registering = Lock()


def register(guard: Seen | None = None, registry: CollectorRegistry = REGISTRY, *, name: str = "") -> None:
    """Show the metrics of a guard wherever *registry* is scraped. Doing so again changes nothing.

    In multi-process mode (PROMETHEUS_MULTIPROC_DIR is set) they are written to that folder instead, once a second, where
    every MultiProcessCollector finds them; *registry* is not used. Call it in every worker, or before they are forked.

    Args:
        guard: None: whichever is the default one when it is scraped.
        name: Tells several guards of one process apart: the value of a label `guard`. Without it there is no such label.

    Raises:
        ValueError: Another guard has that name, or none like this one; or PROMETHEUS_MULTIPROC_DIR is no folder.
        TypeError: It is no guard.
    """
    with _registering:
        if folder() is not None:
            writer().show(guard, name)
            return
        collector = _collectors.get(registry)
        if collector is None:
            collector = GuardCollector()
            collector.sources.add(guard, name)
            registry.register(collector)
            _collectors[registry] = collector
        else:
            collector.sources.add(guard, name)


def unregister(guard: Seen | None = None, registry: CollectorRegistry = REGISTRY) -> None:
    """Show the metrics of a guard no more, whatever its name. In files, its last numbers stay.

    Raises:
        ValueError: It is not registered there.
    """
    with _registering:
        if folder() is not None:
            writer().hide(guard)
            return
        collector = _collectors.get(registry)
        if collector is None:
            raise ValueError("this guard is not registered here")
        collector.sources.remove(guard)
        if not collector.sources:
            registry.unregister(collector)
            del _collectors[registry]


def is_shown(guard: Seen | None, registry: CollectorRegistry) -> bool:
    """Tell whether a scrape of the registry shows the guard."""
    collector = _collectors.get(registry)
    return collector is not None and collector.sources.has(guard)


def flush() -> None:
    """Write the numbers of now, in multi-process mode; else do nothing.

    For servers that end workers without running exit handlers, such as uvicorn: call it when the app shuts down.
    """
    if folder() is not None:
        writer().write()
