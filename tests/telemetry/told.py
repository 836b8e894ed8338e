"""What a meter provider is told of guards, as tests see it: guards that show what they are told to, and ways to collect."""

from contextlib import contextmanager
from dataclasses import replace

from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from guardrail.telemetry.histogram import Histogram
from guardrail.telemetry.otel.reporter import Reporter
from guardrail.telemetry.snapshot import (
    BreakerRuleSnapshot,
    BulkheadRuleSnapshot,
    Latency,
    ReloadSnapshot,
    RuleCounts,
    RuleSnapshot,
    Snapshot,
    StoreSnapshot,
)


def times(*times_us):
    histogram = Histogram()
    for time_us in times_us:
        histogram.add(time_us)
    return histogram.view()


WAITED = times(1_000, 2_000, 4_000_000)
RULE = RuleSnapshot(
    *("slow", "limit", ("r",), "1/s", "code", "enforce", 1.0, None, None, 5, 3, 0, 1, 0.4),
    waited=WAITED,
)
FULL = Snapshot(
    at=1000.0,
    pid=1,
    mode="enforce",
    reload=ReloadSnapshot("rules/", "b2", 999.5, 4, 2, None),
    rules=(RULE,),
    counts=(RuleCounts("r", "slow", 5, 3, 0, 1), RuleCounts("r", "watch", 7, 0, 2, 0)),
    breakers=(
        BreakerRuleSnapshot(
            "b", {"closed": 3, "open": 1, "half_open": 0}, {("closed", "open"): 6, ("forced_open", "closed"): 1},
            *(10, 4, 2, 1), {},
        ),
    ),
    bulkheads=(BulkheadRuleSnapshot("places", 7, 2, 5, 4, 3),),
    hot_keys=(),
    store=StoreSnapshot("redis://h:6379/0", False, "gone", 1, {"timeout": 8}, times(300)),
    latencies=(Latency("r", 0.1, 0.2, 0.3, times(50_000)),),
)  # fmt: skip
EMPTY = replace(FULL, rules=(), counts=(), breakers=(), bulkheads=(), store=None, latencies=())


class Seen:
    """A guard that shows what it is told to."""

    def __init__(self, shown=FULL):
        self.shown = shown
        self.looks = 0
        self.listeners = []

    def snapshot(self):
        self.looks += 1
        return self.shown() if callable(self.shown) else self.shown

    def add_listener(self, listener):
        self.listeners.append(listener)

    def remove_listener(self, listener):
        self.listeners[:] = [one for one in self.listeners if one is not listener]


class Collected:
    """A meter provider of the SDK, and what a collection finds, as plain numbers."""

    def __init__(self, provider, reader):
        self.provider = provider
        self.reader = reader

    def metrics(self):
        """Every metric by its name."""
        found = self.reader.get_metrics_data()
        scopes = [] if found is None else [scope for one in found.resource_metrics for scope in one.scope_metrics]
        assert {"guardrail"} >= {scope.scope.name for scope in scopes}
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def numbers(self):
        """Every number by the metric's name without `guardrail.`, and the values of its attributes."""
        return {
            (name.removeprefix("guardrail."), *point.attributes.values()): point.value
            for name, metric in self.metrics().items()
            for point in metric.data.data_points
        }


@contextmanager
def collecting(temporality=AggregationTemporality.CUMULATIVE):
    reader = InMemoryMetricReader(preferred_temporality={ObservableCounter: temporality})
    provider = MeterProvider([reader], shutdown_on_exit=False)
    try:
        yield Collected(provider, reader)
    finally:
        provider.shutdown()


class OneByOne:
    """A meter that lets a test ask each instrument by hand."""

    def __init__(self):
        self.callbacks = {}

    def create(self, name, callbacks, unit, description):
        [self.callbacks[name]] = callbacks

    create_observable_counter = create_observable_up_down_counter = create_observable_gauge = create

    def collect(self):
        """Ask each instrument once."""
        return {name: list(callback(None)) for name, callback in self.callbacks.items()}


class ByHand:
    """A reporter, and a meter and a clock that are moved by hand."""

    def __init__(self):
        self.now = 1000.0
        self.meter = OneByOne()
        self.reporter = Reporter(lambda: self.now)
        self.reporter.create(self.meter)

    def median(self):
        """Return the middle of the waits for the rule."""
        told = self.meter.collect()["guardrail.queue.wait.quantile"]
        return next((one.value for one in told if one.attributes["guardrail.quantile"] == "0.5"), None)
