"""The collector: what a registry of prometheus_client asks when it is scraped.

Law: between scrapes nothing is done, and nothing is held. A guard that cannot be looked at takes no other metric along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.telemetry.prometheus.families import families
from guardrail.telemetry.prometheus.sources import Sources

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class GuardCollector:
    """Show guards to one registry."""

    def __init__(self) -> None:
        self.sources = Sources()

    def describe(self) -> list[Metric]:
        """Return the families without numbers, so that a registry knows their names before the first scrape."""
        return families({})

    def collect(self) -> list[Metric]:
        """Return the families as they stand now."""
        return families(self.sources.numbers())
