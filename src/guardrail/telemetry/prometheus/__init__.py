"""Prometheus: the counts of a guard as metrics, in one process or over all workers of a server.

    guard.snapshot() -> points -> bound -> families -> collector -> a registry of prometheus_client, when it is scraped
                                        -> files, once a second, in multi-process mode -> MultiProcessCollector

Law: a call that is decided pays nothing for it: everything happens when somebody looks.
"""

from __future__ import annotations

try:
    import prometheus_client as _  # noqa: F401  whether it is there
except ImportError as missing:
    raise ImportError(
        'guardrail.telemetry.prometheus needs prometheus-client: pip install "guardrail-py[prometheus]"'
    ) from missing

from guardrail.telemetry.prometheus.page import Answer, MetricsPage, exposition
from guardrail.telemetry.prometheus.registration import flush, register, unregister

__all__ = ["Answer", "MetricsPage", "exposition", "flush", "register", "unregister"]
