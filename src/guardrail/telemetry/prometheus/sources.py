"""Sources: the guards whose numbers are shown, by the names they were given.

Law: each is asked for one snapshot per look, and no lock is held meanwhile. One that fails is left out of that look, and
said so in the log once; the others are shown.
"""

from __future__ import annotations

from logging import getLogger
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from guardrail.telemetry.prometheus.bound import Bound
from guardrail.telemetry.prometheus.points import points

if TYPE_CHECKING:
    from guardrail.telemetry.prometheus.bound import Numbers
    from guardrail.telemetry.snapshot import Snapshot

logger = getLogger("guardrail.metrics")


@runtime_checkable
class Seen(Protocol):
    """Be a guard, as far as metrics need one."""

    def snapshot(self) -> Snapshot: ...


class Source:
    """Show the numbers of one guard; None: of whichever is the default one then."""

    def __init__(self, guard: Seen | None) -> None:
        self.guard = guard
        self._bound = Bound()
        self._is_failing = False

    def numbers(self) -> Numbers | None:
        """Return the numbers as they stand; None: they cannot be had."""
        try:
            numbers = self._bound.collected(points(self.seen().snapshot()))
        except Exception:
            if not self._is_failing:
                logger.exception("a guard cannot be looked at, so its metrics are missing until it can")
            self._is_failing = True
            return None
        self._is_failing = False
        return numbers

    def seen(self) -> Seen:
        """Return the guard."""
        if self.guard is not None:
            return self.guard
        from guardrail.default import default_guard  # most are registered by name, and the guard imports telemetry

        return default_guard()


class Sources:
    """Hold several guards. Safe from any thread."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def __bool__(self) -> bool:
        return bool(self._sources)

    def has(self, guard: Seen | None) -> bool:
        """Tell whether a guard is shown, under whatever name."""
        return any(source.guard is guard for source in list(self._sources.values()))

    def add(self, guard: Seen | None, name: str) -> None:
        """Show a guard from now on. One that is shown already needs no name.

        Raises:
            TypeError: It is no guard.
            ValueError: The name is taken.
        """
        if guard is not None and (isinstance(guard, type) or not isinstance(guard, Seen)):
            raise TypeError(f"guard must be a Guard, or None for the default one, got {guard!r}")
        if not name and self.has(guard):
            return
        new = Source(guard)
        there = self._sources.setdefault(name, new)
        if there is not new and there.seen() is not new.seen():
            taken = f"as name={name!r}" if name else "without a name"
            raise ValueError(f"another guard is registered {taken}; give this one a name= of its own, a label value")

    def remove(self, guard: Seen | None) -> list[str]:
        """Show a guard no more, and return the names it was shown under.

        Raises:
            ValueError: It was not shown.
        """
        names = [name for name, source in list(self._sources.items()) if source.guard is guard]
        if not names:
            raise ValueError("this guard is not registered here")
        for name in names:
            del self._sources[name]
        return names

    def numbers(self) -> dict[str, Numbers]:
        """Return the numbers of each guard that can be looked at, by its name."""
        found = {name: source.numbers() for name, source in list(self._sources.items())}
        return {name: numbers for name, numbers in found.items() if numbers is not None}
