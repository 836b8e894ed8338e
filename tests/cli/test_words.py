"""Times, ratios and values as people say them."""

from fractions import Fraction

import pytest

from guardrail.cli.words import lasting, number, percent, period, plainly

MS, S, MIN, H, D = 1_000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000

#   microseconds        in words
TIMES = [
    (1, "1 us"),
    (Fraction(1, 10), "0.1 us"),
    (999, "999 us"),
    (250 * MS, "250 ms"),
    (1_500, "1.5 ms"),
    (666_667, "about 666.7 ms"),
    (999_999, "about 1000 ms"),
    (1_500 * MS, "1.5 s"),
    (59_999_999, "about 60 s"),
    (MIN, "1 min"),
    (90 * S, "1 min 30 s"),
    (90 * S + 1, "about 1 min 30 s"),
    (H, "1 h"),
    (2 * H + 24 * MIN, "2 h 24 min"),
    (2 * H + 24 * MIN + 10 * S, "about 2 h 24 min"),
    (D, "1 d"),
    (1_000 * D + 5 * H, "1,000 d 5 h"),
]


@pytest.mark.parametrize(("time_us", "words"), TIMES)
def test_times(time_us, words):
    assert words == lasting(time_us)


def test_spans_that_have_a_name_are_called_by_it():
    assert ["second", "minute", "hour", "day", "15 min"] == [period(us) for us in (S, MIN, H, D, 15 * MIN)]


def test_ratios():
    assert ["50%", "100%", "0.5%", "about 33.33%"] == [
        percent(ratio) for ratio in (Fraction(1, 2), Fraction(1), Fraction(1, 200), Fraction(1, 3))
    ]


def test_counts():
    assert ["0 rules", "1 rule", "1,200 rules"] == [number(count, "rule") for count in (0, 1, 1_200)]


def test_values_that_would_not_be_seen_are_quoted():
    assert ["free", "''", "' a'", "'a\\x1b[1m'"] == [plainly(text) for text in ("free", "", " a", "a\x1b[1m")]
