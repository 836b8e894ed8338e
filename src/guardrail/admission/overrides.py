"""Overrides: rates from elsewhere, such as a plan in a database, looked up by key.

Law: a lookup is asked at most once a minute for a key. On an error the last value stays, else the rule's own rate: an
outage of the source never stops a call, and a change of the rules forgets no rate.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.clock import Clock
    from guardrail.core.limit import Limit
    from guardrail.rules.model import LimitRule

FRESH_FOR_US = 60_000_000
MOST_RATES = 10_000


class Terms(NamedTuple):
    """Hold the numbers a key is limited by, and how a person would write them."""

    limit: Limit[Any]
    text: str


class Known(NamedTuple):
    """Remember what was said of one key, when, and what it means for a rule; no terms: the rule's own."""

    asked_us: int
    rate: object
    rule: LimitRule
    terms: Terms | None


class RateLookup:
    """Remember what a callable says of each key for 60 s."""

    __slots__ = ("_ask", "_clock", "_known", "_rule")

    def __init__(self, ask: Callable[[Any], object], rule: LimitRule, clock: Clock) -> None:
        self._ask = ask
        self._rule = rule
        self._clock = clock
        self._known: OrderedDict[str, Known] = OrderedDict()

    def follow(self, rule: LimitRule) -> None:
        """Go on with a rule that may have changed. The rates stay; what they mean is worked out anew."""
        if rule != self._rule:
            self._rule = rule

    def terms(self, key: str, value: Callable[[], object]) -> Terms | None:
        """Return the terms for *key*; None: the rule's own. Called without the ledger's lock, because it may be slow.

        Args:
            value: Returns the key as the callable knows it: one text, or a tuple of them for a composite key.
        """
        now_us, rule = self._clock.now_us(), self._rule
        known = self._known.get(key)
        is_fresh = known is not None and 0 <= now_us - known.asked_us < FRESH_FOR_US
        if known is None or not is_fresh or known.rule is not rule:
            known = self._find(value, known, is_fresh=is_fresh, now_us=now_us, rule=rule)
            self._known[key] = known
            if len(self._known) > MOST_RATES:
                self._known.popitem(last=False)
        return known.terms

    def _find(
        self, value: Callable[[], object], known: Known | None, *, is_fresh: bool, now_us: int, rule: LimitRule
    ) -> Known:
        """Ask where there is nothing fresh, and work out what the answer means."""
        last = None if known is None else known.rate
        asked_us = known.asked_us if known is not None and is_fresh else now_us
        try:
            rate = last if is_fresh else self._ask(value())
            return Known(asked_us, rate, rule, terms_of(rule, rate))
        except Exception:
            from logging import getLogger  # only an outage needs it

            getLogger("guardrail.overrides").warning("a rate lookup failed; the last known rate stays", exc_info=True)
        try:
            return Known(asked_us, last, rule, terms_of(rule, last))
        except ValueError:  # the rule has changed, and the last known rate does not fit it
            return Known(asked_us, last, rule, None)


def terms_of(rule: LimitRule, rate: object) -> Terms | None:
    """Return what a rate means for a rule.

    Raises:
        ValueError: It is no rate, or the rule cannot be built with it.
    """
    if rate is None:
        return None
    from guardrail.rules.units import Rate, parse_rate

    parsed = rate if isinstance(rate, Rate) else parse_rate(str(rate))
    return Terms(rule.limit(parsed), parsed.text)
