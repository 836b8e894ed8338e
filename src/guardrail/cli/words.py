"""Times and ratios as people say them.

Law: what is not exact says "about".
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from guardrail.rules.spelling import shown

_MS, _S, _MIN, _H, _D = 1_000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
_PERIODS = {_S: "second", _MIN: "minute", _H: "hour", _D: "day"}


class Row(NamedTuple):
    """Hold one thing to say, and what it is about."""

    about: str
    sentence: str


def lasting(time_us: int | Fraction) -> str:
    """Say how long: `250 ms`, `1 min 30 s`, `about 667 ms`."""
    if time_us < _MS:
        return _short(time_us, 1, "us")
    if time_us < _S:
        return _short(time_us, _MS, "ms")
    if time_us < _MIN:
        return _short(time_us, _S, "s")
    small = _S if time_us < _H else _MIN if time_us < _D else _H
    rounded = round(Fraction(time_us) / small) * small
    parts = []
    rest = rounded
    for unit, unit_us in (("d", _D), ("h", _H), ("min", _MIN), ("s", _S)):
        count, rest = divmod(rest, unit_us)
        if count:
            parts.append(f"{count:,} {unit}")
    return " ".join(parts) if rounded == time_us else f"about {' '.join(parts)}"


def period(time_us: int) -> str:
    """Name a span to go behind `each`: `minute`, `15 min`."""
    return _PERIODS.get(time_us) or lasting(time_us)


def percent(ratio: Fraction) -> str:
    """Say a ratio: `50%`, `about 33.3%`."""
    return _about(f"{float(ratio * 100):.4g}", ratio * 100) + "%"


def number(count: int, what: str) -> str:
    """Say how many: `1 rule`, `1,200 rules`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def plainly(text: str) -> str:
    """Show a value as it is, or where it would not be seen in quotes."""
    return text if text.isprintable() and text.strip() == text != "" else shown(text)


def _short(time_us: int | Fraction, unit_us: int, unit: str) -> str:
    count = Fraction(time_us) / unit_us
    return f"{_about(f'{float(count):.4g}', count)} {unit}"


def _about(text: str, exact: Fraction) -> str:
    return text if Fraction(text) == exact else f"about {text}"
