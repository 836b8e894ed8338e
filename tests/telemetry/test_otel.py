"""What a meter provider is told of guards: with the real SDK, read by its in-memory reader."""

import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    PeriodicExportingMetricReader,
)

from guardrail import Guard
from guardrail.telemetry.counts import OTHER
from guardrail.telemetry.otel import instrument
from guardrail.telemetry.otel.instruments import INSTRUMENTS
from guardrail.telemetry.otel.readings import readings, written
from guardrail.telemetry.otel.reporter import LONGEST_LOOK_S
from guardrail.telemetry.prometheus.points import points
from guardrail.testing import FakeClock
from tests.telemetry.told import EMPTY, FULL, ByHand, Seen, collecting
from tests.untraced import untraced


@pytest.fixture
def sdk():
    with collecting() as collected:
        yield collected


# ---- what is told


def test_every_number_of_a_snapshot_is_told(sdk):
    guard = Seen()
    instrument(guard, meter_provider=sdk.provider)
    assert {
        ("decisions", "r", "slow", "allow"): 5,
        ("decisions", "r", "slow", "refuse"): 3,
        ("decisions", "r", "slow", "error"): 1,
        ("decisions", "r", "watch", "allow"): 7,
        ("decisions", "r", "watch", "shadow_refuse"): 2,
        ("breaker.state", "b", "closed"): 3,
        ("breaker.state", "b", "open"): 1,
        ("breaker.state", "b", "half_open"): 0,
        ("breaker.transitions", "b", "closed", "open"): 6,
        ("breaker.transitions", "b", "open", "half_open"): 0,
        ("breaker.transitions", "b", "half_open", "open"): 0,
        ("breaker.transitions", "b", "half_open", "closed"): 0,
        ("breaker.transitions", "b", "forced_open", "closed"): 1,
        ("breaker.calls", "b", "success"): 10,
        ("breaker.calls", "b", "failure"): 4,
        ("breaker.calls", "b", "ignored"): 1,
        ("bulkhead.in_use", "places"): 7,
        ("bulkhead.capacity", "places"): 15,
        ("bulkhead.waiting", "places"): 2,
        ("queue.wait.count", "slow"): 3,
        ("queue.wait.sum", "slow"): 4.003,
        ("queue.wait.quantile", "slow", "0.5"): 0.002048,
        ("queue.wait.quantile", "slow", "0.95"): 4.194304,
        ("queue.wait.quantile", "slow", "0.99"): 4.194304,
        ("call.duration.count", "r"): 1,
        ("call.duration.sum", "r"): 0.05,
        ("call.duration.quantile", "r", "0.5"): 0.065536,
        ("call.duration.quantile", "r", "0.95"): 0.065536,
        ("call.duration.quantile", "r", "0.99"): 0.065536,
        ("store.duration.count", "redis://h:6379/0"): 1,
        ("store.duration.sum", "redis://h:6379/0"): 0.0003,
        ("store.duration.quantile", "redis://h:6379/0", "0.5"): 0.000512,
        ("store.duration.quantile", "redis://h:6379/0", "0.95"): 0.000512,
        ("store.duration.quantile", "redis://h:6379/0", "0.99"): 0.000512,
        ("store.errors", "redis://h:6379/0", "timeout"): 8,
        ("store.fallback_active", "redis://h:6379/0"): 1,
        ("rules.info", "b2"): 1,
        ("rules.last_reload_success_timestamp",): 999.5,
        ("rules.reload_failures",): 2,
    } == sdk.numbers()


def test_attributes_have_names_of_guardrail_and_of_the_conventions(sdk):
    guard = Seen()
    instrument(guard, meter_provider=sdk.provider)
    names = {
        metric.name: {name for point in metric.data.data_points for name in point.attributes}
        for metric in sdk.metrics().values()
    }
    assert {"guardrail.resource", "guardrail.rule", "guardrail.outcome"} == names["guardrail.decisions"]
    assert {"guardrail.store", "error.type"} == names["guardrail.store.errors"]
    assert all(name == "error.type" or name.startswith("guardrail.") for every in names.values() for name in every)


def test_every_instrument_has_a_unit_and_says_what_it_is(sdk):
    guard = Seen()
    instrument(guard, meter_provider=sdk.provider)
    metrics = sdk.metrics()
    assert len(INSTRUMENTS) + 2 * 3 == len(metrics)
    assert set() == {name for name, metric in metrics.items() if not (metric.unit and metric.description.endswith("."))}


