"""OpenTelemetry: a guard's metrics, and refusals on the spans in which they happen, through whatever SDK the service has.

    instruments  what is measured: names, units, and what the numbers mean
    readings     a snapshot as numbers, each under its instrument
    numbers      those of several guards made one
    totals       what only goes up, and never down
    watched      one guard, and what was last seen of it
    reporter     what a meter provider is told when it collects
    spans        what the current span is told of a refusal

Law: with the API alone nothing happens and nothing fails. A guarded call pays nothing for metrics, and waits for no
exporter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

try:
    from guardrail.telemetry.otel.reporter import reporter_of
    from guardrail.telemetry.otel.spans import SpanMarker
except ImportError as missing:
    hint = 'guardrail.telemetry.otel needs the OpenTelemetry API: pip install "guardrail-py[otel]"'
    raise ImportError(hint) from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from opentelemetry.metrics import MeterProvider

    from guardrail.telemetry.otel.reporter import Observed

__all__ = ["Instrumentation", "instrument"]


def instrument(
    guard: Observed,
    *,
    meter_provider: MeterProvider | None = None,
    metrics: bool = True,
    spans: bool = True,
    attributes: Mapping[str, str] | None = None,
) -> Instrumentation:
    """Report *guard* to OpenTelemetry until the result is closed, or the guard is gone.

    Args:
        meter_provider: Default: the global one, also where that is set later.
        metrics: Report the instruments of `guardrail.telemetry.otel.instruments`.
        spans: Say on the current span that a rule refused, or would have: `guardrail.outcome`, `guardrail.resource`,
            `guardrail.rule`, `guardrail.reason`, `guardrail.retry_after`, and of a refusal `error.type`.
        attributes: Added to every number. They tell several guards of a process apart, which are otherwise added up.

    Raises:
        ValueError: This guard is reported to that meter provider already.
    """
    forget = reporter_of(meter_provider).add(guard, dict(attributes or {})) if metrics else None
    marker = SpanMarker() if spans else None
    if marker is not None:
        guard.add_listener(marker)
    return Instrumentation(ref(guard), forget, marker)


class Instrumentation:
    """Hold what `instrument` has set up for a guard. A context manager: leaving it ends that."""

    def __init__(self, guard: ref[Observed], forget: Callable[[], None] | None, marker: SpanMarker | None) -> None:
        self._guard = guard
        self._forget = forget
        self._marker = marker

    def close(self) -> None:
        """Report the guard no more. May be called again.

        What it counted stays in the totals of other guards with the same names and attributes.
        """
        if self._forget is not None:
            self._forget()
        guard = self._guard()
        if self._marker is not None and guard is not None:
            guard.remove_listener(self._marker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
