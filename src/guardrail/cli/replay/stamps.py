"""Times as logs write them, in whole microseconds since 1970.

Law: a time without a zone is UTC. What is no time is a ValueError.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from guardrail.rules.durations import parse_duration_us

Stamp = tuple[int, bool]  # the time, and whether it is told in whole seconds only

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}  # noqa: SIM905
_CLF = re.compile(r"\[?(\d{1,2})/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6}))? ?([+-]\d{4}|Z)?\]?")
# how old numbers are told apart by their size: no log is from before 1973 or after 5138
_NUMBER = re.compile(r"(\d{1,20})(?:\.(\d{1,9}))?")
_UNITS_US = {"ns": 1 / 1_000, "us": 1, "ms": 1_000, "s": 1_000_000}


@lru_cache(maxsize=256)
def clf_stamp(text: str) -> Stamp:
    """Read `10/Oct/2000:13:55:36 -0700`, with or without brackets.

    Raises:
        ValueError: It is no such time.
    """
    found = _CLF.fullmatch(text)
    month = _MONTHS.get(found[2]) if found else None
    if found is None or month is None:
        raise ValueError("its time cannot be read")
    day, _, year, hour, minute, second, fraction, zone = found.groups()
    try:
        at = datetime(int(year), month, int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC)
    except ValueError:
        raise ValueError("its time cannot be read") from None
    at_us = (at - _EPOCH) // _US + (int(fraction.ljust(6, "0")) if fraction else 0)
    if zone and zone != "Z":
        east_us = (int(zone[1:3]) * 60 + int(zone[3:])) * 60_000_000
        at_us += -east_us if zone[0] == "+" else east_us
    return at_us, fraction is None


def stamp(value: object) -> Stamp:
    """Read the time in a field: ISO 8601, that of the common log format, or a number since 1970, in s, ms, us or ns.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(value, str):
        if len(value) > 64:
            raise ValueError("its time cannot be read")
        if "T" in value or "-" in value[4:5]:
            return _iso(value)
        if "/" in value:
            return clf_stamp(value)
        return _number(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(str(value) if isinstance(value, int) else f"{value:.6f}")
    raise ValueError("its time cannot be read")


def lasting_us(value: object, unit: str | None) -> int | None:
    """Read how long a call took; None: it does not say.

    Args:
        unit: `s`, `ms`, `us` or `ns`; None: seconds, or the unit that is written behind the number.

    Raises:
        ValueError: It is no duration.
    """
    if value is None:
        return None
    if isinstance(value, str):
        if value in {"", "-"}:
            return None
        try:
            if unit is None:
                return parse_duration_us(value)
            value = float(value)
        except ValueError:
            raise ValueError("its duration cannot be read") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise ValueError("its duration cannot be read")
    return round(value * _UNITS_US[unit or "s"])


def _iso(text: str) -> Stamp:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("its time cannot be read") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return (at - _EPOCH) // _US, "." not in text and "," not in text


def _number(text: str) -> Stamp:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError("its time cannot be read")
    whole, fraction = int(found[1]), found[2] or ""
    if whole >= 10**17:
        return whole // 1_000, False
    if whole >= 10**14:
        return whole, False
    if whole >= 10**11:
        return whole * 1_000 + int(fraction[:3].ljust(3, "0")), False
    return whole * 1_000_000 + int(fraction[:6].ljust(6, "0")), not fraction.strip("0")