def test_what_only_goes_up_is_a_counter_and_what_adds_up_is_a_sum(sdk):
    guard = Seen()
    instrument(guard, meter_provider=sdk.provider)
    kinds = {name: getattr(metric.data, "is_monotonic", "gauge") for name, metric in sdk.metrics().items()}
    assert {
        "guardrail.decisions": True,
        "guardrail.breaker.state": False,
        "guardrail.queue.wait.count": True,
        "guardrail.queue.wait.quantile": "gauge",
        "guardrail.rules.info": "gauge",
    }.items() <= kinds.items()


# The twin: what is scraped and what is told are the same numbers. Values of labels and attributes stand in the same order.
SAME = {
    "guardrail_decisions": "guardrail.decisions",
    "guardrail_breaker_state": "guardrail.breaker.state",
    "guardrail_breaker_transitions": "guardrail.breaker.transitions",
    "guardrail_breaker_calls": "guardrail.breaker.calls",
    "guardrail_bulkhead_in_use": "guardrail.bulkhead.in_use",
    "guardrail_bulkhead_capacity": "guardrail.bulkhead.capacity",
    "guardrail_queue_wait_seconds": "guardrail.queue.wait",
    "guardrail_call_seconds": "guardrail.call.duration",
    "guardrail_store_seconds": "guardrail.store.duration",
    "guardrail_store_errors": "guardrail.store.errors",
    "guardrail_store_fallback_active": "guardrail.store.fallback_active",
    "guardrail_rules_info": "guardrail.rules.info",
    "guardrail_rules_last_reload_success_timestamp_seconds": "guardrail.rules.last_reload_success_timestamp",
    "guardrail_rules_reload_failures": "guardrail.rules.reload_failures",
}


ALERTS_ONLY = {  # what the alert rules of deploy/ need to see over several workers
    "guardrail_bulkhead_fullest",
    "guardrail_bulkhead_max_concurrent",
    "guardrail_rules_last_reload_successful",
}


def test_prometheus_and_opentelemetry_are_told_the_same_numbers():
    both = [point for point in points(FULL) if point[0].name not in ALERTS_ONLY]
    scraped = {(SAME[metric.name], *labels): value for metric, labels, value in both if value}
    told = {(one.name, *attributes.values()): value for one, attributes, value in readings(FULL) if value}
    del told["guardrail.bulkhead.waiting", "places"]
    assert scraped == told
    assert {one.name for one in INSTRUMENTS} == {*SAME.values(), "guardrail.bulkhead.waiting"}


@pytest.mark.parametrize(
    ("name", "told"),
    [("orders", "orders"), ("Łódź", "Łódź"), ("a\udc80b", "a?b"), ("x" * 500, "x" * 199 + "…")],
)
def test_a_name_can_be_encoded_and_is_not_endless(name, told):
    assert told == written(name)
    assert told == written(name).encode().decode()


# ---- one look for each collection


def test_a_collection_looks_once_at_each_guard(sdk):
    guard = Seen()
    instrument(guard, meter_provider=sdk.provider)
    for looks in (1, 2, 3):
        sdk.metrics()
        assert looks == guard.looks


def test_a_guard_that_nobody_collects_is_not_looked_at(sdk):
    guard = Seen()
    instrument(guard, meter_provider=sdk.provider)
    assert 0 == guard.looks


def test_a_look_serves_each_instrument_once_and_not_for_long():
    hand, guard = ByHand(), Seen()
    hand.reporter.add(guard, {})
    first, second, third, *_ = hand.meter.callbacks.values()
    first(None)
    second(None)
    assert 1 == guard.looks
    second(None)
    assert 2 == guard.looks
    first(None)
    assert 2 == guard.looks
    hand.now += LONGEST_LOOK_S + 0.1
    third(None)
    assert 3 == guard.looks


def test_of_collections_that_take_turns_each_looks_once():
    hand, guard = ByHand(), Seen()
    hand.reporter.add(guard, {})
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for callback in hand.meter.callbacks.values():
            for thread in (one, other):
                thread.submit(callback, None).result()
    assert 2 == guard.looks


def test_a_collection_that_meets_another_is_told_what_was_seen_before_and_waits_for_nobody():
    hand, met = ByHand(), []

    def shown():
        if hand.now > 1000:
            met.append(thread.submit(hand.meter.collect).result(20))
            met.append(hand.meter.collect())
        return FULL

    guard = Seen(shown)
    hand.reporter.add(guard, {})
    before = hand.meter.collect()
    hand.now += 60
    with ThreadPoolExecutor(1) as thread:
        hand.meter.collect()
    assert [before, before] == met


