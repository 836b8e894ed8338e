"""Rules held against rules: which of two can never say no where the other says yes.

Law: a yes is certain: every call that the one lets in, whatever its history, the other lets in too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from guardrail.cli.diff.changes import changed_fields
from guardrail.cli.lint.coverage import covers_calls
from guardrail.core.limit import ceil_div

if TYPE_CHECKING:
    from guardrail.rules.model import BulkheadRule, LimitRule, Rule
    from guardrail.rules.units import Rate

_SUB_WINDOWS = 10
_BUCKETS = {"token_bucket", "leaky_bucket"}


def is_idle_under(loose: Rule, tight: Rule) -> bool:
    """Tell whether *loose* can never refuse a call that another rule, *tight*, lets in."""
    return loose.name != tight.name and lets_in_no_more(tight, loose)


def lets_in_no_more(tight: Rule, loose: Rule) -> bool:
    """Tell whether every call that *tight* lets in, *loose* would let in too."""
    if not _is_enforced(tight) or loose.kind != tight.kind:
        return False
    if not _counts_at_least(tight, loose) or not covers_calls(tight, loose):
        return False
    if loose.kind == "limit" and tight.kind == "limit":
        plain = [loose, *(_with_rate(loose, rate) for rate in loose.overrides.values())]
        return _charges_at_least(tight, loose) and all(_is_within(tight, one) for one in plain)
    if loose.kind == "bulkhead" and tight.kind == "bulkhead":
        return _has_fewer_places(tight, loose)
    return not changed_fields(tight, loose)  # of a breaker, only a twin is sure to open when it does


def idle_overrides(loose: LimitRule, tight: Rule) -> list[str]:
    """Return the keys of *loose* that never get the rate they have been given, because *tight* lets in less."""
    if loose.name == tight.name or tight.kind != "limit" or not _is_enforced(tight):
        return []
    if not _counts_at_least(tight, loose) or not covers_calls(tight, loose) or not _charges_at_least(tight, loose):
        return []
    return [key for key, rate in loose.overrides.items() if _is_within(tight, _with_rate(loose, rate))]


def _with_rate(rule: LimitRule, rate: Rate) -> LimitRule:
    """Return a rule as it is for a key with an override."""
    return rule.model_copy(update={"rate": rate, "overrides": {}})


def _is_enforced(rule: Rule) -> bool:
    return rule.mode == "enforce" and rule.enforce == 1


def _counts_at_least(tight: Rule, loose: Rule) -> bool:
    """Tell whether all calls that share a state of *loose* share one of *tight*."""
    return set(tight.key) <= set(loose.key)


def _charges_at_least(tight: LimitRule, loose: LimitRule) -> bool:
    """Tell whether whatever *loose* charges, *tight* charges too, for all processes that *loose* counts together."""
    if tight.overrides or tight.max_wait_us:
        return False
    if tight.charge == "failure" and loose.charge != "failure":
        return False
    if tight.scope == "local" and loose.scope == "shared":
        return False
    if tight.scope == "shared" and tight.on_store_error != ("deny" if loose.scope == "local" else loose.on_store_error):
        return False
    same = tight.cost == loose.cost
    return same or (isinstance(tight.cost, int) and isinstance(loose.cost, int) and tight.cost >= loose.cost)


def _is_within(tight: LimitRule, loose: LimitRule) -> bool:
    """Tell whether the most that *tight* lets in within any span is no more than *loose* does."""
    amount, period_us = loose.rate.amount, loose.rate.period_us
    match loose.algorithm:
        case "token_bucket" | "leaky_bucket":
            at_once = most_at_once(tight)
            slower = tight.rate.amount * period_us <= amount * tight.rate.period_us
            return at_once <= loose.limit().capacity and slower
        case "sliding_log":
            return most_within(tight, period_us) <= amount
        case "sliding_window":
            if (tight.algorithm, tight.rate.period_us) == (loose.algorithm, period_us):
                return tight.rate.amount <= amount
            return most_within(tight, ceil_div(period_us, _SUB_WINDOWS) * (_SUB_WINDOWS + 1)) <= amount
        case "fixed_window":
            if tight.algorithm == "fixed_window" and period_us % tight.rate.period_us == 0:
                return tight.rate.amount * (period_us // tight.rate.period_us) <= amount
            return most_within(tight, period_us) <= amount
        case _:
            assert_never(loose.algorithm)


def most_at_once(rule: LimitRule) -> int:
    """Return the part of the bound that does not grow with time."""
    if rule.algorithm in _BUCKETS:
        return rule.limit().capacity
    return 2 * rule.rate.amount if rule.algorithm == "fixed_window" else rule.rate.amount


def most_within(rule: LimitRule, span_us: int) -> int:
    """Return a bound on what a limit lets in within any span."""
    amount, period_us = rule.rate.amount, rule.rate.period_us
    if rule.algorithm in _BUCKETS:
        return rule.limit().capacity + span_us * amount // period_us
    windows = ceil_div(span_us, period_us) + (1 if rule.algorithm == "fixed_window" else 0)
    return amount * windows


def _has_fewer_places(tight: BulkheadRule, loose: BulkheadRule) -> bool:
    if tight.scope == "local" and loose.scope == "shared":
        return False
    if (
        tight.scope != loose.scope or tight.max_wait_us
    ):  # a call can hold a place of the one while it waits for the other
        return False
    return tight.max_concurrent <= loose.max_concurrent
