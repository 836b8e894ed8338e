"""What can be wrong with one rule, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guardrail.cli.lint.coverage import covers, disjoint
from guardrail.cli.lint.places import Finding
from guardrail.cli.lint.requests import lacks_method, methods_of, misnamed
from guardrail.cli.words import number
from guardrail.rules.exceptions import ExceptionNames
from guardrail.rules.spelling import any_of, shown
from guardrail.rules.units import show_duration

if TYPE_CHECKING:
    from guardrail.rules.model import BreakerRule, LimitRule, Rule


def never_asked(rule: Rule) -> Finding | None:
    """Return why no call is ever asked about, if that is so: nothing else matters then."""
    if all(any(covers(out, text) for out in rule.except_) for text in rule.resource):
        wrong = "this rule is never asked: except leaves out everything that resource matches"
        return Finding("never-asked", rule, ("except",), wrong, "let it leave out less, or take the rule away")
    wanted = rule.when.get("method", ("!",))
    methods = [methods_of(text) for text in rule.resource]
    if wanted[0].startswith("!") or any(found is None or found & set(wanted) for found in methods):
        return None
    names = any_of(sorted({name for found in methods if found is not None for name in found}))
    wrong = f"this rule is never asked: what its resource names has the method {names}, and when wants {any_of(wanted)}"
    return Finding("never-asked", rule, ("when", "method"), wrong, "correct one of them, or take the rule away")


def misnamed_in(rule: Rule, *, beside_methods: bool) -> Iterator[Finding]:
    """Find what *rule* names that no request is named.

    Args:
        beside_methods: There are rules that name requests with their methods.
    """
    for field, texts in ("resource", rule.resource), ("except", rule.except_):
        for place, text in enumerate(texts):
            name = misnamed(text) or (lacks_method(text) if beside_methods else None)
            if name is not None:
                yield Finding("no-such-request", rule, (field, place), name.wrong, name.advice)


def findings_alone(rule: Rule) -> Iterator[Finding]:
    """Find what is wrong with *rule* by itself, if it is ever asked."""
    yield from _resources(rule)
    yield from _enforcement(rule)
    if rule.kind == "limit":
        yield from _costs(rule)
        yield from _overrides(rule)
    elif rule.kind == "breaker":
        yield from _breaker(rule)


def _resources(rule: Rule) -> Iterator[Finding]:
    for place, text in enumerate(rule.resource):
        if any(covers(out, text) for out in rule.except_):
            wrong = f"except leaves out everything that {shown(text)} matches"
            yield Finding("dead-pattern", rule, ("resource", place), wrong, "take it out of resource, or out of except")
    for place, text in enumerate(rule.except_):
        if misnamed(text) is None and all(disjoint(text, own) for own in rule.resource):
            wrong = f"except {shown(text)} leaves out nothing: resource does not match any of it"
            yield Finding("idle-except", rule, ("except", place), wrong, "correct its spelling, or take it out")


def _enforcement(rule: Rule) -> Iterator[Finding]:
    if rule.mode == "shadow" and "enforce" in rule.model_fields_set:
        wrong = "enforce has no effect beside mode: shadow, which refuses nobody"
        yield Finding("idle-option", rule, ("enforce",), wrong, "leave out one of the two")
    elif rule.mode == "enforce" and rule.enforce == 0:
        wrong = "enforce: 0% refuses nobody"
        yield Finding(
            "refuses-nobody", rule, ("enforce",), wrong, "write mode: shadow, which says so, or a larger share"
        )
    elif rule.mode == "enforce" and rule.enforce != 1 and not rule.key:
        wrong = "enforce takes a share of the keys, and without a key there is one: all calls or none"
        yield Finding("all-or-nothing", rule, ("enforce",), wrong, "give the rule a key, or write mode: shadow")


def _costs(rule: LimitRule) -> Iterator[Finding]:
    if not isinstance(rule.cost, int):
        return
    capacity = rule.limit().capacity
    if rule.cost > capacity:
        wrong = f"every call is refused for ever: it costs {rule.cost:,}, and at most {capacity:,} can be spent at once"
        yield Finding("always-refuses", rule, ("cost",), wrong, "raise the burst or the rate, or lower the cost")
    for key, rate in rule.overrides.items():
        most = rule.limit(rate).capacity
        if rule.cost > most and rule.cost <= capacity:
            wrong = f"every call of {shown(key)} is refused for ever: it costs {rule.cost:,}, and at most {most:,} can be spent"
            yield Finding("always-refuses", rule, ("overrides", key), wrong, "raise this rate, or lower the cost")


def _overrides(rule: LimitRule) -> Iterator[Finding]:
    alternatives = rule.key[0] if rule.key else ()
    tags = tuple(f"{name}=" for name in alternatives)
    for key, rate in rule.overrides.items():
        if len(alternatives) > 1 and not key.startswith(tags):
            wrong = (
                f"no call has the key {shown(key)}: where a key has alternatives, it begins with the name that counts"
            )
            tagged = any_of(f"{tag}{key}" for tag in tags)
            yield Finding("dead-override", rule, ("overrides", key), wrong, f"write {tagged}")
        elif rate == rule.rate:
            wrong = f"the override for {shown(key)} is the rate that it has anyway"
            yield Finding(
                "idle-override", rule, ("overrides", key), wrong, "take it out, or write the rate that is meant"
            )


def _breaker(rule: BreakerRule) -> Iterator[Finding]:
    breaker = rule.breaker()
    if rule.failures is not None and breaker.slow_call_us is None and _all_ignored(rule):
        said = "failures lists nothing" if not rule.failures else "ignore, which wins, holds all that failures lists"
        where = ("ignore",) if rule.failures else ("failures",)
        wrong = f"no exception and no status opens this breaker: {said}, and there is no slow_call"
        yield Finding("never-opens", rule, where, wrong, "list what counts as a failure, or leave failures out")
    if breaker.slow_call_us is not None and breaker.slow_call_us >= breaker.probe_timeout_us:
        slow, patience = show_duration(breaker.slow_call_us), show_duration(breaker.probe_timeout_us)
        wrong = f"a probe is never slow: after probe_timeout ({patience}) it has no vote, before slow_call ({slow})"
        yield Finding("never-slow", rule, ("slow_call",), wrong, "let probe_timeout be longer than slow_call")
    if (
        breaker.window_calls is not None
        and breaker.consecutive_failures is not None
        and breaker.failure_rate is None
        and breaker.slow_rate is None
    ):
        wrong = f"window_calls has no effect: only {number(breaker.consecutive_failures, 'failure')} in a row opens this breaker"
        yield Finding("idle-option", rule, ("window_calls",), wrong, "write a failure_rate too, or leave it out")


def _all_ignored(rule: BreakerRule) -> bool:
    ignored = ExceptionNames(rule.ignore)
    bare = {name for name in rule.ignore if isinstance(name, str) and "." not in name}
    return all(
        name in rule.ignore or (isinstance(name, str) and (ignored.has_code(name) or name.rpartition(".")[2] in bare))
        for name in rule.failures or ()
    )