# ---- several guards


def test_several_guards_of_a_provider_are_added_up(sdk):
    one = Seen()
    other = Seen(replace(FULL, reload=replace(FULL.reload, at=2000.0)))
    instrument(one, meter_provider=sdk.provider)
    instrument(other, meter_provider=sdk.provider)
    numbers = sdk.numbers()
    assert {
        ("decisions", "r", "slow", "allow"): 10,
        ("breaker.state", "b", "closed"): 6,
        ("queue.wait.count", "slow"): 6,
        ("queue.wait.quantile", "slow", "0.5"): 0.002048,
        ("rules.info", "b2"): 1,
        ("store.fallback_active", "redis://h:6379/0"): 1,
        ("rules.last_reload_success_timestamp",): 2000.0,
    }.items() <= numbers.items()


def test_attributes_tell_guards_apart(sdk):
    inner, outer = Seen(), Seen(EMPTY)
    instrument(inner, meter_provider=sdk.provider, attributes={"guardrail.guard": "inner"})
    instrument(outer, meter_provider=sdk.provider, attributes={"guardrail.guard": "outer"})
    numbers = sdk.numbers()
    assert [2, 2] == [numbers["rules.reload_failures", side] for side in ("inner", "outer")]
    assert ("decisions", "r", "slow", "allow", "inner") in numbers


def test_a_guard_is_reported_once_to_a_provider_and_may_be_again_when_that_is_closed(sdk):
    guard = Seen()
    first = instrument(guard, meter_provider=sdk.provider)
    with pytest.raises(ValueError, match="reported to this meter provider already: close that first"):
        instrument(guard, meter_provider=sdk.provider)
    first.close()
    first.close()
    instrument(guard, meter_provider=sdk.provider)
    assert 5 == sdk.numbers()["decisions", "r", "slow", "allow"]


def test_one_guard_may_be_reported_to_two_providers(sdk):
    guard = Seen()
    with collecting() as other:
        instrument(guard, meter_provider=sdk.provider)
        instrument(guard, meter_provider=other.provider)
        assert sdk.numbers() == other.numbers()


def test_what_was_closed_is_told_no_more_and_others_are(sdk):
    guard, other = Seen(), Seen(EMPTY)
    with instrument(guard, meter_provider=sdk.provider):
        instrument(other, meter_provider=sdk.provider)
        assert ("decisions", "r", "slow", "allow") in sdk.numbers()
    numbers = sdk.numbers()
    assert ("decisions", "r", "slow", "allow") not in numbers
    assert 1 == numbers["rules.info", "b2"]


def test_a_guard_that_is_gone_is_told_no_more_and_was_not_kept(sdk):
    handle = instrument(Seen(), meter_provider=sdk.provider)
    gc.collect()
    assert {} == sdk.numbers()
    handle.close()


# ---- what is set up, and taken back


def test_metrics_can_be_left_out(sdk):
    guard = Seen()
    handle = instrument(guard, meter_provider=sdk.provider, metrics=False)
    assert {} == sdk.numbers()
    assert 1 == len(guard.listeners)
    handle.close()
    assert [] == guard.listeners


def test_a_real_guard_keeps_nothing_of_what_was_closed(sdk):
    guard = Guard([KEYED], clock=FakeClock())
    for _ in range(3):
        with instrument(guard, meter_provider=sdk.provider):
            assert 1 == len(guard.ledger.listeners)
    assert () == guard.ledger.listeners


def test_a_guard_that_cannot_be_looked_at_takes_no_other_with_it_and_is_reported_once(sdk, caplog):
    broken, other = Seen(lambda: 1 / 0), Seen()
    instrument(broken, meter_provider=sdk.provider)
    instrument(other, meter_provider=sdk.provider)
    assert 5 == sdk.numbers()["decisions", "r", "slow", "allow"]
    assert [("guardrail.otel", "ERROR")] == [(record.name, record.levelname) for record in caplog.records]


# ---- a real guard

KEYED = {"name": "slow", "resource": "r*", "kind": "limit", "rate": "2/min", "key": "user"}


