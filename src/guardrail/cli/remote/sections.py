"""A picture in words: what stands above, and a table for each thing there is.

Law: what is shown on a terminal and what is shown without one are the same words, and no name or key can do anything to a
terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from guardrail.cli.remote.enforcing import percent, sentence, short, trials_of
from guardrail.cli.words import lasting, number, plainly

if TYPE_CHECKING:
    from guardrail.cli.remote.figures import BreakerFigures, BulkheadFigures, Picture, RuleFigures, StoreFigures

BAD, ODD, WELL, FAINT = "bold red", "yellow", "green", "dim"
STYLES = {"open": BAD, "forced_open": BAD, "half_open": ODD, "forced_closed": ODD, "closed": WELL}
WORDS = {"half_open": "half-open", "forced_open": "forced open", "forced_closed": "forced closed"}
BAR = 10
MOST_KEYS = 20


class Cell(NamedTuple):
    """Hold a text and how it looks."""

    text: str
    style: str = ""


class Section(NamedTuple):
    """Hold a table. A column whose name ends in `#` holds numbers; one that ends in `*` gives way where it is narrow."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]


def headlines(picture: Picture) -> Iterator[Cell]:
    """Say which processes these are, by which rules they go, and how their stores are."""
    there = [one for one in picture.sources if one.trouble is None]
    places = ", ".join(f"{one.place} (pid {one.pid})" for one in there)
    many = f"{len(there)} processes: " if len(there) > 1 else ""
    yield Cell(f"guardrail top   {many}{places or 'nobody answers'}", "bold")
    for one in picture.sources:
        if one.trouble is not None:
            yield Cell(f"{one.trouble}, for {_age(one.away_s)}; looking on", BAD)
    modes = sorted({one.mode for one in there if one.mode not in {None, "enforce"}}, key=str)
    if modes:
        yield Cell(f"the guard's mode is {' or '.join(plainly(str(mode)) for mode in modes)}: no rule refuses", ODD)
    if len(picture.rules_in_force) > 1:
        yield Cell("the processes go by different rules:", ODD)
    for rules in picture.rules_in_force:
        many = f", in {rules.processes} of {len(there)} processes" if len(picture.rules_in_force) > 1 else ""
        reloads = f", {number(rules.reloads, 'reload')}" if rules.reloads else ""
        source = plainly(rules.source) if rules.source else "code"
        yield Cell(f"rules   {plainly(rules.revision)} from {source}, in force for {_age(rules.age_s)}{reloads}{many}")
        if rules.error:
            yield Cell(f"the rule files cannot be used: {plainly(rules.error.splitlines()[0])}", BAD)
    for store in picture.stores:
        yield _store(store)


def sections(picture: Picture) -> list[Section]:
    """Lay out the rest, what matters most first. What there is none of is left out."""
    found = [_rules(picture.rules), _breakers(picture.breakers), _bulkheads(picture.bulkheads), _hot(picture)]
    found.insert(1, _trials(picture))
    return [one for one in found if one.rows]


def _rules(rules: Sequence[RuleFigures]) -> Section:
    busiest = sorted(rules, key=lambda one: (-one.recent_refused, -one.asked))
    columns = ("rule*", "mode", "calls/s#", "refused/s#", "%#", "would/s#", "waits/s#", "wait#")
    return Section(columns, [tuple(_rule(one)) for one in busiest])


def _rule(rule: RuleFigures) -> Iterator[Cell]:
    yield Cell(plainly(rule.name))
    yield Cell(_mode(rule), ODD if rule.mode != "enforce" or rule.enforced < 1 else "")
    yield Cell(_per_s(rule.calls_per_s))
    yield Cell(_per_s(rule.refused_per_s), BAD if rule.refused_per_s else FAINT)
    yield Cell(_share(rule.refused_per_s, rule.calls_per_s), BAD if rule.refused_per_s else FAINT)
    yield Cell(_per_s(rule.would_refuse_per_s), ODD if rule.would_refuse_per_s else FAINT)
    yield Cell(_per_s(rule.waits_per_s), "" if rule.waits_per_s else FAINT)
    yield Cell("" if rule.wait_mean_s is None else _seconds(rule.wait_mean_s))


def _mode(rule: RuleFigures) -> str:
    return percent(rule.enforced) if rule.mode == "enforce" and rule.enforced < 1 else plainly(rule.mode)


