"""What the current span is told of a refusal: with the real SDK, read by its in-memory exporter."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, use_span

from guardrail import Guard
from guardrail.admission.permit import REFUSALS as RAISED
from guardrail.core.verdict import Decision, Verdict
from guardrail.telemetry.events import BreakerMoved, CallRefused
from guardrail.telemetry.otel import instrument
from guardrail.telemetry.otel.spans import REFUSALS, SpanMarker
from guardrail.testing import FakeClock

VERDICT = Verdict("slow", "limit", allowed=False, reason="rate", retry_after=1.5, text="2/min")
REFUSED = CallRefused("r", "slow", "limit", "rate", Decision.of((VERDICT,)), shadow=False)
FULL = CallRefused(
    "s", "places", "bulkhead", "bulkhead_full", Decision(allowed=False, rule="places", kind="bulkhead"), shadow=False
)
WATCHED = CallRefused("r", "watch", "limit", "rate", Decision(allowed=True), shadow=True)


class Spans:
    """A tracer of the SDK, and the spans that have ended."""

    def __init__(self, provider, exporter):
        self.provider = provider
        self.exporter = exporter
        self.tracer = provider.get_tracer("service")

    def within(self, step):
        """Run *step* within a span, and return that."""
        with self.tracer.start_as_current_span("a call"):
            step()
        return self.exporter.get_finished_spans()[-1]


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Spans(provider, exporter)
    provider.shutdown()


def said(span):
    return dict(span.attributes)


def told(*events):
    marker = SpanMarker()
    return lambda: [marker(event) for event in events]


def test_a_refusal_says_which_rule_and_why_and_when_to_come_back(spans):
    assert {
        "guardrail.outcome": "refuse",
        "guardrail.resource": "r",
        "guardrail.rule": "slow",
        "guardrail.reason": "rate",
        "guardrail.retry_after": 1.5,
        "error.type": "RateLimited",
    } == said(spans.within(told(REFUSED)))


def test_what_has_no_time_to_come_back_names_none(spans):
    assert {
        "guardrail.outcome": "refuse",
        "guardrail.resource": "s",
        "guardrail.rule": "places",
        "guardrail.reason": "bulkhead_full",
        "error.type": "BulkheadFull",
    } == said(spans.within(told(FULL)))


def test_a_rule_that_only_watches_is_no_error(spans):
    assert {
        "guardrail.outcome": "shadow_refuse",
        "guardrail.resource": "r",
        "guardrail.rule": "watch",
        "guardrail.reason": "rate",
    } == said(spans.within(told(WATCHED)))


def test_a_refusal_is_not_hidden_by_a_rule_that_only_watches(spans):
    assert said(spans.within(told(REFUSED))) == said(spans.within(told(REFUSED, WATCHED)))
    assert said(spans.within(told(REFUSED))) == said(spans.within(told(WATCHED, REFUSED)))


def test_the_last_refusal_is_the_one_that_is_told(spans):
    assert "places" == said(spans.within(told(REFUSED, FULL)))["guardrail.rule"]


def test_the_span_stays_whoever_began_it_meant_it_to_be(spans):
    span = spans.within(told(REFUSED, BreakerMoved("b", "closed", "open", "why", "b")))
    assert (StatusCode.UNSET, "a call", ()) == (span.status.status_code, span.name, span.events)
    assert 1 == len(spans.exporter.get_finished_spans())


def test_every_kind_of_refusal_has_the_name_of_what_is_raised():
    assert RAISED == REFUSALS


def test_a_name_that_no_exporter_could_encode_does_not_cost_the_span(spans):
    event = CallRefused("r\udc80" * 300, "slow", "limit", "rate", Decision.of((VERDICT,)), shadow=False)
    assert 200 == len(said(spans.within(told(event)))["guardrail.resource"].encode().decode())


def test_outside_of_a_span_nothing_is_said():
    told(REFUSED)()


def test_a_span_that_is_not_recorded_is_told_nothing(monkeypatch):
    asked = []
    monkeypatch.setattr(NonRecordingSpan, "set_attributes", lambda *_: asked.append(1))
    with use_span(NonRecordingSpan(SpanContext(1, 2, is_remote=False))):
        told(REFUSED)()
    with TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("t").start_as_current_span("a"):
        told(REFUSED)()
    assert [] == asked


class Foreign(NonRecordingSpan):
    """A span of another SDK, which cannot be asked what was said."""

    def __init__(self):
        super().__init__(SpanContext(1, 2, is_remote=False))
        self.told = []

    def is_recording(self):
        return True

    def set_attributes(self, attributes):
        self.told.append(attributes)


def test_a_span_of_another_sdk_is_told_as_well():
    span = Foreign()
    with use_span(span):
        told(REFUSED, WATCHED)()
    assert ["refuse", "shadow_refuse"] == [one["guardrail.outcome"] for one in span.told]


# ---- a real guard


def guard_of(*rules):
    return Guard(list(rules), clock=FakeClock(1_700_000_000_000_000))


LIMIT = {"name": "slow", "resource": "r", "kind": "limit", "rate": "1/min", "key": "user"}


def test_a_refused_call_marks_the_span_it_is_made_in(spans):
    guard = guard_of(LIMIT)
    instrument(guard, metrics=False)
    first = spans.within(lambda: guard.try_enter("r", {"user": "tweety"}))
    second = spans.within(lambda: guard.try_enter("r", {"user": "tweety"}))
    assert {} == said(first)
    assert ("refuse", "slow", 60.0) == tuple(
        said(second)[f"guardrail.{name}"] for name in ("outcome", "rule", "retry_after")
    )
    assert "tweety" not in f"{said(second)}"


def test_a_rule_that_watches_tells_its_own_time_to_come_back(spans):
    guard = guard_of({**LIMIT, "mode": "shadow"})
    instrument(guard, metrics=False)
    guard.try_enter("r")
    assert {"guardrail.outcome": "shadow_refuse", "guardrail.retry_after": 60.0}.items() <= said(
        spans.within(lambda: guard.try_enter("r"))
    ).items()


def test_what_was_closed_marks_no_more(spans):
    guard = guard_of(LIMIT)
    with instrument(guard, metrics=False):
        guard.try_enter("r")
    assert {} == said(spans.within(lambda: guard.try_enter("r")))


def test_spans_can_be_left_out(spans):
    guard = guard_of(LIMIT)
    with instrument(guard, metrics=False, spans=False):
        guard.try_enter("r")
        assert {} == said(spans.within(lambda: guard.try_enter("r")))


def test_a_span_that_raises_does_not_reach_the_call(monkeypatch, caplog):
    class Failing(Foreign):
        def set_attributes(self, attributes):
            raise OSError("no room")

    guard = guard_of(LIMIT)
    instrument(guard, metrics=False)
    guard.try_enter("r")
    with use_span(Failing()):
        assert "rate" == guard.try_enter("r").decision.reason
    assert ["listener SpanMarker failed at a CallRefused"] == caplog.messages


def test_the_api_alone_has_no_span_to_mark():
    guard = guard_of(LIMIT)
    instrument(guard, metrics=False)
    with trace.NoOpTracerProvider().get_tracer("t").start_as_current_span("a"):
        assert [True, False] == [bool(guard.try_enter("r")) for _ in range(2)]