def test_a_real_guard_is_told_as_it_stands(sdk):
    clock = FakeClock(1_700_000_000_000_000)
    guard = Guard(
        [
            KEYED,
            {"name": "b", "resource": "r", "kind": "breaker", "consecutive_failures": 2},
            {"name": "places", "resource": "p", "kind": "bulkhead", "max_concurrent": 3},
        ],
        clock=clock,
        measure_latency=True,
    )
    instrument(guard, meter_provider=sdk.provider)
    for _ in range(5):
        permit = guard.try_enter("r", {"user": "u1"})
        if permit:
            clock.advance(0.001)
            permit.exit(failed=True)
    with guard.enter("p"):
        numbers = sdk.numbers()
    assert {
        ("decisions", "r", "slow", "allow"): 2,
        ("decisions", "r", "b", "refuse"): 3,
        ("breaker.state", "b", "open"): 1,
        ("breaker.state", "b", "closed"): 0,
        ("breaker.transitions", "b", "closed", "open"): 1,
        ("breaker.calls", "b", "failure"): 2,
        ("bulkhead.in_use", "places"): 1,
        ("bulkhead.capacity", "places"): 3,
        ("call.duration.count", "r"): 2,
        ("rules.info", guard.rules.revision): 1,
    }.items() <= numbers.items()


def test_a_hundred_thousand_keys_and_resources_add_no_more_attributes_than_the_bound(sdk):
    guard = Guard([KEYED], clock=FakeClock())
    instrument(guard, meter_provider=sdk.provider)
    for number in range(100_000):
        guard.try_enter(f"r{number % 3_000}", {"user": f"canary{number}"}).exit()
    numbers = sdk.numbers()
    decisions = [name for name in numbers if name[0] == "decisions"]
    assert 1_001 == len(decisions)
    assert ("decisions", OTHER, "slow", "allow") in decisions
    assert not [name for name in numbers if any("canary" in part for part in name)]


class Hanging(MetricExporter):
    """An exporter that waits until it is released, or raises."""

    def __init__(self, error=None):
        super().__init__()
        self.error = error
        self.began, self.released = threading.Event(), threading.Event()

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.began.set()
        if self.error is not None:
            raise self.error
        self.released.wait(60)

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        pass


@pytest.mark.parametrize("error", [None, OSError("no collector")])
def test_an_exporter_that_hangs_or_raises_reaches_no_guarded_call(error, caplog):
    exporter = Hanging(error)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=1)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    guard = Guard([KEYED], clock=FakeClock())
    try:
        instrument(guard, meter_provider=provider)
        assert exporter.began.wait(30)
        admitted = [bool(guard.try_enter("r", {"user": "u1"})) for _ in range(5)]
    finally:
        exporter.released.set()
        provider.shutdown()
    assert [True, True, False, False, False] == admitted


# ---- the API alone


def run(code):
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=untraced(), check=True, capture_output=True, text=True)


ALONE = """
import sys
sys.modules["opentelemetry.sdk"] = None  # as if it were not installed
from guardrail import Guard
from guardrail.telemetry.otel import instrument
guard = Guard([{"resource": "r", "kind": "limit", "rate": "1/min"}])
with instrument(guard):
    print([bool(guard.try_enter("r")) for _ in range(2)])
print([bool(guard.try_enter("r")) for _ in range(2)])
"""


def test_with_the_api_alone_nothing_happens_and_nothing_fails():
    ran = run(ALONE)
    assert ("[True, False]\n[False, False]\n", "") == (ran.stdout, ran.stderr)


LATER = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from guardrail import Guard
from guardrail.telemetry.otel import instrument
rule = {"resource": "r", "kind": "limit", "rate": "1/min"}
early, late, named = Guard([rule]), Guard([rule]), Guard([rule])
instrument(early)
reader = InMemoryMetricReader()
provider = MeterProvider([reader])
metrics.set_meter_provider(provider)
instrument(late)
instrument(named, meter_provider=provider)
for guard in (early, late, named):
    guard.try_enter("r")
[one] = reader.get_metrics_data().resource_metrics
print([
    point.value for metric in one.scope_metrics[0].metrics if metric.name == "guardrail.decisions"
    for point in metric.data.data_points
])
provider.shutdown()
"""


def test_a_global_provider_may_be_set_before_or_after():
    ran = run(LATER)
    assert ("[3]\n", "") == (ran.stdout, ran.stderr)


def test_without_the_api_it_says_what_to_install():
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "try:\n import guardrail.telemetry.otel\n"
        "except ImportError as error:\n print(error)\n print(type(error.__cause__).__name__)"
    )
    expected = (
        'guardrail.telemetry.otel needs the OpenTelemetry API: pip install "guardrail-py[otel]"\nModuleNotFoundError\n'
    )
    assert expected == run(code).stdout
