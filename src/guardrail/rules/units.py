"""Rates and ratios as people write them: `100/s`, `5 per 15 minutes`, `0.5/s`; `50%`, `0.5`.

Law: text is read exactly, as whole amounts and fractions, or refused. What is raised is a ValueError whose text goes
behind the name of what was read: `rate must be an amount per time, such as 100/min, got '100'`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import isfinite

from guardrail.rules.durations import (
    EXPONENT,
    LARGEST,
    LONGEST,
    NUMBER,
    UNITS_US,
    no_unit,
    parse_duration_us,
    show_duration,
    written_out,
)
from guardrail.rules.spelling import shown

__all__ = ["LARGEST", "Rate", "parse_duration_us", "parse_rate", "parse_ratio", "show_duration"]

_RATE = re.compile(rf"(-?(?:{NUMBER}|\.[0-9]+))\s*(?:/|per\b)\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rate:
    """Hold a whole amount per whole microseconds; `0.5/s` is 1 per 2 s.

    Attributes:
        text: As it was written, for messages; two rates are equal by their numbers.
    """

    amount: int
    period_us: int
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        period = show_duration(self.period_us)
        return self.text or f"{self.amount}/{period[1:] if period[0] == '1' and period[1].isalpha() else period}"


def parse_rate(value: object) -> Rate:
    """Read `100/s`, `5 per 15 minutes`, `10/500ms` or `0.5/s`.

    Raises:
        ValueError: It is not an amount per time, the amount is 0 or the numbers leave 2**53.
    """
    if isinstance(value, Rate):
        return value
    if isinstance(value, str):
        return _read_rate(str(value))
    raise ValueError(f"must be an amount per time, such as 100/min, got {shown(value)}")


def parse_ratio(value: object) -> Fraction:
    """Read `50%` or `0.5` as a fraction between 0 and 1.

    Raises:
        ValueError: It is neither, or outside of 0 to 1.
    """
    match value:
        case bool():
            ratio = None
        case int() | Fraction():
            ratio = Fraction(value)
        case float() if isfinite(value):
            ratio = Fraction(repr(value))
        case str() if len(value) <= LONGEST:
            ratio = _read_ratio(value.strip())
        case _:
            ratio = None
    if ratio is None:
        raise ValueError(f"must be a ratio such as 50% or 0.5, got {shown(value)}")
    if 1 < ratio <= 100 and "%" not in str(value):
        raise ValueError(f"must be between 0 and 1, or a percentage, got {shown(value)}; did you mean {value}%?")
    if not 0 <= ratio <= 1:
        raise ValueError(f"must be between 0% and 100%, got {shown(value)}")
    return ratio


@lru_cache(maxsize=1024)  # rules by the thousand share a few
def _read_rate(value: str) -> Rate:
    text = value.strip()
    if "e" in text.partition("/")[0].lower() and (exponent := EXPONENT.match(text)):
        raise ValueError(written_out(text[: exponent.end()], exponent))
    if ";" in text or "," in text:
        raise ValueError(f"must be one rate, got {shown(value)}; write one rule for each")
    found = _RATE.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise ValueError(f"must be an amount per time, such as 100/min, got {shown(value)}")
    amount, period = Fraction(found[1].replace("_", "")), found[2].strip()
    period_us = UNITS_US.get(period) or _period_us(period, text)
    if amount <= 0 or period_us <= 0:
        raise ValueError(f"must be an amount above 0 per time above 0, got {shown(value)}")
    rate = Rate(amount.numerator, period_us * amount.denominator, " ".join(text.split()))
    if max(rate.amount, rate.period_us) > LARGEST:
        raise ValueError(f"must stay below 2^53, counted in whole amounts and microseconds, got {shown(value)}")
    return rate


def _period_us(period: str, text: str) -> int:
    if not period:
        raise ValueError(f"must be an amount per time, such as 100/min, got {shown(text)}")
    if period.isalpha():
        raise ValueError(no_unit(period, text))
    try:
        return parse_duration_us(period)
    except ValueError as wrong:
        raise ValueError(f"must be an amount per time, such as 100/min; the time {wrong}") from None


def _read_ratio(text: str) -> Fraction | None:
    number, sign = (text[:-1].rstrip(), 100) if text.endswith("%") else (text, 1)
    if exponent := EXPONENT.fullmatch(number):
        raise ValueError(written_out(text, exponent, text[len(number) :]))
    if not re.fullmatch(rf"-?(?:{NUMBER}|\.[0-9]+)", number):
        return None
    return Fraction(number.replace("_", "")) / sign
