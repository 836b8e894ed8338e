"""What the dashboard shows: rows of panels, each with its queries.

Law: nothing here needs recording rules, and no metric is named that guardrail does not have.
"""

from __future__ import annotations

from typing import NamedTuple

REFUSE, SHADOW_REFUSE = 'outcome="refuse"', 'outcome="shadow_refuse"'
EVERY_CALL = 'outcome!="error"'  # error is counted beside what a call came to
CHOSEN = ('job="$job"', 'instance=~"$instance"')
KEEPS_OUT, IS_NOT_CLOSED = 'state=~"open|half_open|forced_open"', 'state!="closed"'
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Panel(NamedTuple):
    """Describe one panel: what it shows, by the legend of each line.

    Attributes:
        red_from: The value from which it is red.
    """

    title: str
    lines: dict[str, str]
    unit: str = "short"
    text: str = ""
    kind: str = "timeseries"
    red_from: float | None = None


def of(metric: str, *matchers: str) -> str:
    """Return the series of one metric, in the job and instances that are chosen."""
    return f"{metric}{{{', '.join((*CHOSEN, *matchers))}}}"


def rate(metric: str, *matchers: str) -> str:
    """Return how fast a counter grows, per second."""
    return f"rate({of(metric, *matchers)}[$__rate_interval])"


def total(labels: str, series: str) -> dict[str, str]:
    """Return one line for each combination of some labels, with the sum of the series that have them."""
    names = labels.split()
    legend = " ".join(f"{{{{{name}}}}}" for name in names)
    return {legend: f"sum by ({', '.join(names)}) ({series})"}


def quantiles(metric: str, label: str) -> dict[str, str]:
    """Return the lines for the quantiles of a histogram."""
    buckets = f"sum by ({label}, le) ({rate(f'{metric}_bucket')})"
    return {f"{name} {{{{{label}}}}}": f"histogram_quantile({share}, {buckets})" for name, share in QUANTILES.items()}


def share(outcome: str, window: str) -> dict[str, str]:
    """Return the share of calls with an outcome, by rule; none where there were no calls."""
    some = f"sum by (rule) (rate({of('guardrail_decisions_total', outcome)}[{window}]))"
    every = f"sum by (rule) (rate({of('guardrail_decisions_total', EVERY_CALL)}[{window}]))"
    return {"{{rule}}": f"{some} / ({every} > 0)"}


def stat(title: str, query: str, unit: str = "short", *, red_from: float | None = None) -> Panel:
    """Return a panel that shows one number."""
    return Panel(title, {"": query}, unit, kind="stat", red_from=red_from)


DECISIONS = "guardrail_decisions_total"
USE, PLACES = of("guardrail_bulkhead_in_use"), of("guardrail_bulkhead_capacity")
FULLEST = f"{of('guardrail_bulkhead_fullest')} / ({of('guardrail_bulkhead_max_concurrent')} > 0)"
INFO = of("guardrail_rules_info")
RELOADED = of("guardrail_rules_last_reload_success_timestamp_seconds")
REJECTED = f"1 - {of('guardrail_rules_last_reload_successful')}"
REJECTIONS = f"increase({of('guardrail_rules_reload_failures_total')}[$__rate_interval])"
MOVES = f"increase({of('guardrail_breaker_transitions_total')}[$__rate_interval])"

ROWS = {
    "At a glance": (
        stat("Per second", f"sum({rate(DECISIONS, EVERY_CALL)})", "reqps"),
        stat("Refused per second", f"sum({rate(DECISIONS, REFUSE)})", "reqps"),
        stat("Breakers open", f"sum({of('guardrail_breaker_state', KEEPS_OUT)})", red_from=1),
        stat("Fullest bulkhead", f"max({FULLEST})", "percentunit", red_from=0.9),
        stat("Stores away", f"sum(max by (store) ({of('guardrail_store_fallback_active')}))", red_from=1),
        stat("Revisions in force", f"max(count by (guard) (count by (guard, revision) ({INFO} == 1)))", red_from=2),
    ),
    "Decisions": (
        Panel(
            "By outcome",
            total("outcome", rate(DECISIONS)),
            "reqps",
            "error: decided by on_store_error, and counted as what it came to, too.",
        ),
        Panel("Refused, by rule", total("rule", rate(DECISIONS, REFUSE)), "reqps"),
        Panel("Share refused, by rule", share(REFUSE, "$__rate_interval"), "percentunit"),
        Panel(
            "Safe to enforce?",
            share(SHADOW_REFUSE, "$__range"),
            "percentunit",
            "What rules that only watch would have refused, over the time shown. 0 over a day with its peak: safe.",
            kind="bargauge",
            red_from=0.0001,
        ),
    ),
    "Breakers": (
        Panel("Not closed", total("breaker state", f"{of('guardrail_breaker_state', IS_NOT_CLOSED)} > 0")),
        Panel("Moves", total("breaker from to", f"{MOVES} > 0")),
        Panel("Calls behind them", total("breaker outcome", rate("guardrail_breaker_calls_total")), "reqps"),
    ),
    "Bulkheads and queues": (
        Panel("Places taken", total("bulkhead", USE) | {"{{bulkhead}}: all": f"sum by (bulkhead) ({PLACES})"}),
        Panel(
            "Fullest, by bulkhead",
            {"{{bulkhead}}": f"max by (bulkhead) ({FULLEST})"},
            "percentunit",
            "Of all keys, workers and instances.",
            red_from=0.9,
        ),
        Panel("Calls that waited", total("rule", rate("guardrail_queue_wait_seconds_count")), "reqps"),
        Panel("How long they waited", quantiles("guardrail_queue_wait_seconds", "rule"), "s"),
    ),
    "Shared store": (
        Panel("Answers within", quantiles("guardrail_store_seconds", "store"), "s"),
        Panel("Not answered", total("store kind", rate("guardrail_store_errors_total")), "reqps"),
        Panel(
            "Away",
            total("instance", of("guardrail_store_fallback_active")),
            text="1: each rule's on_store_error decides.",
        ),
    ),
    "Rules": (
        Panel("Revision by instance", total("instance guard revision", f"{INFO} == 1")),
        Panel("Age of the rules", total("instance guard", f"time() - {RELOADED}"), "s"),
        Panel(
            "Rejected",
            total("instance guard", REJECTED),
            text="1: those before them stay in force; the log says where the mistake is.",
        ),
        Panel("Rejections", total("instance guard", REJECTIONS), text="Each worker counts its own."),
    ),
    "Calls": (
        Panel(
            "How long they take",
            quantiles("guardrail_call_seconds", "resource"),
            "s",
            "With Guard(..., measure_latency=True).",
        ),
    ),
}
