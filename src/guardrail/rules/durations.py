"""Durations as people write them: `500ms`, `10s`, `1m30s`, `PT1M`, or a number of seconds.

Law: text is whole microseconds or refused; nothing is rounded but a float that a program passes as seconds. What is
raised is a ValueError whose text goes behind the name of what was read: `max_wait must not be negative, got '-1s'`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache
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

NUMBER = r"[0-9][0-9_]*(?:\.[0-9]+)?"
_ONLY_NUMBER = re.compile(NUMBER)
_LEADING_ZERO = re.compile(r"0[0-9_]+")
EXPONENT = re.compile(r"([0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)[eE]([-+]?[0-9]{1,2})")
_SEXAGESIMAL = re.compile(r"[0-9]{1,9}(?::[0-9]{2}){1,2}")
_PART = re.compile(rf"({NUMBER})\s*([^\W0-9_]+)\s*")
_ISO_NUMBER = r"([0-9]+(?:[.,][0-9]+)?)"
_ISO = re.compile(rf"P(?=.)(?:{_ISO_NUMBER}W)?(?:{_ISO_NUMBER}D)?"
                  rf"(?:T(?=.)(?:{_ISO_NUMBER}H)?(?:{_ISO_NUMBER}M)?(?:{_ISO_NUMBER}S)?)?")  # fmt: skip
LONGEST = 64  # characters; more is no number anybody means


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


def show_duration(duration_us: int) -> str:
    """Write a duration in its largest whole unit, such as `90s` or `2h`."""
    unit = next(unit for unit in ("d", "h", "min", "s", "ms", "us") if duration_us % UNITS_US[unit] == 0)
    return f"{duration_us // UNITS_US[unit]}{unit}"


def written_out(text: str, exponent: re.Match[str], unit: str = "") -> str:
    """Say how to write a number that has an exponent."""
    number = Fraction(exponent[1].replace("_", "")) * Fraction(10) ** int(exponent[2])
    plain = f"; write {number.numerator}{unit}" if number.denominator == 1 and number < 10**18 else ""
    return f"must be written out, without an exponent, got {text}{plain}"


def without_zero(text: str) -> str:
    """Say how to write a number that begins with 0."""
    return f"must not begin with 0 (YAML 1.1 takes that for octal), got {text}; write {text.lstrip('0_') or '0'}"


def no_unit(unit: str, text: str) -> str:
    """Say which units there are."""
    if unit.lower() in _UNEVEN:
        return f"must not count in months or years (they differ in length), got {shown(text)}; write days"
    return f"must have a unit such as ms, s, min, h or d, got '{unit}' in {shown(text)}{did_you_mean(unit, UNITS_US)}"


@lru_cache(maxsize=1024)  # rules by the thousand share a few
def _read_duration(text: str) -> Fraction:
    if len(text) > LONGEST or not text:
        raise ValueError(_no_duration(text))
    if text.startswith("-"):
        raise ValueError(f"must not be negative, got {shown(text)}")
    if _LEADING_ZERO.fullmatch(text):
        raise ValueError(without_zero(text))
    if _ONLY_NUMBER.fullmatch(text):
        return Fraction(text.replace("_", "")) * _S
    if exponent := EXPONENT.fullmatch(text):
        raise ValueError(written_out(text, exponent))
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
            raise ValueError(no_unit(part[2], text))
        if unit_us >= smallest:
            raise ValueError(f"must name each unit once, the largest first, such as 1m30s, got {shown(text)}")
        total, smallest, position = total + Fraction(part[1].replace("_", "")) * unit_us, unit_us, part.end()
    return total


def _clock(text: str) -> str:
    parts = [int(part) for part in text.split(":")]
    return "".join(f"{part}{unit}" for part, unit in zip(parts, ("h", "m", "s")[-len(parts) :], strict=True))


def _no_duration(value: object) -> str:
    return f"must be a duration such as 500ms, 10s, 1m30s or 1h, got {shown(value)}"
