"""Overrides: rates from elsewhere, such as a plan in a database, looked up by key.

Law: a lookup is asked at most once a minute for a key. On an error the last value stays, else the rule's own rate: an
outage of the source never stops a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.admission.keyring import Keyring

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.clock import Clock
    from guardrail.core.limit import Limit

FRESH_FOR_US = 60_000_000
MOST_RATES = 10_000


class Terms(NamedTuple):
    """Hold the numbers a key is limited by, and how a person would write them."""

    limit: Limit[Any]
    text: str


class RateLookup:
    """Remember what a callable says of each key for 60 s."""

    __slots__ = ("_ask", "_clock", "_remembered", "_ring", "_terms_of")

    def __init__(self, ask: Callable[[str], object], terms_of: Callable[[object], Terms], clock: Clock) -> None:
        self._ask = ask
        self._terms_of = terms_of
        self._clock = clock
        self._remembered: dict[str, tuple[int, Terms | None]] = {}
        self._ring = Keyring(MOST_RATES)

    def terms(self, key: str) -> Terms | None:
        """Return the terms for *key*; None: the rule's own. Called without the ledger's lock, because it may be slow."""
        now_us = self._clock.now_us()
        known = self._remembered.get(key)
        if known is not None and 0 <= now_us - known[0] < FRESH_FOR_US:
            return known[1]
        try:
            rate = self._ask(key)
            terms = None if rate is None else self._terms_of(rate)
        except Exception:
            from logging import getLogger  # only an outage needs it

            getLogger("guardrail.overrides").warning("a rate lookup failed; the last known rate stays", exc_info=True)
            terms = known[1] if known else None
        if known is None:
            self._ring.room_for(self._remembered, lambda _: True, self._drop)
            self._ring.add(key, self._remembered)
        self._remembered[key] = (now_us, terms)
        return terms

    def _drop(self, key: str) -> None:
        self._remembered.pop(key, None)
