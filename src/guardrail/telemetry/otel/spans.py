"""Spans: what the current one is told of a refusal.

Law: no span is begun or ended here and none becomes an error: that is for whoever began it. A rule that only watches does
not hide a refusal on the same span.

A move of a breaker is no event of a span: OpenTelemetry gives up events of spans for logs, and the log has the move with
the span's ids (`guardrail.breakers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import get_current_span

from guardrail.errors import BreakerOpen, BulkheadFull, RateLimited
from guardrail.telemetry.entry import own_decision
from guardrail.telemetry.events import CallRefused
from guardrail.telemetry.otel import instruments as on
from guardrail.telemetry.otel.readings import written

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from guardrail.core.verdict import Kind
    from guardrail.errors import Refused
    from guardrail.telemetry.events import Event

REFUSALS: dict[Kind, type[Refused]] = {"limit": RateLimited, "breaker": BreakerOpen, "bulkhead": BulkheadFull}


class SpanMarker:
    """Mark the current span where a rule refuses, or would have. A listener, told while the span is there."""

    never_waits = True

    def __call__(self, event: Event) -> None:
        if isinstance(event, CallRefused):
            span = get_current_span()
            if span.is_recording() and not (event.shadow and _was_refused(span)):
                span.set_attributes(attributes_of(event))


def attributes_of(event: CallRefused) -> dict[str, str | float]:
    """Return what a span says of a refusal."""
    found: dict[str, str | float] = {
        on.OUTCOME: "shadow_refuse" if event.shadow else "refuse",
        on.RESOURCE: written(event.resource),
        on.RULE: written(event.rule),
        on.REASON: event.reason,
    }
    retry_after = own_decision(event).retry_after
    if retry_after is not None:
        found[on.RETRY_AFTER] = retry_after
    if not event.shadow:
        found[on.ERROR_TYPE] = REFUSALS[event.kind].__name__
    return found


def _was_refused(span: Span) -> bool:
    """Tell whether the span says so already; only those of an SDK can be asked."""
    said = getattr(span, "attributes", None) or {}
    return said.get(on.OUTCOME) == "refuse"
