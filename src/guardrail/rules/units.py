"""Durations, rates and ratios as people write them.

Law: text is read exactly (whole microseconds, whole amounts, fractions) or refused; nothing is rounded but a float that
a program passes as seconds. What is raised is a ValueError whose text goes behind the name of what was read: `rate must
be an amount per time such as 100/min, got '100'`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from math import isfinite

from guardrail.rules.spelling import did_you_mean, shown

LARGEST = 2**53 - 1  # what Lua and JSON still tell apart

_US, _MS, _S = 1, 1_000, 1_000_000
_MIN, _H, _D, _W = 60 * _S, 3_600 * _S, 86_400 * _S, 604_800 * _S
UNITS_US: dict[str, int] = {
    **dict.fromkeys(("us", "\N{MICRO SIGN}s", "\N{GREEK SMALL LETTER MU}s", "microsecond", "microseconds"), _US),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), _MS),
    **dict.fromkeys(("s", "sec", "second", "seconds"), _S),
    **dict.fromkeys(("m", "min", "minute", "minutes"), _MIN),
    **dict.fromkeys(("h", "hr", "hour", "hours"), _H),
    **dict.fromkeys(("d", "day", "days"), _D),
    **dict.fromkeys(("w", "week", "weeks"), _W),
}
_UNEVEN = frozenset({"mo", "month", "months", "y", "year", "years"})

_NUMBER = r"[0-9][0-9_]*(?:\.[0-9]+)?"
_ONLY_NUMBER = re.compile(_NUMBER)
_LEADING_ZERO = re.compile(r"0[0-9_]+")
_EXPONENT = re.compile(r"([0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)[eE]([-+]?[0-9]{1,2})")
_SEXAGESIMAL = re.compile(r"[0-9]{1,9}(?::[0-9]{2}){1,2}")
_PART = re.compile(rf"({_NUMBER})\s*([^\W0-9_]+)\s*")
_ISO_NUMBER = r"([0-9]+(?:[.,][0-9]+)?)"
_ISO = re.compile(rf"P(?=.)(?:{_ISO_NUMBER}W)?(?:{_ISO_NUMBER}D)?"
                  rf"(?:T(?=.)(?:{_ISO_NUMBER}H)?(?:{_ISO_NUMBER}M)?(?:{_ISO_NUMBER}S)?)?")  # fmt: skip
_RATE = re.compile(rf"(-?(?:{_NUMBER}|\.[0-9]+))\s*(?:/|per\b)\s*(.*)", re.DOTALL)
_LONGEST = 64


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
        return self.text or f"{self.amount}/{show_duration(self.period_us)}"


def parse_duration_us(value: object) -> int:
    """Read `500ms`, `10s`, `1m30s`, `PT1M`, a timedelta or a number of seconds as whole microseconds.

    A float is seconds to the nearest microsecond; text is exact.

    Raises:
        ValueError: It is none of these, negative, finer than a microsecond or 2**53 us and longer.
    """
    match value:
        case bool():
            raise ValueError(_no_duration(value))
        case timedelta():
            duration_us: int | Fraction = value // timedelta(microseconds=1)
        case int():
            duration_us = value * _S
        case float() if isfinite(value):
            duration_us = round(Fraction(repr(value)) * _S)
        case str():
            duration_us = _read_duration(value.strip())
        case _:
            raise ValueError(_no_duration(value))
    if duration_us < 0:
        raise ValueError(f"must not be negative, got {shown(value)}")
    if duration_us > LARGEST:
        raise ValueError(f"must be below 2^53 microseconds (about 285 years), got {shown(value)}")
    if isinstance(duration_us, Fraction) and duration_us.denominator != 1:
        raise ValueError(f"must be whole microseconds, got {shown(value)}")
    return int(duration_us)


def parse_rate(value: object) -> Rate:
    """Read `100/s`, `5 per 15 minutes`, `10/500ms` or `0.5/s`.

    Raises:
        ValueError: It is not an amount per time, the amount is 0 or the numbers leave 2**53.
    """
    if isinstance(value, Rate):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if "e" in text.partition("/")[0].lower() and (exponent := _EXPONENT.match(text)):
        raise ValueError(_written_out(text[: exponent.end()], exponent))
    if ";" in text or "," in text:
        raise ValueError(f"must be one rate, got {shown(value)}; write one rule for each")
    found = _RATE.fullmatch(text) if len(text) <= _LONGEST else None
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
        case str() if len(value) <= _LONGEST:
            ratio = _read_ratio(value.strip())
        case _:
            ratio = None
    if ratio is None:
        raise ValueError(f"must be a ratio such as 50% or 0.5, got {shown(value)}")
    if ratio > 1 and "%" not in str(value):
        raise ValueError(f"must be between 0 and 1, or a percentage, got {shown(value)}; did you mean {value}%?")
    if not 0 <= ratio <= 1:
        raise ValueError(f"must be between 0% and 100%, got {shown(value)}")
    return ratio


def show_duration(duration_us: int) -> str:
    """Write a duration in its largest whole unit, such as `90s` or `2h`."""
    unit = next(unit for unit in ("d", "h", "min", "s", "ms", "us") if duration_us % UNITS_US[unit] == 0)
    count = duration_us // UNITS_US[unit]
    return f"{count}{unit}"


def _read_duration(text: str) -> Fraction:
    if len(text) > _LONGEST or not text:
        raise ValueError(_no_duration(text))
    if text.startswith("-"):
        raise ValueError(f"must not be negative, got {shown(text)}")
    if _LEADING_ZERO.fullmatch(text):
        plain = text.lstrip("0_") or "0"
        raise ValueError(f"must not begin with 0 (YAML 1.1 takes that for octal), got {text}; write {plain}")
    if _ONLY_NUMBER.fullmatch(text):
        return Fraction(text.replace("_", "")) * _S
    if exponent := _EXPONENT.fullmatch(text):
        raise ValueError(_written_out(text, exponent))
    if _SEXAGESIMAL.fullmatch(text):
        raise ValueError(f"must be a duration, got {text} (YAML 1.1 takes that for base 60); write {_clock(text)}")
    if found := _ISO.fullmatch(text):
        units = (_W, _D, _H, _MIN, _S)
        counts = (Fraction(count.replace(",", ".")) for count in found.groups("0"))
        return sum((count * unit for count, unit in zip(counts, units, strict=True)), Fraction(0))
    return _read_parts(text)


def _read_parts(text: str) -> Fraction:
    total, smallest, position = Fraction(0), LARGEST, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            raise ValueError(_no_duration(text))
        unit_us = UNITS_US.get(part[2])
        if unit_us is None:
            raise ValueError(_no_unit(part[2], text))
        if unit_us >= smallest:
            raise ValueError(f"must name each unit once, the largest first, such as 1m30s, got {shown(text)}")
        total, smallest, position = total + Fraction(part[1].replace("_", "")) * unit_us, unit_us, part.end()
    return total


def _period_us(period: str, text: str) -> int:
    if not period:
        raise ValueError(f"must be an amount per time, such as 100/min, got {shown(text)}")
    if period.isalpha():
        raise ValueError(_no_unit(period, text))
    try:
        return parse_duration_us(period)
    except ValueError as wrong:
        raise ValueError(f"must be an amount per time, such as 100/min; the time {wrong}") from None


def _read_ratio(text: str) -> Fraction | None:
    number, sign = (text[:-1].rstrip(), 100) if text.endswith("%") else (text, 1)
    if exponent := _EXPONENT.fullmatch(number):
        raise ValueError(_written_out(text, exponent, text[len(number) :]))
    if not re.fullmatch(rf"-?(?:{_NUMBER}|\.[0-9]+)", number):
        return None
    return Fraction(number.replace("_", "")) / sign


def _no_duration(value: object) -> str:
    return f"must be a duration such as 500ms, 10s, 1m30s or 1h, got {shown(value)}"


def _no_unit(unit: str, text: str) -> str:
    if unit.lower() in _UNEVEN:
        return f"must not count in months or years (they differ in length), got {shown(text)}; write days"
    return f"must have a unit such as ms, s, min, h or d, got '{unit}' in {shown(text)}{did_you_mean(unit, UNITS_US)}"


def _written_out(text: str, exponent: re.Match[str], unit: str = "") -> str:
    number = Fraction(exponent[1].replace("_", "")) * Fraction(10) ** int(exponent[2])
    plain = f"; write {number.numerator}{unit}" if number.denominator == 1 and number < 10**18 else ""
    return f"must be written out, without an exponent, got {text}{plain}"


def _clock(text: str) -> str:
    parts = [int(part) for part in text.split(":")]
    return "".join(f"{part}{unit}" for part, unit in zip(parts, ("h", "m", "s")[-len(parts) :], strict=True))
