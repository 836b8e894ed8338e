"""Advice: what an answer says of when to come back, read from `Retry-After` and the RateLimit fields in use.

Law: what is malformed or can be read in two ways is no advice, whatever an answer holds; nothing is raised, and the cost is
bounded. `Retry-After` goes before all else (RFC 9110, 10.2.3; draft-ietf-httpapi-ratelimit-headers-10).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

Header = Callable[[str], str | None]  # the value of a header by its name in lower case; None: there is none

LONGEST = 2048  # characters of a field that are read; more is no advice
FOREVER_US = 2**53 - 1
TOO_MANY = 429
UNAVAILABLE = 503

_SECOND_US = 1_000_000
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_QUOTED = r'"(?:[^"\\]|\\["\\])*"'
_WORD = r"[A-Za-z*][\w!#$%&'*+.^`|~:/-]*"
_PARAMETER = re.compile(
    rf";\s*([a-z*][a-z0-9_.*-]*)(?:=({_QUOTED}|:[A-Za-z0-9+/=]*:|\?[01]|-?[0-9]{{1,15}}(?:\.[0-9]{{1,3}})?|{_WORD}))?\s*",
    re.ASCII,
)
_NAME = re.compile(rf"\s*(?:{_QUOTED}|{_WORD})\s*", re.ASCII)
_PAIR = re.compile(r"\s*([a-z]+)\s*=\s*([0-9]{1,15})\s*(?:;[^,]*)?", re.ASCII)
_OLDER = ("ratelimit", "x-ratelimit", "x-rate-limit")


class Advice(NamedTuple):
    """Hold how long to stay away, and the field that says so.

    Attributes:
        wait_us: 0: come back at once.
    """

    wait_us: int
    field: str


def advice(status: int, header: Header, now_us: int, *, rate_fields: bool = True) -> Advice | None:
    """Return what an answer advises, or None.

    Args:
        now_us: What dates in the answer are compared with.
        rate_fields: The RateLimit fields count too, not only `Retry-After`.
    """
    if status in (TOO_MANY, UNAVAILABLE):
        wait_us = retry_after_us(_field(header, "retry-after"), now_us)
        if wait_us is not None:
            return Advice(wait_us, "Retry-After")
    return _rate_advice(status, header, now_us) if rate_fields else None


def retry_after_us(text: str | None, now_us: int) -> int | None:
    """Read seconds or an HTTP date. Of a field that was sent several times, the longest wait counts."""
    if text is None:
        return None
    waits_us = [_seconds_us(part.strip()) for part in text.split(",")]
    known_us = [wait_us for wait_us in waits_us if wait_us is not None]
    return max(known_us) if len(known_us) == len(waits_us) else _until_us(_http_date_us(text), now_us)


def rate_limit_us(text: str) -> int | None:
    """Read `RateLimit`: the longest time of those quotas that are used up (`r=0;t=..`); None where there is none.

    Also reads the dictionary of draft -07: `limit=100, remaining=0, reset=50`.
    """
    pairs = [_PAIR.fullmatch(part) for part in text.split(",")]
    if all(pairs):
        numbers = {pair[1]: int(pair[2]) for pair in pairs if pair}
        return numbers["reset"] * _SECOND_US if numbers.get("remaining") == 0 and "reset" in numbers else None
    waits_us = [_seconds_us(item.get("t") or "") for item in _items(text) if _is_zero(item.get("r"))]
    return max((wait_us for wait_us in waits_us if wait_us is not None), default=None)


def _rate_advice(status: int, header: Header, now_us: int) -> Advice | None:
    text = _field(header, "ratelimit")
    wait_us = None if text is None else rate_limit_us(text)
    if wait_us is not None:
        return Advice(wait_us, "RateLimit")
    for name in _OLDER:
        reset = _field(header, f"{name}-reset")
        if reset is None:
            continue
        remaining = _field(header, f"{name}-remaining")
        used_up = _is_zero(remaining) or (remaining is None and status == TOO_MANY)
        wait_us = _reset_us(reset.strip(), now_us) if used_up else None
        if wait_us is not None:
            return Advice(wait_us, "RateLimit-Reset" if name == "ratelimit" else "X-RateLimit-Reset")
    return None


def _field(header: Header, name: str) -> str | None:
    text = header(name)
    return text if text is not None and len(text) <= LONGEST else None


def _is_zero(text: str | None) -> bool:
    return text is not None and text.strip().strip("0") == "" and text.strip() != ""


def _items(text: str) -> list[dict[str, str]]:
    """Return the parameters of each item of a structured list (RFC 9651); nothing of a list that is malformed."""
    items, position = [], 0
    while True:
        name = _NAME.match(text, position)
        if name is None:
            return []
        position, parameters = name.end(), {}
        while (parameter := _PARAMETER.match(text, position)) is not None:
            position = parameter.end()
            parameters[parameter[1]] = parameter[2] or ""
        items.append(parameters)
        if position == len(text):
            return items
        if text[position] != ",":
            return []
        position += 1


def _seconds_us(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    whole, _, rest = text.partition(".")
    return FOREVER_US if len(whole) > 15 else int(whole) * _SECOND_US + int(f"{rest:0<6}"[:6])


def _reset_us(text: str, now_us: int) -> int | None:
    """Read a reset that vendors write as seconds from now, as seconds or milliseconds since 1970, or as a date.

    No quota resets in three years, and no clock shows a day before 2001: the size of a number tells what it is.
    """
    number_us = _seconds_us(text)
    if number_us is None:
        date_us = _http_date_us(text)
        return _until_us(_iso_date_us(text) if date_us is None else date_us, now_us)
    seconds = number_us // _SECOND_US
    if seconds < 10**8:
        return number_us
    if 10**9 <= seconds < 10**11:
        return _until_us(number_us, now_us)
    if 10**12 <= seconds < 10**14:
        return _until_us(number_us // 1000, now_us)
    return None


def _until_us(date_us: int | None, now_us: int) -> int | None:
    return None if date_us is None else max(0, date_us - now_us)


def _http_date_us(text: str) -> int | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return _stamp_us(date if date.tzinfo is not None else date.replace(tzinfo=UTC))


def _iso_date_us(text: str) -> int | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if date.tzinfo is None else _stamp_us(date)


def _stamp_us(date: datetime) -> int:
    return int(date.timestamp() * _SECOND_US)
