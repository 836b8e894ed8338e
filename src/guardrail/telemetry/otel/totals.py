"""Totals: what only goes up, over all guards that there are and have been.

Law: a total never goes down, whichever guards come, go, begin anew or cannot be looked at: it is the sum of what was seen
to be added. Quantiles are of the last minute, whoever collects and how often; of more where collections are rarer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.telemetry.histogram import Distribution
from guardrail.telemetry.otel.numbers import added, grown, since

if TYPE_CHECKING:
    from guardrail.telemetry.otel.numbers import Numbers, Place

GROWING = frozenset({"counter", "times"})  # kinds of instruments
MOST_PLACES = 20_000  # that are remembered; of those beyond, the ones that nobody tells at present are forgotten
RECENT_S = 55.0  # of a collection each minute, the one before counts, though it came a little early
STEP_S = 5.0  # views of the distributions that are closer together than this are one


class Totals:
    """Add up what grows."""

    def __init__(self) -> None:
        self._sums: Numbers = {}
        self._views: list[tuple[float, dict[Place, Distribution]]] = []

    def grow(self, before: Numbers, now: Numbers) -> None:
        """Add what has come between two looks at one guard. What became less was begun anew: it counts whole."""
        for place, value in now.items():
            instrument = place[0]
            if instrument.kind in GROWING:
                more = grown(value, before.get(place))
                there = self._sums.get(place)
                self._sums[place] = more if there is None else added(instrument, there, more)

    def told(self, numbers: Numbers) -> Numbers:
        """Return *numbers* with the totals in place of what grows."""
        if len(self._sums) > MOST_PLACES:
            self._sums = {place: value for place, value in self._sums.items() if place in numbers}
        return {place: self._sums.get(place, value) for place, value in numbers.items()}

    def recent(self, numbers: Numbers, now: float) -> dict[Place, Distribution]:
        """Return of each distribution what has come of late, and remember it as it stands.

        Args:
            numbers: As they are told.
            now: In seconds, on a clock that does not step back.
        """
        standing = {place: value for place, value in numbers.items() if isinstance(value, Distribution)}
        views = self._views
        while len(views) > 1 and now - views[1][0] >= RECENT_S:
            views.pop(0)
        begun = views[0][1] if views and now - views[0][0] >= RECENT_S else {}
        if not views or now - views[-1][0] >= STEP_S:
            views.append((now, standing))
        return {place: since(times, begun[place]) if place in begun else times for place, times in standing.items()}
