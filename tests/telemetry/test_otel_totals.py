"""What only goes up never goes down, whichever guards come and go; quantiles are of the last minute, whoever collects."""

import gc
from dataclasses import replace

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from guardrail.telemetry.otel import instrument
from guardrail.telemetry.otel.numbers import since
from guardrail.telemetry.otel.totals import MOST_PLACES, RECENT_S
from guardrail.telemetry.snapshot import RuleCounts
from tests.telemetry.told import EMPTY, FULL, RULE, ByHand, Collected, Seen, collecting, times


@pytest.fixture
def sdk():
    with collecting() as collected:
        yield collected


# ---- quantiles


def test_quantiles_are_of_the_last_minute_whoever_collects():
    hand = ByHand()
    guard = Seen(lambda: replace(EMPTY, rules=(replace(RULE, waited=times(*waits)),)))
    hand.reporter.add(guard, {})
    waits = [1_000, 1_000]
    assert [0.001024] * 2 == [hand.median(), hand.median()]
    waits.append(500_000)
    hand.now += 60
    assert [0.524288] * 2 == [hand.median(), hand.median()]
    hand.now += RECENT_S - 1
    assert 0.524288 == hand.median()
    hand.now += 1
    assert hand.median() is None


def test_quantiles_are_of_a_minute_however_often_somebody_collects():
    hand = ByHand()
    guard = Seen(lambda: replace(EMPTY, rules=(replace(RULE, waited=times(*waits)),)))
    hand.reporter.add(guard, {})
    waits, seen = [], []
    for second in range(200):
        waits.append(1_000 if second < 100 else 500_000)
        hand.now += 1
        seen.append(hand.median())
    assert 0.001024 == seen[100 + 25]
    assert {0.524288} == set(seen[100 + 35 :])
    assert len(hand.reporter._totals._views) < 20


def test_where_collections_are_rare_quantiles_are_of_what_came_since_the_one_before():
    hand = ByHand()
    guard = Seen(lambda: replace(EMPTY, rules=(replace(RULE, waited=times(*waits)),)))
    hand.reporter.add(guard, {})
    waits = [1_000, 1_000]
    assert 0.001024 == hand.median()
    hand.now += 600
    waits.append(500_000)
    assert 0.524288 == hand.median()
    hand.now += 600
    assert hand.median() is None


def test_every_reader_of_a_provider_is_told_the_same():
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    provider = MeterProvider(readers, shutdown_on_exit=False)
    guard = Seen()
    try:
        instrument(guard, meter_provider=provider)
        one, other = (Collected(provider, reader).numbers() for reader in readers)
    finally:
        provider.shutdown()
    assert ("queue.wait.quantile", "slow", "0.5") in other
    assert one == other


def test_a_histogram_that_was_begun_anew_is_told_whole():
    assert times(5) == since(times(5), times(5, 7_000))
    assert times(7_000).buckets == since(times(5, 7_000), times(5)).buckets


# ---- what only goes up

ALLOWED = ("decisions", "r", "slow", "allow")


def counted(allowed):
    return replace(EMPTY, counts=(RuleCounts("r", "slow", allowed, 0, 0, 0),))


class Counting(Seen):
    """A guard that has let calls go ahead."""

    def __init__(self, allowed):
        super().__init__(self.look)
        self.allowed = allowed
        self.fails = False

    def look(self):
        if self.fails:
            raise OSError("no look")
        return counted(self.allowed) if self.allowed is not None else EMPTY


@pytest.fixture(params=[AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA], ids=["cumulative", "delta"])
def told(request):
    """How many calls were let in, at each collection: as a total, whichever way it is told."""
    with collecting(request.param) as collected:
        sums = []

        def collect():
            value = collected.numbers().get(ALLOWED, 0)
            is_delta = request.param is AggregationTemporality.DELTA
            sums.append(value + sums[-1] if is_delta and sums else value)
            return sums[-1]

        collect.provider = collected.provider
        yield collect


def test_a_total_stays_when_a_guard_is_gone(told):
    staying, going = Counting(10), Counting(100)
    for guard in (staying, going):
        instrument(guard, meter_provider=told.provider)
    assert 110 == told()
    del guard, going
    gc.collect()
    staying.allowed = 11
    assert 111 == told()


def test_a_total_stays_when_a_guard_is_closed_and_may_go_on_with_it(told):
    staying, going = Counting(10), Counting(100)
    instrument(staying, meter_provider=told.provider)
    with instrument(going, meter_provider=told.provider):
        assert 110 == told()
    assert 110 == told()


def test_a_total_stays_while_a_guard_cannot_be_looked_at(told, caplog):
    one, other = Counting(100), Counting(100)
    instrument(one, meter_provider=told.provider)
    instrument(other, meter_provider=told.provider)
    assert 200 == told()
    one.fails, other.allowed = True, 101
    assert 201 == told()
    one.fails, one.allowed = False, 105
    assert 206 == told()
    assert 1 == len(caplog.records)


