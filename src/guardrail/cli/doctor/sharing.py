"""Sharing: what rules say of a store, held against whether there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from guardrail.cli.doctor.finding import Finding, Severity, fine, some
from guardrail.cli.words import number

if TYPE_CHECKING:
    from guardrail.rules.model import LimitRule, Rule
    from guardrail.rules.ruleset import RuleSet

_WHILE_AWAY = {
    "local": "counted in each process, with its share",
    "allow": "not counted: every call goes ahead",
    "deny": "closed: every call is refused",
}


def sharing_findings(rules: RuleSet, *, has_store: bool) -> Iterator[Finding]:
    """Say what is shared, and what is not that should be.

    Args:
        has_store: A store is named.
    """
    limits = shared_limits(rules)
    if not has_store:
        yield from _nothing_to_share(rules, limits)
        return
    if limits:
        yield _without_the_store(limits)
    else:
        yield fine("rules.on-store-error", "no limit in files is shared: the store is not asked for them")
    places = [rule.name for rule in rules if rule.kind == "bulkhead" and rule.scope == "shared" and rule.mode != "off"]
    if places:
        yield Finding(
            Severity.WARNING,
            "rules.shared-bulkheads",
            f"{number(len(places), 'bulkhead')} ({some(places)}) would be shared, and this version does not share them",
            "each process has all their places to itself",
            "divide max_concurrent by the number of processes until it does",
            {"rules": places},
        )


def shared_limits(rules: RuleSet | None) -> list[LimitRule]:
    """Return the limits that are counted in the store, if there is one."""
    return [rule for rule in rules or () if rule.kind == "limit" and rule.scope == "shared" and rule.mode != "off"]


def _nothing_to_share(rules: RuleSet, limits: Sequence[LimitRule]) -> Iterator[Finding]:
    asking = [rule.name for rule in rules if rule.mode != "off" and _asks_for_a_store(rule)]
    if asking:
        yield Finding(
            Severity.WARNING,
            "rules.no-store",
            f"{number(len(asking), 'rule')} ({some(asking)}) say what to do with a store, and none is named",
            "each process counts by itself: ten processes let ten times as much through",
            "set GUARDRAIL_STORE=redis://..., or write scope: local if each process shall count by itself",
            {"rules": asking},
        )
    elif limits:
        found = f"{number(len(limits), 'limit')}, counted in each process by itself: no store is named"
        yield fine("rules.no-store", found, {"limits": len(limits)})


def _asks_for_a_store(rule: Rule) -> bool:
    return rule.fields.get("scope") == "shared" or "on_store_error" in rule.fields


def _without_the_store(limits: Sequence[LimitRule]) -> Finding:
    counts = Counter[str](rule.on_store_error for rule in limits)
    said = [f"{number(counts[word], 'limit')} {words}" for word, words in _WHILE_AWAY.items() if counts[word]]
    found, measured = f"while the store is away: {'; '.join(said)}", {word: counts[word] for word in _WHILE_AWAY}
    if not counts["allow"] and not counts["deny"]:
        return fine("rules.on-store-error", found, measured)
    means = []
    if counts["deny"]:
        means.append("where it is deny, an outage of the store is one of the service")
    if counts["allow"]:
        means.append("where it is allow, nobody is held back then")
    advice = "see that on_store_error is what you want in each; local, the default, is in between"
    return Finding(Severity.NOTE, "rules.on-store-error", found, "; ".join(means), advice, measured)
