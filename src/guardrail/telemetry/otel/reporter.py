"""Reporter: what one meter provider is told of guards when it collects.

Law: in a collection each guard is looked at once, however many instruments there are. A guard that cannot be looked at
takes none of the others with it.

An SDK asks instrument by instrument and does not say where a collection begins: it has begun where an instrument asks that
has been told of the last look already. The API cannot take an instrument back, and an SDK ignores whoever makes the same
one again; so there is one reporter for a provider, as long as that lives, and guards come and go.
"""

from __future__ import annotations

import time
from logging import getLogger
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol
from weakref import WeakKeyDictionary, ref

from opentelemetry.metrics import get_meter_provider

from guardrail.telemetry.otel.instruments import INSTRUMENTS
from guardrail.telemetry.otel.numbers import Numbers, add_up, observations
from guardrail.telemetry.otel.readings import readings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

    from guardrail.telemetry.events import Listener
    from guardrail.telemetry.otel.instruments import Instrument
    from guardrail.telemetry.snapshot import Snapshot

SCOPE = "guardrail"
LONGEST_LOOK_S = 5.0  # by then a collection is over, and an instrument that is asked by itself is told of now


class Observed(Protocol):
    """Be a guard, as far as OpenTelemetry is concerned."""

    def snapshot(self) -> Snapshot: ...

    def add_listener(self, listener: Listener, /) -> None: ...


class Watched(NamedTuple):
    """Hold a guard, as long as somebody else does, and what its numbers are told under besides."""

    guard: ref[Observed]
    attributes: Mapping[str, str]


class Look:
    """Hold what was seen of all guards at one moment, and which instruments have been told of it."""

    __slots__ = ("at", "observations", "told")

    def __init__(self, at: float, seen: Mapping[str, list[Observation]]) -> None:
        self.at = at
        self.observations = seen
        self.told: set[str] = set()


class Reporter:
    """Report guards through one meter. Safe from any thread; a collection waits for no lock of this."""

    def __init__(self, meter: Meter, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._changing = Lock()
        self._watched: tuple[Watched, ...] = ()
        self._last: Look | None = None
        self._numbers: Numbers = {}
        for instrument in INSTRUMENTS:
            self._create(meter, instrument)

    def add(self, guard: Observed, attributes: Mapping[str, str]) -> Callable[[], None]:
        """Report one more guard, until what this returns is called.

        Raises:
            ValueError: It is reported already.
        """
        watched = Watched(ref(guard), attributes)
        with self._changing:
            if any(one.guard() is guard for one in self._watched):
                raise ValueError("this guard is reported to this meter provider already: close that first")
            self._watched = (*(one for one in self._watched if one.guard() is not None), watched)
        return lambda: self._forget(watched)

    def _forget(self, watched: Watched) -> None:
        with self._changing:
            self._watched = tuple(one for one in self._watched if one is not watched)

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
            last, now = self._last, self._now()
            if last is None or name in last.told or now - last.at > LONGEST_LOOK_S:
                last = self._last = Look(now, self._look())
            last.told.add(name)
            return last.observations.get(name, ())

        return tell

    def _look(self) -> dict[str, list[Observation]]:
        numbers: Numbers = {}
        for guard, attributes in self._watched:
            observed = guard()
            if observed is not None:
                try:
                    add_up(numbers, list(readings(observed.snapshot())), attributes)
                except Exception:
                    getLogger("guardrail.otel").exception("a guard could not be looked at: its metrics are missing")
        before, self._numbers = self._numbers, numbers
        return observations(numbers, before)


class _Global:
    """Stand for the global provider: until one is set there is another in its place, which then hands over to it."""


# The one state of this module: an SDK keeps instruments per provider, and so what answers for them.
_reporters: WeakKeyDictionary[object, Reporter] = WeakKeyDictionary()
_making = Lock()
_GLOBAL = _Global()


def reporter_of(provider: MeterProvider | None) -> Reporter:
    """Return the reporter of a meter provider; None: of the global one."""
    current = get_meter_provider()
    chosen = current if provider is None else provider
    with _making:
        key: object = _GLOBAL if chosen is current and chosen not in _reporters else chosen
        reporter = _reporters.get(key)
        if reporter is None:
            reporter = _reporters[key] = Reporter(chosen.get_meter(SCOPE))
        return reporter