def test_a_guard_that_cannot_be_looked_at_is_told_as_it_was_last_seen(sdk, caplog):
    shown = [FULL]
    guard = Seen(shown.pop)
    instrument(guard, meter_provider=sdk.provider)
    assert sdk.numbers() == sdk.numbers()
    assert ["a guard could not be looked at: it is told as it was last seen"] == caplog.messages


def test_what_begins_anew_as_in_a_forked_child_is_added(told):
    guard = Counting(100)
    instrument(guard, meter_provider=told.provider)
    assert 100 == told()
    guard.allowed = 7
    assert 107 == told()


def test_what_comes_back_with_what_it_had_is_not_counted_twice(told):
    guard = Counting(100)
    instrument(guard, meter_provider=told.provider)
    assert 100 == told()
    guard.allowed = None
    told()
    guard.allowed = 101
    assert 101 == told()


def test_a_guard_that_is_closed_and_comes_back_is_not_counted_twice(told):
    staying, returning = Counting(10), Counting(100)
    instrument(staying, meter_provider=told.provider)
    first = instrument(returning, meter_provider=told.provider)
    assert 110 == told()
    first.close()
    assert 110 == told()
    instrument(returning, meter_provider=told.provider)
    first.close()
    returning.allowed = 101
    assert 111 == told()


def test_distributions_of_guards_that_are_gone_stay_in_the_sums(sdk):
    staying, going = Seen(), Seen()
    for guard in (staying, going):
        instrument(guard, meter_provider=sdk.provider)
    assert 6 == sdk.numbers()["queue.wait.count", "slow"]
    del guard, going
    gc.collect()
    numbers = sdk.numbers()
    assert [6, 8.006] == [numbers["queue.wait.count", "slow"], numbers["queue.wait.sum", "slow"]]


def test_levels_of_guards_that_are_gone_are_gone(sdk):
    staying, going = Seen(), Seen()
    for guard in (staying, going):
        instrument(guard, meter_provider=sdk.provider)
    assert 14 == sdk.numbers()["bulkhead.in_use", "places"]
    del guard, going
    gc.collect()
    assert 7 == sdk.numbers()["bulkhead.in_use", "places"]


def test_guards_that_come_and_go_for_ever_are_forgotten():
    hand, staying = ByHand(), Counting(5)
    hand.reporter.add(staying, {})
    for number in range(MOST_PLACES // 1_000 + 2):
        rows = tuple(RuleCounts("r", f"{number}/{row}", 1, 0, 0, 0) for row in range(1_000))
        guard = Seen(replace(EMPTY, counts=rows))
        hand.reporter.add(guard, {})
        hand.meter.collect()
    assert len(hand.reporter._totals._sums) < MOST_PLACES + 2_000
    assert 2 == len(hand.reporter._watched)
    assert 5 == next(one.value for one in hand.meter.collect()["guardrail.decisions"])


def test_in_the_middle_of_a_collection_guards_may_come_and_go(sdk):
    """As a finalizer does it, on the thread that collects."""
    going, coming, handles = Seen(EMPTY), Seen(EMPTY), []

    def shown():
        while handles:
            handles.pop().close()
            instrument(coming, meter_provider=sdk.provider)
        return FULL

    guard = Seen(shown)
    handles.append(instrument(going, meter_provider=sdk.provider))
    instrument(guard, meter_provider=sdk.provider)
    sdk.numbers()
    assert 6 == sdk.numbers()["rules.reload_failures",]
    assert [[], 1] == [going.listeners, len(coming.listeners)]


def test_while_instruments_are_made_other_guards_may_come(sdk):
    """As a finalizer does it, on the thread that makes them."""
    early, late = Counting(100), Counting(10)

    class Interrupted(MeterProvider):
        def get_meter(self, *args, **options):
            instrument(late, meter_provider=self)
            return super().get_meter(*args, **options)

    reader = InMemoryMetricReader()
    provider = Interrupted([reader], shutdown_on_exit=False)
    try:
        instrument(early, meter_provider=provider)
        assert 110 == Collected(provider, reader).numbers()[ALLOWED]
    finally:
        provider.shutdown()


def test_a_provider_that_fails_once_is_asked_again(sdk, monkeypatch):
    def failing(*_, **__):
        raise OSError("no meter")

    guard = Counting(3)
    with monkeypatch.context() as broken:
        broken.setattr(sdk.provider, "get_meter", failing)
        with pytest.raises(OSError, match="no meter"):
            instrument(guard, meter_provider=sdk.provider)
    instrument(guard, meter_provider=sdk.provider)
    assert 3 == sdk.numbers()[ALLOWED]
