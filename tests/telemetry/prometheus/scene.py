"""What the tests of metrics have in common: snapshots made by hand, guards, and what was scraped, as plain numbers."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from guardrail import Guard
from guardrail.telemetry.histogram import Histogram
from guardrail.telemetry.prometheus import register
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
from guardrail.testing import FakeClock

AT = 1_700_000_000


class Seen:
    """A guard that shows what it is told to; a callable may show another thing each time, wait, or raise."""

    def __init__(self, shown):
        self.shown = shown
        self.looks = 0

    def snapshot(self):
        self.looks += 1
        return self.shown() if callable(self.shown) else self.shown


def guard_of(*rules, **options):
    return Guard(list(rules), clock=FakeClock(AT * 1_000_000), **options)


def distribution(*times_us):
    histogram = Histogram()
    for time_us in times_us:
        histogram.add(time_us)
    return histogram.view()


def rule(name, waited):
    return RuleSnapshot(
        *(name, "limit", ("**",), "1/s", "code", "enforce", 1.0, None, None, 0, 0, 0, 0, None),
        waited=waited,
    )


def breaker(name, *, transitions=None, successes=0, failures=0, slow=0, ignored=0, **states):
    every = {"closed": 0, "open": 0, "half_open": 0, "forced_open": 0, "forced_closed": 0}
    return BreakerRuleSnapshot(name, every | states, transitions or {}, successes, failures, slow, ignored, {})


def bulkhead(name, in_use=0, capacity=1, count=1, fullest=None):
    return BulkheadRuleSnapshot(name, in_use, 0, capacity, in_use if fullest is None else fullest, count)


def store(*, available=True, errors=None, seconds=None):
    return StoreSnapshot("redis://cache:6379/0", available, "", 0, errors or {}, seconds or distribution())


def latency(resource, seen):
    return Latency(resource, None, None, None, seen)


def reload(*, revision="r1", at=float(AT), failures=0, error=None):
    return ReloadSnapshot(None, revision, at, 0, failures, error)


def snapshot(*counts, rules=(), breakers=(), bulkheads=(), store=None, latencies=(), reload=reload()):  # noqa: B008
    """Return a snapshot; each count is (resource, rule, allowed, refused, shadow_refused, errors)."""
    told = tuple(RuleCounts(*one) for one in counts)
    return Snapshot(
        *(float(AT), 1, "enforce", reload, tuple(rules), told, tuple(breakers), tuple(bulkheads), (), store),
        latencies=tuple(latencies),
    )


def text_of(guard, **options):
    """What a registry with this guard alone shows."""
    registry = CollectorRegistry()
    register(guard, registry, **options)
    return generate_latest(registry).decode()


def series(text):
    """Return what was scraped: the number of each sample, by its name and labels as they are written in PromQL."""
    return {
        written(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def written(name, labels):
    return f"{name}{{{','.join(f'{label}={value}' for label, value in sorted(labels.items()))}}}" if labels else name


def scraped(guard, **options):
    return series(text_of(guard, **options))


def of(numbers, name):
    """Return the series of one metric, without its name."""
    return {place.removeprefix(name): value for place, value in numbers.items() if place.partition("{")[0] == name}
