"""Histograms: no time is lost, and a quantile is never too low and less than a factor of 2 too high."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guardrail.telemetry.histogram import BOUNDS_US, Histogram
from tests.telemetry.crowd import THREADS, together

LAST_US = BOUNDS_US[-1]
TIMES = st.lists(st.one_of(st.integers(0, 40), st.integers(0, LAST_US)), min_size=1, max_size=200)
SHARES = st.one_of(st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]), st.integers(0, 1000).map(lambda n: n / 1000))
EACH = 20_000


def histogram_of(times_us):
    histogram = Histogram()
    for time_us in times_us:
        histogram.add(time_us)
    return histogram


def exact(times_us, share):
    """The least time that this share of all times does not exceed. A share is what is written: 0.07 is 7 of 100."""
    rank = max(1, ceil(Fraction(str(share)) * len(times_us)))
    return sorted(times_us)[rank - 1]


@given(TIMES, SHARES)
@example([1] * 7 + [3] * 93, 0.07)  # 0.07 * 100 is a little more than 7
@example([1] * 55 + [3] * 45, 0.55)
@example([0], 1.0)
@example([LAST_US], 0.5)
def test_a_quantile_is_never_too_low_and_less_than_a_factor_of_2_too_high(times_us, share):
    found_us = round(histogram_of(times_us).view().quantile(share) * 1_000_000)
    right_us = max(1, exact(times_us, share))  # below a microsecond, all times are one
    assert right_us <= found_us < 2 * right_us


def test_past_the_last_bound_that_is_returned():
    histogram = histogram_of([5, LAST_US + 1, 10 * LAST_US])
    assert (1,) == histogram.view().buckets[3:4]
    assert 2 == histogram.view().buckets[-1]
    assert LAST_US / 1_000_000 == histogram.view().quantile(0.95)


def test_a_bound_belongs_to_the_bucket_below_it():
    for place, bound_us in enumerate(BOUNDS_US):
        assert place == histogram_of([bound_us]).view().buckets.index(1)
        assert place + 1 == histogram_of([bound_us + 1]).view().buckets.index(1)


@given(TIMES)
def test_count_and_total_are_exact(times_us):
    view = histogram_of(times_us).view()
    assert (len(times_us), sum(times_us) / 1_000_000) == (view.count, view.total)
    assert len(BOUNDS_US) + 1 == len(view.buckets)
    assert view.count == sum(view.buckets)


def test_a_time_below_0_counts_as_0():
    view = histogram_of([-3_000_000, 0]).view()
    assert (2, 0.0, 2) == (view.count, view.total, view.buckets[0])


def test_of_no_times_there_is_no_quantile():
    assert [None, None, None] == [Histogram().view().quantile(share) for share in (0, 0.5, 1)]


@pytest.mark.parametrize("share", [-0.1, 1.01, 95, float("nan")])
def test_a_share_that_is_none_is_a_mistake(share):
    with pytest.raises(ValueError, match=r"a share must be from 0 to 1, such as 0.95, got"):
        histogram_of([1]).view().quantile(share)


def test_it_begins_at_0_again_when_it_is_cleared():
    histogram = histogram_of([7, 9])
    histogram.clear()
    assert Histogram().view() == histogram.view()


def test_what_was_seen_once_does_not_change():
    histogram = histogram_of([7])
    before = histogram.view()
    histogram.add(9)
    assert (1, 2) == (before.count, histogram.view().count)


def test_threads_that_count_at_once_lose_nothing():
    histogram = Histogram()

    def count(number):
        for _ in range(EACH):
            histogram.add(1 << number)

    together(count)
    view = histogram.view()
    assert [EACH] * THREADS == list(view.buckets[:THREADS])
    assert EACH * (2**THREADS - 1) / 1_000_000 == view.total
