"""Rates and ratios: every way to write one, exactly or not at all."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.rules.units import LARGEST, Rate, parse_rate, parse_ratio

SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000

RATES = [
    ("100/s", 100, SECOND),
    ("5 per 15 minutes", 5, 15 * MINUTE),
    ("5 per minute", 5, MINUTE),
    ("10/500ms", 10, 500_000),
    ("10 / 500 ms", 10, 500_000),
    ("90_000/h", 90_000, HOUR),
    ("5/minute", 5, MINUTE),
    ("10/2 hours", 10, 2 * HOUR),
    ("1000/day", 1000, 24 * HOUR),
    ("10/PT1M", 10, MINUTE),
    ("10/1m30s", 10, 90 * SECOND),
    ("10/30", 10, 30 * SECOND),
    ("10.0/s", 10, SECOND),
    # the amount is made whole: one token in two seconds, not none in one
    ("0.5/s", 1, 2 * SECOND),
    (".5/s", 1, 2 * SECOND),
    ("2.5/min", 5, 2 * MINUTE),
    ("0.1/s", 1, 10 * SECOND),
    ("33.33/s", 3333, 100 * SECOND),
]

REFUSED_RATES = [
    ("100", "must be an amount per time, such as 100/min, got '100'"),
    ("100/", "must be an amount per time, such as 100/min, got '100/'"),
    ("many/s", "must be an amount per time"),
    ("10 perhour", "must be an amount per time"),
    ("0/s", "must be an amount above 0 per time above 0, got '0/s'"),
    ("0.0/s", "must be an amount above 0"),
    ("-5/s", "must be an amount above 0"),
    ("5/0s", "must be an amount above 0 per time above 0, got '5/0s'"),
    ("5/fortnight", "must have a unit such as ms, s, min, h or d, got 'fortnight' in '5/fortnight'"),
    ("5/minuts", "did you mean 'minutes'?"),
    ("5/10 secnds", "the time must have a unit such as ms, s, min, h or d, got 'secnds' in '10 secnds'"),
    ("5/year", "must not count in months or years"),
    ("100/day;10/s", "must be one rate, got '100/day;10/s'; write one rule for each"),
    ("100/day, 10/s", "must be one rate"),
    ("1e3/s", "must be written out, without an exponent, got 1e3; write 1000"),
    ("1.5e1/s", "got 1.5e1; write 15"),
    ("9007199254740992/s", "must stay below 2^53, counted in whole amounts and microseconds"),
    ("0.0000000000001/s", "must stay below 2^53"),
    ("9" * 500 + "/s", "must be an amount per time"),
    (100, "must be an amount per time, such as 100/min, got 100"),
    (None, "got None"),
    (True, "got True"),
]

RATIOS = [
    ("50%", Fraction(1, 2)),
    ("12.5 %", Fraction(1, 8)),
    ("0.5", Fraction(1, 2)),
    (".5", Fraction(1, 2)),
    (0.1, Fraction(1, 10)),
    (1, Fraction(1)),
    ("1", Fraction(1)),
    ("100%", Fraction(1)),
    (0, Fraction(0)),
    ("0%", Fraction(0)),
    (Fraction(1, 3), Fraction(1, 3)),
]

REFUSED_RATIOS = [
    ("half", "must be a ratio such as 50% or 0.5, got 'half'"),
    (50, "must be between 0 and 1, or a percentage, got 50; did you mean 50%?"),
    ("50", "did you mean 50%?"),
    (500, "must be between 0% and 100%, got 500"),
    ("101%", "must be between 0% and 100%, got '101%'"),
    ("-1%", "must be between 0% and 100%"),
    (-0.5, "must be between 0% and 100%"),
    ("5e-1", "must be written out, without an exponent, got 5e-1"),
    ("5e1%", "got 5e1%; write 50%"),
    ("%", "must be a ratio"),
    (True, "got True"),
    (None, "got None"),
    (float("nan"), "got nan"),
    ("1" * 100, "must be a ratio"),
]


@pytest.mark.parametrize(("written", "amount", "period_us"), RATES, ids=repr)
def test_a_rate_is_a_whole_amount_per_whole_microseconds(written, amount, period_us):
    rate = parse_rate(written)
    assert (amount, period_us) == (rate.amount, rate.period_us)
    assert " ".join(written.split()) == str(rate)


@pytest.mark.parametrize(("written", "message"), REFUSED_RATES, ids=lambda value: repr(value)[:20])
def test_what_is_no_rate_is_refused_with_what_to_write_instead(written, message):
    with pytest.raises(ValueError) as refused:
        parse_rate(written)
    assert message in str(refused.value)


@pytest.mark.parametrize(("written", "ratio"), RATIOS, ids=repr)
def test_a_ratio_is_an_exact_fraction(written, ratio):
    assert ratio == parse_ratio(written)


@pytest.mark.parametrize(("written", "message"), REFUSED_RATIOS, ids=lambda value: repr(value)[:20])
def test_what_is_no_ratio_is_refused_with_what_to_write_instead(written, message):
    with pytest.raises(ValueError) as refused:
        parse_ratio(written)
    assert message in str(refused.value)


def test_a_rate_is_its_own_reading_and_equal_by_its_numbers():
    rate = Rate(60, MINUTE, "60/min")
    assert rate is parse_rate(rate)
    assert Rate(60, MINUTE, "60 per minute") == rate


def test_a_rate_without_text_shows_one():
    assert "60/min" == str(Rate(60, MINUTE))
    assert "5/15min" == str(Rate(5, 15 * MINUTE))
    assert "3/1500ms" == str(Rate(3, 1_500_000))
    assert "3/us" == str(Rate(3, 1))


@given(st.integers(1, LARGEST), st.integers(1, LARGEST))
def test_a_rate_that_is_shown_reads_as_itself(amount, period_us):
    rate = Rate(amount, period_us)
    assert rate == parse_rate(str(rate))


@given(st.one_of(st.text(), st.from_regex(r"[0-9_.e+-]{1,6}(/| per )[0-9.]{0,3} ?[a-z]{0,4}", fullmatch=True)))
def test_any_text_is_a_rate_or_a_ValueError(text):
    try:
        rate = parse_rate(text)
    except ValueError as wrong:
        refused = str(wrong)
        assert refused.startswith("must ")
    else:
        assert rate.amount >= 1
        assert rate.period_us >= 1
