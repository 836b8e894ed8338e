"""Durations: every way to write one, exactly or not at all."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.rules.durations import LARGEST, UNITS_US, parse_duration_us, show_duration

WRITTEN = [
    ("500ms", 500_000),
    ("10s", 10_000_000),
    ("1m30s", 90_000_000),
    ("1m 30s", 90_000_000),
    ("1 h 5 min", 3_900_000_000),
    ("1h05m", 3_900_000_000),
    ("1h", 3_600_000_000),
    ("1d", 86_400_000_000),
    ("2 weeks", 1_209_600_000_000),
    ("7us", 7),
    ("7\N{MICRO SIGN}s", 7),
    ("7\N{GREEK SMALL LETTER MU}s", 7),
    ("1.5s", 1_500_000),
    ("0.000001s", 1),
    ("1_000ms", 1_000_000),
    ("PT1M", 60_000_000),
    ("P1DT2H", 93_600_000_000),
    ("P2W", 1_209_600_000_000),
    ("PT0.5S", 500_000),
    ("PT0,5S", 500_000),
    ("10", 10_000_000),
    ("0.25", 250_000),
    (" 10s ", 10_000_000),
    ("0", 0),
    (10, 10_000_000),
    (0, 0),
    (0.5, 500_000),
    (0.1 + 0.2, 300_000),
    (1e-7, 0),
    (timedelta(minutes=1, microseconds=3), 60_000_003),
]

REFUSED = [
    ("soon", "must be a duration such as 500ms, 10s, 1m30s or 1h, got 'soon'"),
    ("", "must be a duration such as 500ms, 10s, 1m30s or 1h, got ''"),
    ("P", "must be a duration"),
    ("PT", "must be a duration"),
    ("P1M", "must be a duration"),
    ("1x", "must have a unit such as ms, s, min, h or d, got 'x' in '1x'"),
    ("10 secnds", "did you mean 'seconds'?"),
    ("10S", "did you mean 's'?"),
    ("1y", "must not count in months or years (they differ in length), got '1y'; write days"),
    ("1m1m", "must name each unit once, the largest first, such as 1m30s, got '1m1m'"),
    ("30s1m", "must name each unit once, the largest first"),
    ("10s!", "must be a duration"),
    ("0.1us", "must be whole microseconds, got '0.1us'"),
    ("-5s", "must not be negative, got '-5s'"),
    (-5, "must not be negative, got -5"),
    (timedelta(seconds=-1), "must not be negative"),
    ("010", "must not begin with 0 (YAML 1.1 takes that for octal), got 010; write 10"),
    ("00", "got 00; write 0"),
    ("1e3", "must be written out, without an exponent, got 1e3; write 1000"),
    ("1e-3", "must be written out, without an exponent, got 1e-3"),
    ("1:30", "must be a duration, got 1:30 (YAML 1.1 takes that for base 60); write 1m30s"),
    ("1:30:00", "write 1h30m0s"),
    ("300000d", "must be below 2^53 microseconds (about 285 years), got '300000d'"),
    (10**4000, "must be below 2^53 microseconds (about 285 years), got a huge number"),
    ("9" * 5_000, "must be a duration"),
    ("\N{ARABIC-INDIC DIGIT THREE}s", "must be a duration"),
    (True, "must be a duration such as 500ms, 10s, 1m30s or 1h, got True"),
    (float("inf"), "got inf"),
    (float("nan"), "got nan"),
    (None, "got None"),
    (["1s"], "got a list"),
]


@pytest.mark.parametrize(("written", "duration_us"), WRITTEN, ids=repr)
def test_a_duration_is_read_as_whole_microseconds(written, duration_us):
    assert duration_us == parse_duration_us(written)


@pytest.mark.parametrize(("written", "message"), REFUSED, ids=lambda value: repr(value)[:20])
def test_what_is_no_duration_is_refused_with_what_to_write_instead(written, message):
    with pytest.raises(ValueError) as refused:
        parse_duration_us(written)
    assert message in str(refused.value)


@given(st.integers(0, LARGEST))
def test_a_duration_that_is_shown_reads_as_itself(duration_us):
    assert duration_us == parse_duration_us(show_duration(duration_us))


@given(st.decimals(0, 1000, places=6), st.sampled_from(sorted(UNITS_US)))
def test_text_is_read_exactly_or_refused(number, unit):
    exact = Fraction(number) * UNITS_US[unit]
    try:
        assert exact == parse_duration_us(f"{number:f}{unit}")
    except ValueError:
        assert exact.denominator != 1


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.binary()))
def test_nothing_but_a_ValueError_is_ever_raised(value):
    try:
        found = parse_duration_us(value)
    except ValueError as wrong:
        refused = str(wrong)
        assert refused.startswith("must ")
    else:
        assert 0 <= found <= LARGEST
