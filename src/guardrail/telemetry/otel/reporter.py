"""Reporter: what one meter provider is told of guards when it collects.

Law: in a collection each guard is looked at once, however many instruments there are. A guard that cannot be looked at
takes none of the others with it, and is told as it was last seen. Nobody waits for anybody here: a finalizer may add or
close in the middle of a collection, and of two collections at one moment one is told what the other saw before.

An SDK asks instrument by instrument, on one thread, and says neither who collects nor where a collection begins: it has
begun where an instrument asks that has been told of this thread's look already. The API cannot take an instrument back,
and an SDK ignores whoever makes the same one again; so there is one reporter for a provider, as long as that lives, and
guards come and go. All readers of a provider are told the same.
"""

from __future__ import annotations

import os
import time
from logging import getLogger
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary, ref

from opentelemetry.metrics import get_meter_provider

from guardrail.telemetry.otel.instruments import INSTRUMENTS
from guardrail.telemetry.otel.numbers import Numbers, add_up, observations
from guardrail.telemetry.otel.totals import Totals
from guardrail.telemetry.otel.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

    from guardrail.telemetry.events import Listener
    from guardrail.telemetry.otel.instruments import Instrument
    from guardrail.telemetry.snapshot import Snapshot

SCOPE = "guardrail"
LONGEST_LOOK_S = 5.0  # by then a collection is over, and an instrument that is asked by itself is told of now
UNSEEN = "a guard could not be looked at: it is told as it was last seen"


class Observed(Protocol):
    """Be a guard, as far as OpenTelemetry is concerned."""

    def snapshot(self) -> Snapshot: ...

    def add_listener(self, listener: Listener, /) -> None: ...

    def remove_listener(self, listener: Listener, /) -> None: ...


class Look:
    """Hold what was seen of all guards at one moment, and which instruments have been told of it on one thread."""

    __slots__ = ("at", "observations", "told")

    def __init__(self, at: float, seen: Mapping[str, list[Observation]]) -> None:
        self.at = at
        self.observations = seen
        self.told: set[str] = set()


class Reporter:
    """Report guards through one meter. Safe from any thread, task, finalizer and signal handler, and across a fork."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._watched: dict[ref[Observed], Watched] = {}
        self._totals = Totals()
        self._looking: dict[int, Lock] = {}
        self._looks: dict[int, Look] = {}
        self._last = Look(float("-inf"), {})

    def add(self, guard: Observed, attributes: Mapping[str, str]) -> Callable[[], None]:
        """Report one more guard, until what this returns is called.

        Raises:
            ValueError: It is reported already.
        """
        made = Watched(guard)
        watched = self._watched.setdefault(made.guard, made)
        if watched.turn is not None:
            raise ValueError("this guard is reported to this meter provider already: close that first")
        watched.attributes, watched.turn = attributes, (turn := object())
        return lambda: watched.end(turn)

    def create(self, meter: Meter) -> None:
        """Make the instruments, once."""
        for instrument in INSTRUMENTS:
            self._create(meter, instrument)

    def _create(self, meter: Meter, instrument: Instrument) -> None:
        name, kind, unit, text = instrument
        match kind:
            case "counter":
                meter.create_observable_counter(name, [self._telling(name)], unit, text)
            case "level":
                meter.create_observable_up_down_counter(name, [self._telling(name)], unit, text)
            case "gauge":
                meter.create_observable_gauge(name, [self._telling(name)], unit, text)
            case "times":
                count, total, quantile = f"{name}.count", f"{name}.sum", f"{name}.quantile"
                meter.create_observable_counter(count, [self._telling(count)], "{call}", f"{text} Their number.")
                meter.create_observable_counter(total, [self._telling(total)], unit, f"{text} Their sum.")
                recent = f"{text} Quantiles of those since the collection before."
                meter.create_observable_gauge(quantile, [self._telling(quantile)], unit, recent)

    def _telling(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def tell(_: CallbackOptions) -> Iterable[Observation]:
            now, thread = self._now(), get_ident()
            look = self._looks.get(thread)
            if look is None or name in look.told or now - look.at > LONGEST_LOOK_S:
                look = self._looks[thread] = Look(now, self._seen(now))
            look.told.add(name)
            return look.observations.get(name, ())

        return tell

    def _seen(self, now: float) -> Mapping[str, list[Observation]]:
        """Look at every guard; while somebody else does, return what was seen before."""
        lock = self._looking.setdefault(os.getpid(), Lock())  # at a fork, a thread of the parent may hold its own
        try:
            if lock.acquire(blocking=False):
                self._last = Look(now, self._look(now))
                lock.release()
        except BaseException:
            self._looking = {}  # whatever a signal handler broke off by raising, the next one looks
            raise
        return self._last.observations

    def _look(self, now: float) -> dict[str, list[Observation]]:
        numbers: Numbers = {}
        for key, watched in tuple(self._watched.items()):
            guard = key()
            if guard is None:
                self._watched.pop(key, None)
            elif watched.turn is not None:
                try:
                    watched.look(guard, self._totals)
                except Exception:
                    getLogger("guardrail.otel").exception(UNSEEN)
                add_up(numbers, watched.seen)
        for thread, look in tuple(self._looks.items()):  # threads come and go
            if now - look.at > LONGEST_LOOK_S:
                self._looks.pop(thread, None)
        told = self._totals.told(numbers)
        return observations(told, self._totals.recent(told, now))


class _Global:
    """Stand for the global provider: until one is set there is another in its place, which then hands over to it."""


# The one state of this module: an SDK keeps instruments per provider, and so what answers for them.
_reporters: WeakKeyDictionary[object, Reporter] = WeakKeyDictionary()
_GLOBAL = _Global()


def reporter_of(provider: MeterProvider | None) -> Reporter:
    """Return the reporter of a meter provider; None: of the global one."""
    current = get_meter_provider()
    chosen = current if provider is None else provider
    key: object = _GLOBAL if chosen is current and chosen not in _reporters else chosen
    made = Reporter()
    reporter = _reporters.setdefault(key, made)
    if reporter is made:  # who comes meanwhile has it already, and its guards are told with the others
        try:
            reporter.create(chosen.get_meter(SCOPE))
        except BaseException:
            _reporters.pop(key, None)
            raise
    return reporter
