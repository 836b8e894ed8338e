"""Files: the numbers of this process in the folder in which prometheus_client merges those of all processes.

Law: what was counted stays there; a gauge that is no longer shown rests, mostly at 0, because nothing can be taken out of
these files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import values

from guardrail.telemetry.prometheus.slots import slot_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.telemetry.prometheus.bound import Numbers, Place
    from guardrail.telemetry.prometheus.metrics import Metric
    from guardrail.telemetry.prometheus.slots import Slot, Value

ENVIRONMENT = "PROMETHEUS_MULTIPROC_DIR"


def folder() -> str | None:
    """Return the folder of multi-process mode; None: this is not it.

    Raises:
        ValueError: There is no such folder.
    """
    path = os.environ.get(ENVIRONMENT) or None
    if path is not None and not Path(path).is_dir():
        raise ValueError(f"{ENVIRONMENT} is {path!r}, which is no folder; make an empty one before the workers start")
    return path


class Files:
    """Hold what this process has written. One writer at a time."""

    def __init__(self) -> None:
        self._make = value_class()
        self._slots: dict[str, dict[Place, Slot]] = {}

    def write(self, guard: str, numbers: Numbers) -> None:
        """Write the numbers of one guard.

        Args:
            guard: The name it was given, or nothing.
        """
        slots = self._slots.setdefault(guard, {})
        for place, value in numbers.items():
            slot = slots.get(place)
            if slot is None:
                slot = slots[place] = slot_of(self._make, place, guard)
            slot.put(value)
        for place in slots.keys() - numbers.keys():
            if place[0].merge is not None:
                slots[place].put(place[0].rest)

    def rest(self) -> None:
        """Take back the gauges that only count while a process lives."""
        for slots in self._slots.values():
            for (metric, _), slot in slots.items():
                if lives(metric):
                    slot.put(metric.rest)

    def after_fork(self) -> None:
        """Begin at 0 in a forked child, as its guards do; prometheus_client takes other files there by itself."""
        for slots in self._slots.values():
            for slot in slots.values():
                slot.begin()


def lives(metric: Metric) -> bool:
    """Tell whether the metric is a gauge that only counts while its process lives."""
    return metric.merge is not None and metric.merge.startswith("live")


def value_class() -> Callable[..., Value]:
    """Return what makes values in files: the same as prometheus_client's own metrics use, so that files are shared.

    It decides that when it is imported; one that did so before the environment was set has no files to share.
    """
    make: Callable[[], Callable[..., Value]] = values.MultiProcessValue
    shared: Any = values.ValueClass
    return cast("Callable[..., Value]", shared) if shared._multiprocess else make()  # noqa: SLF001  nothing else tells
