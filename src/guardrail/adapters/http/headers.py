"""The headers of answers: what is left of a client's limits, and when to come back.

Law: whatever a rule is called, a header is ASCII without control characters; RateLimit and RateLimit-Policy are lists of
structured fields (RFC 9651) as in draft-ietf-httpapi-ratelimit-headers-10. Only limits with a key are shown: the others
are nobody's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING
from urllib.parse import quote

from guardrail.admission.gate import Standing

if TYPE_CHECKING:
    from guardrail.core.verdict import Decision

Fields = list[tuple[str, str]]
RawFields = list[tuple[bytes, bytes]]

LARGEST = 999_999_999_999_999  # a structured field's integer has at most 15 digits
_REMEMBERED = 1_024
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F))


@dataclass(frozen=True, slots=True)
class _Texts:
    """Hold what does not change from answer to answer."""

    left: str
    policy: str
    raw_left: bytes
    raw_policy: tuple[bytes, bytes]

    def standing(self, remaining: int, reset_after_us: int) -> str:
        """Return the item that says what is left."""
        seconds = -(-reset_after_us // 1_000_000)
        if remaining > LARGEST or seconds > LARGEST:
            remaining, seconds = _count(remaining), _count(seconds)
        return f"{self.left}{remaining};t={seconds}"


class HeaderStyle:
    """Write the headers in one style: `ietf-10`, `legacy`, `both` or `off`.

    Attributes:
        shows: There is something to write.
        repeats: What it writes may stand in an answer twice: lists of structured fields add up.
    """

    __slots__ = ("_ietf", "_legacy", "_texts", "repeats", "shows")

    def __init__(self, style: str) -> None:
        self._ietf = style in ("ietf-10", "both")
        self._legacy = style in ("legacy", "both")
        self.shows = self._ietf or self._legacy
        self.repeats = not self._legacy
        self._texts: dict[tuple[str, int, int], _Texts] = {}

    def fields(self, standings: Sequence[Standing], now_us: Callable[[], int]) -> Fields:
        """Return the headers that show these limits, on any answer, allowed or refused.

        Args:
            now_us: Tells the time of the epoch, for those who want it.
        """
        fields: Fields = []
        if self._ietf and standings:
            left, policies = self._shown(standings)
            fields = [("RateLimit", left), ("RateLimit-Policy", policies)]
        if self._legacy and standings:
            fields += _legacy(min(standings, key=_left), now_us())
        return fields

    def raw_fields(self, standings: Sequence[Standing], now_us: Callable[[], int]) -> RawFields:
        """Return what `fields` returns, as ASGI has it."""
        if self._legacy or len(standings) != 1:
            return raw(self.fields(standings, now_us))
        rule, limit, remaining, reset_after_us, refill_us = standings[0]
        texts = self._texts.get((rule, limit, refill_us)) or self._remember((rule, limit, refill_us))
        if remaining > LARGEST or reset_after_us > LARGEST:
            return raw(self.fields(standings, now_us))
        left = b"%b%d;t=%d" % (texts.raw_left, remaining, -(-reset_after_us // 1_000_000))
        return [(b"ratelimit", left), texts.raw_policy]

    def _shown(self, standings: Sequence[Standing]) -> tuple[str, str]:
        """Return the items of both lists."""
        left, policies = [], []
        for rule, limit, remaining, reset_after_us, refill_us in standings:
            texts = self._texts.get((rule, limit, refill_us)) or self._remember((rule, limit, refill_us))
            left.append(texts.standing(remaining, reset_after_us))
            policies.append(texts.policy)
        return ", ".join(left), ", ".join(policies)

    def _remember(self, same: tuple[str, int, int]) -> _Texts:
        rule, limit, refill_us = same
        name = sf_string(rule)
        window = f";w={_seconds(refill_us)}" if refill_us >= 1_000_000 else ""
        policy = f"{name};q={_count(limit)}{window}"
        if len(self._texts) >= _REMEMBERED:
            self._texts.clear()
        left = f"{name};r="
        self._texts[same] = texts = _Texts(left, policy, left.encode(), (b"ratelimit-policy", policy.encode()))
        return texts


def standings_in(decision: Decision) -> list[Standing]:
    """Return what a decision says of each limit with a key."""
    return [
        Standing(one.rule, one.limit, one.remaining, _us(one.reset_after), _us(one.refill))
        for one in decision.verdicts
        if one.keyed and one.kind == "limit" and not one.shadow and one.limit is not None and one.remaining is not None
    ]


def retry_after(seconds: float | None) -> Fields:
    """Return when to come back, in whole seconds; nothing where no time can be named."""
    return [] if seconds is None else [("Retry-After", str(min(max(0, ceil(seconds)), LARGEST)))]


def sf_string(text: str) -> str:
    """Return *text* as a string of structured fields. What such a string cannot hold is percent-encoded as UTF-8."""
    text = quote(text, safe=_PRINTABLE, errors="replace")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def raw(fields: Fields) -> RawFields:
    """Return headers as ASGI has them."""
    return [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in fields]


def _legacy(standing: Standing, now_us: int) -> Fields:
    reset = -(-(now_us + standing.reset_after_us) // 1_000_000)  # a time of the epoch, as most vendors have it
    return [
        ("X-RateLimit-Limit", str(standing.limit)),
        ("X-RateLimit-Remaining", str(standing.remaining)),
        ("X-RateLimit-Reset", str(reset)),
    ]


def _left(standing: Standing) -> int:
    return standing.remaining


def _count(number: int) -> int:
    return min(number, LARGEST)


def _seconds(time_us: int) -> int:
    return _count(-(-time_us // 1_000_000))


def _us(seconds: float | None) -> int:
    return 0 if seconds is None else round(seconds * 1_000_000)