def _trials(picture: Picture) -> Section:
    rows = []
    for trial in trials_of(picture):
        already = f" ({percent(trial.enforced)} enforced)" if trial.enforced else ""
        rows.append((Cell(f"{plainly(trial.rule)}{already}"), Cell(sentence(trial), ODD if trial.would_refuse else "")))
    return Section(("safe to enforce?*", "it would have refused, so far*"), rows)


def _breakers(breakers: Sequence[BreakerFigures]) -> Section:
    return Section(("breaker*", "state", "for", "why*"), [tuple(_breaker(one)) for one in breakers])


def _breaker(breaker: BreakerFigures) -> Iterator[Cell]:
    alone = sum(breaker.states.values()) == 1
    states = [
        f"{'' if alone else f'{count} '}{WORDS.get(state) or plainly(state)}" for state, count in breaker.states.items()
    ]
    yield Cell(plainly(breaker.name))
    yield Cell(", ".join(states), STYLES.get(breaker.state, ""))
    yield Cell("" if breaker.since_s is None else _age(breaker.since_s))
    said = [plainly(breaker.reason)] if breaker.reason else []
    if breaker.retry_after_s:
        said.append(f"next try in {_seconds(breaker.retry_after_s)}")
    if breaker.state == "closed" and breaker.failure_rate is not None:
        said.insert(0, f"{percent(breaker.failure_rate)} of {number(breaker.calls, 'call')} failed")
    yield Cell("; ".join(said), "" if breaker.state != "closed" else FAINT)


def _bulkheads(bulkheads: Sequence[BulkheadFigures]) -> Section:
    rows = [tuple(_bulkhead(one)) for one in sorted(bulkheads, key=_fullness, reverse=True)]
    return Section(("bulkhead*", "fullest", "places#", "inside#", "waiting#"), rows)


def _fullness(one: BulkheadFigures) -> float:
    return min(1.0, max(0.0, one.fullest / max(1, one.capacity)))


def _bulkhead(one: BulkheadFigures) -> Iterator[Cell]:
    full = _fullness(one)
    filled = round(full * BAR) or (1 if one.fullest > 0 else 0)
    style = BAD if full == 1 else ODD if full >= 0.8 else WELL
    yield Cell(plainly(one.rule))
    yield Cell(f"{'█' * filled}{'░' * (BAR - filled)} {one.fullest} of {one.capacity}", style)
    yield Cell(f"{one.places:,}")
    yield Cell(f"{one.in_use:,}")
    yield Cell(f"{one.waiting:,}", ODD if one.waiting else FAINT)


def _hot(picture: Picture) -> Section:
    limits = {one.name for one in picture.rules if one.kind == "limit"}  # other rules seldom have keys of callers
    rows = [
        (
            Cell(short(one)),
            Cell(plainly(one.rule)),
            Cell(f"{one.calls:,}"),
            Cell(f"{one.refused:,}", BAD if one.refused else FAINT),
        )
        for one in picture.hot_keys
        if one.rule in limits
    ]
    return Section(("hottest key", "rule*", "calls, about#", "refused#"), rows[:MOST_KEYS])


def _store(store: StoreFigures) -> Cell:
    if store.away:
        many = f" for {store.away} of {store.processes} processes" if store.processes > 1 else ""
        why = f": {plainly(store.reason)}" if store.reason else ""
        return Cell(f"store   {plainly(store.store)} is away{many}{why}; each rule's on_store_error decides", BAD)
    times = "" if store.p50 is None or store.p99 is None else f", p50 {_seconds(store.p50)}, p99 {_seconds(store.p99)}"
    faults = f", {number(store.errors, 'error')}, {number(store.outages, 'outage')}" if store.errors else ""
    return Cell(f"store   {plainly(store.store)} answers{times}{faults}")


def _per_s(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 100 or rate == 0 else f"{rate:.1f}" if rate >= 0.1 else f"{rate:.2f}"


def _share(part: float | None, whole: float | None) -> str:
    return "-" if part is None or whole is None else percent(part / whole) if whole else "0%"


def _seconds(seconds: float) -> str:
    time_us = round(seconds * 1_000_000)
    return lasting(time_us).removeprefix("about ")


def _age(seconds: float) -> str:
    return lasting(round(max(0.0, seconds)) * 1_000_000).removeprefix("about ") if seconds >= 1 else "< 1 s"
