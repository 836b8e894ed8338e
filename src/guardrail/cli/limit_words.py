"""What a limit means, in words.

Law: every number said here is the least bound that the limit keeps; tests hold them against core.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, assert_never

from guardrail.cli.words import Row, lasting, number, period
from guardrail.core.limit import ceil_div
from guardrail.rules.spelling import shown

if TYPE_CHECKING:
    from guardrail.cli.explanation import Asked
    from guardrail.rules.model import LimitRule
    from guardrail.rules.units import Rate

_MINUTE_US = 60_000_000
_BUCKETS = ("token_bucket", "leaky_bucket")
_SUB_WINDOWS = 10  # of a sliding window


class Terms(NamedTuple):
    """Hold the numbers that one key is limited by."""

    rate: Rate
    capacity: int
    own: bool  # the key has an override

    @classmethod
    def of(cls, rule: LimitRule, key: str) -> Terms:
        """Find the numbers for *key*."""
        override = rule.overrides.get(key)
        rate = override or rule.rate
        return cls(rate, rule.limit(rate if override else None).capacity, override is not None)

    def most_within(self, span_us: int) -> int:
        """Return the most that a bucket lets through in a span that begins with a full one."""
        return self.capacity + span_us * self.rate.amount // self.rate.period_us


def places(rate: Rate, max_wait_us: int, cost: int) -> int:
    """Return how many calls can wait at a time; the first of them may wait for the last bit of a token."""
    return ceil_div(max_wait_us * rate.amount, rate.period_us * cost)


def limit_rows(rule: LimitRule, asked: Asked) -> Iterator[Row]:
    """Say what a limit does with this call and others under its key."""
    terms = Terms.of(rule, asked.key)
    own = f" ({shown(asked.key)} has a rate of its own)" if terms.own else ""
    yield Row("rate", f"{terms.rate}{own}, {rule.algorithm}: {_rate(rule, terms)}")
    if rule.algorithm in _BUCKETS:
        yield Row("refill", _refill(terms))
    yield Row("cost", _cost(rule, terms, asked))
    yield Row("queue", _queue(rule, terms, asked.cost))
    if rule.charge == "failure":
        yield Row("charge", "taken on entry, and given back unless the call fails")
    yield Row("counted", _counted(rule))


def limit_numbers(rule: LimitRule, asked: Asked) -> dict[str, Any]:
    """Return the same for programs: what does not apply to the algorithm is None."""
    terms = Terms.of(rule, asked.key)
    bucket = rule.algorithm in _BUCKETS
    return {
        "algorithm": rule.algorithm,
        "rate": str(terms.rate),
        "overridden": terms.own,
        "at_once": terms.capacity,
        "first_minute": terms.most_within(_MINUTE_US) if bucket else None,
        "each_later_minute": _MINUTE_US * terms.rate.amount / terms.rate.period_us if bucket else None,
        "max_wait": rule.max_wait_us / 1_000_000,
        "cost": asked.cost,
        "never_admitted": asked.cost > terms.capacity,
    }


def _rate(rule: LimitRule, terms: Terms) -> str:
    amount, span = terms.rate.amount, period(terms.rate.period_us)
    match rule.algorithm:
        case "token_bucket" | "leaky_bucket":
            return _bucket(terms)
        case "sliding_window":
            late = lasting(ceil_div(terms.rate.period_us, _SUB_WINDOWS))
            return f"never more than {amount:,} in any {span}, wherever it begins; room comes back up to {late} late"
        case "fixed_window":
            return f"{amount:,} in each {span} of the clock, and so up to {2 * amount:,} around the edge of two"
        case "sliding_log":
            return f"never more than {amount:,} in any {span}, wherever it begins, to the microsecond"
        case _:
            assert_never(rule.algorithm)


def _bucket(terms: Terms) -> str:
    rate = terms.rate
    spans = {rate.period_us: period(rate.period_us), _MINUTE_US: "minute"}
    said = [f"at most {terms.capacity:,} at once"]
    for span_us in sorted(spans):
        said.append(f"{terms.most_within(span_us):,} in the first {spans[span_us]}")
        if span_us == rate.period_us:
            said.append(f"{rate.amount:,} in each later {spans[span_us]}")
    return ", ".join(said)


def _refill(terms: Terms) -> str:
    one_us = Fraction(terms.rate.period_us, terms.rate.amount)
    everything = f", all {terms.capacity:,} after {lasting(one_us * terms.capacity)}" if terms.capacity > 1 else ""
    return f"one comes back after {lasting(one_us)}{everything}"


def _cost(rule: LimitRule, terms: Terms, asked: Asked) -> str:
    cost = f"{asked.cost:,}{_source(rule, asked)}"
    if asked.cost == 0:
        return f"{cost}: such a call is always admitted and takes nothing"
    if asked.cost > terms.capacity:
        return f"{cost}: NEVER ADMITTED, because at most {terms.capacity:,} can be spent at once"
    return cost if asked.cost == 1 else f"{cost}: at most {terms.capacity // asked.cost:,} such calls at once"


def _source(rule: LimitRule, asked: Asked) -> str:
    if rule.cost is None:
        return ""
    if isinstance(rule.cost, int):
        return ", as the rule says"
    if asked.own_cost:
        return f", the call's own, because its attribute {rule.cost} is no whole number"
    return f", from attribute {rule.cost}"


def _queue(rule: LimitRule, terms: Terms, cost: int) -> str:
    if not rule.max_wait_us:
        return "none: a call that finds too little left is refused at once"
    wait = lasting(rule.max_wait_us)
    most = number(places(terms.rate, rule.max_wait_us, max(1, cost)), "such call")
    return f"a call that finds too little left waits up to {wait} for it, at most {most} at a time; others are refused"


def _counted(rule: LimitRule) -> str:
    if rule.scope == "local":
        return "in each process by itself"
    return "in the guard's store, or without one in each process by itself"
