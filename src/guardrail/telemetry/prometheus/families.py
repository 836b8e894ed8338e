"""Families: the numbers in the form in which prometheus_client takes them from a collector.

Law: every metric has its family, with or without numbers, except that of call times, which not everybody measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from guardrail.telemetry.histogram import Distribution
from guardrail.telemetry.prometheus.buckets import cumulated
from guardrail.telemetry.prometheus.metrics import CALLS, METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.metrics_core import Metric as Family

    from guardrail.telemetry.prometheus.bound import Numbers
    from guardrail.telemetry.prometheus.metrics import Metric

GUARD = "guard"  # the label that tells guards of one process apart, where they were given names


def families(guards: Mapping[str, Numbers]) -> list[Family]:
    """Return the families of several guards, by the names they were given.

    Args:
        guards: The name of the only one may be empty: then there is no label for it.
    """
    named = any(guards)
    found = {metric: _empty(metric, named) for metric in METRICS}
    for name, numbers in guards.items():
        for (metric, labels), value in numbers.items():
            _add(found[metric], (*labels, name) if named else labels, value)
    return [family for metric, family in found.items() if metric is not CALLS or family.samples]


def _empty(metric: Metric, named: bool) -> Family:
    labels = (*metric.labels, GUARD) if named else metric.labels
    match metric.kind:
        case "counter":
            return CounterMetricFamily(metric.name, metric.text, labels=labels)
        case "gauge":
            return GaugeMetricFamily(metric.name, metric.text, labels=labels)
        case "histogram":
            return HistogramMetricFamily(metric.name, metric.text, labels=labels)


def _add(family: Family, labels: tuple[str, ...], value: float | Distribution) -> None:
    if isinstance(family, HistogramMetricFamily):
        assert isinstance(value, Distribution)
        family.add_metric(labels, cumulated(value), value.total)
    else:
        assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
        assert not isinstance(value, Distribution)
        family.add_metric(labels, value)
