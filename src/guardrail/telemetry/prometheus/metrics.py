"""The metrics: their names, kinds and labels, and how those of several processes become one.

Law: these names and labels are the ones that dashboards and alerts are written for. Labels are names of rules and
resources and words from a closed list, never a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "guardrail_"

# How prometheus_client merges a gauge over processes. `live`: those that have ended count no more.
Merge = Literal["livesum", "livemax", "livemin", "max"]


@dataclass(frozen=True, eq=False, slots=True)
class Metric:
    """Describe one metric. Each is the same as no other, so that looking it up costs little.

    Attributes:
        name: As it is scraped, without the `_total` of a counter.
        text: What it is, for whoever reads `/metrics`.
        names: How many of the labels, from the first, can have any value; the others are words from a closed list.
        merge: For gauges only; the others are summed.
        rest: For gauges only: what says nothing once it is merged, where there is nothing to show any more.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()
    names: int = 0
    merge: Merge | None = None
    rest: float = 0


DECISIONS: Final = Metric(
    "guardrail_decisions",
    "counter",
    "What each rule said to calls of a resource: allow, refuse, shadow_refuse (it only watches and would have refused). "
    "Beside these, error: how many of them on_store_error decided, because the store could not be asked.",
    ("resource", "rule", "outcome"),
    names=2,
)
BREAKER_STATE: Final = Metric(
    "guardrail_breaker_state",
    "gauge",
    "How many breakers of this name are in each state; of one without a key 1 in one of them, in each process.",
    ("breaker", "state"),
    names=1,
    merge="livesum",
)
BREAKER_TRANSITIONS: Final = Metric(
    "guardrail_breaker_transitions",
    "counter",
    "How often breakers of this name went from one state to another.",
    ("breaker", "from", "to"),
    names=1,
)
BREAKER_CALLS: Final = Metric(
    "guardrail_breaker_calls",
    "counter",
    "How calls behind breakers of this name ended: success, failure, or ignored.",
    ("breaker", "outcome"),
    names=1,
)
BULKHEAD_IN_USE: Final = Metric(
    "guardrail_bulkhead_in_use",
    "gauge",
    "Places taken in bulkheads of this name, over all keys and processes.",
    ("bulkhead",),
    names=1,
    merge="livesum",
)
BULKHEAD_CAPACITY: Final = Metric(
    "guardrail_bulkhead_capacity",
    "gauge",
    "Places there are in bulkheads of this name, over all keys in use and all processes.",
    ("bulkhead",),
    names=1,
    merge="livesum",
)
BULKHEAD_FULLEST: Final = Metric(
    "guardrail_bulkhead_fullest",
    "gauge",
    "Places taken in the fullest bulkhead of this name: of all keys, in any process.",
    ("bulkhead",),
    names=1,
    merge="livemax",
)
BULKHEAD_MAX_CONCURRENT: Final = Metric(
    "guardrail_bulkhead_max_concurrent",
    "gauge",
    "Places that each bulkhead of this name has: those of one key, in one process.",
    ("bulkhead",),
    names=1,
    merge="livemax",
)
QUEUE_WAIT: Final = Metric(
    "guardrail_queue_wait_seconds",
    "histogram",
    "How long calls waited for a rule, of those that had to wait.",
    ("rule",),
    names=1,
)
STORE: Final = Metric(
    "guardrail_store_seconds",
    "histogram",
    "How long the shared store took to answer, of the questions that it did answer.",
    ("store",),
    names=1,
)
STORE_ERRORS: Final = Metric(
    "guardrail_store_errors",
    "counter",
    "Questions that the shared store did not answer, by what failed: timeout, connection, password, ...",
    ("store", "kind"),
    names=2,
)
STORE_FALLBACK: Final = Metric(
    "guardrail_store_fallback_active",
    "gauge",
    "1 while the shared store is away and on_store_error decides (in any process), else 0.",
    ("store",),
    names=1,
    merge="livemax",
)
RULES: Final = Metric(
    "guardrail_rules_info",
    "gauge",
    "1 for the revision of the rules in force (in any process); 0 for those that were.",
    ("revision",),
    names=1,
    merge="livemax",
)
RELOADED: Final = Metric(
    "guardrail_rules_last_reload_success_timestamp_seconds",
    "gauge",
    "When the rules in force were taken up, in seconds since 1970.",
    merge="max",
)
RELOAD_SUCCESSFUL: Final = Metric(
    "guardrail_rules_last_reload_successful",
    "gauge",
    "1 where the last rules that were seen are in force; 0 where they could not be used (in any process).",
    merge="livemin",
    rest=1,
)
RELOAD_FAILURES: Final = Metric(
    "guardrail_rules_reload_failures",
    "counter",
    "How often new rules could not be used; those before them stay in force.",
)
CALLS: Final = Metric(
    "guardrail_call_seconds",
    "histogram",
    "How long calls to a resource took, from being let in to their end. There with measure_latency=True.",
    ("resource",),
    names=1,
)

METRICS: Final = (
    *(DECISIONS, BREAKER_STATE, BREAKER_TRANSITIONS, BREAKER_CALLS),
    *(BULKHEAD_IN_USE, BULKHEAD_CAPACITY, BULKHEAD_FULLEST, BULKHEAD_MAX_CONCURRENT),
    *(QUEUE_WAIT, STORE, STORE_ERRORS, STORE_FALLBACK),
    *(RULES, RELOADED, RELOAD_SUCCESSFUL, RELOAD_FAILURES, CALLS),
)
