"""The instruments: what a guard tells OpenTelemetry, and what the numbers mean.

Law: names and attributes are these and no others. Attributes are names of rules, resources and stores, and words from a
closed list; never a key.

OpenTelemetry has no histogram that can be read off when it is collected. So a distribution of times is told as three
instruments, by what is added to its name: `.count` and `.sum`, whose rates give the mean over any time, and `.quantile`, a
gauge with `guardrail.quantile` 0.5, 0.95 and 0.99 over what came since the collection before.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

QUANTILES: Final = (0.5, 0.95, 0.99)

RESOURCE: Final = "guardrail.resource"
RULE: Final = "guardrail.rule"
OUTCOME: Final = "guardrail.outcome"
REASON: Final = "guardrail.reason"
RETRY_AFTER: Final = "guardrail.retry_after"
STATE: Final = "guardrail.breaker.state"
FROM_STATE: Final = "guardrail.breaker.from_state"
TO_STATE: Final = "guardrail.breaker.to_state"
STORE: Final = "guardrail.store"
REVISION: Final = "guardrail.revision"
QUANTILE: Final = "guardrail.quantile"
ERROR_TYPE: Final = "error.type"


class Instrument(NamedTuple):
    """Describe one instrument.

    Attributes:
        kind: `counter` only goes up; `level` goes up and down, and those of several guards add up; `gauge` does not add
            up, so of several guards the largest counts; `times` is a distribution.
        unit: As in UCUM; of what is counted, in braces.
    """

    name: str
    kind: Literal["counter", "level", "gauge", "times"]
    unit: str
    text: str


DECISIONS: Final = Instrument(
    "guardrail.decisions",
    "counter",
    "{decision}",
    "What each rule said to calls of a resource: allow, refuse, shadow_refuse (it only watches and would have refused); "
    "error, beside these: how many of them on_store_error decided, as the store could not be asked.",
)
BREAKER_STATE: Final = Instrument(
    "guardrail.breaker.state",
    "level",
    "{breaker}",
    "How many breakers of a rule are in each state; of a rule without a key, 1 in one of them.",
)
BREAKER_TRANSITIONS: Final = Instrument(
    "guardrail.breaker.transitions",
    "counter",
    "{transition}",
    "How often breakers of a rule went from one state to another.",
)
BREAKER_CALLS: Final = Instrument(
    "guardrail.breaker.calls",
    "counter",
    "{call}",
    "How calls behind breakers of a rule ended: success, failure, or ignored.",
)
BULKHEAD_IN_USE: Final = Instrument(
    "guardrail.bulkhead.in_use",
    "level",
    "{place}",
    "Places taken in bulkheads of a rule, over all keys.",
)
BULKHEAD_CAPACITY: Final = Instrument(
    "guardrail.bulkhead.capacity",
    "level",
    "{place}",
    "Places there are in bulkheads of a rule, over all keys in use.",
)
BULKHEAD_WAITING: Final = Instrument(
    "guardrail.bulkhead.waiting",
    "level",
    "{call}",
    "Calls in line for a place in bulkheads of a rule, over all keys.",
)
QUEUE_WAIT: Final = Instrument(
    "guardrail.queue.wait",
    "times",
    "s",
    "How long calls waited for a rule, of those that had to wait.",
)
CALL_DURATION: Final = Instrument(
    "guardrail.call.duration",
    "times",
    "s",
    "How long calls to a resource took, from being let in to their end. There with measure_latency=True.",
)
STORE_DURATION: Final = Instrument(
    "guardrail.store.duration",
    "times",
    "s",
    "How long the shared store took to answer, of the questions that it did answer.",
)
STORE_ERRORS: Final = Instrument(
    "guardrail.store.errors",
    "counter",
    "{question}",
    "Questions that the shared store did not answer, by what failed: timeout, connection, password, ...",
)
STORE_FALLBACK: Final = Instrument(
    "guardrail.store.fallback_active",
    "gauge",
    "{store}",
    "1 while the shared store is away and on_store_error decides, else 0.",
)
RULES: Final = Instrument(
    "guardrail.rules.info",
    "gauge",
    "{revision}",
    "1 for the revision of the rules in force.",
)
RELOADED: Final = Instrument(
    "guardrail.rules.last_reload_success_timestamp",
    "gauge",
    "s",
    "When the rules in force were taken up, in seconds since 1970.",
)
RELOAD_FAILURES: Final = Instrument(
    "guardrail.rules.reload_failures",
    "counter",
    "{reload}",
    "How often new rules could not be used; those before them stay in force.",
)

INSTRUMENTS: Final = (
    *(DECISIONS, BREAKER_STATE, BREAKER_TRANSITIONS, BREAKER_CALLS),
    *(BULKHEAD_IN_USE, BULKHEAD_CAPACITY, BULKHEAD_WAITING),
    *(QUEUE_WAIT, CALL_DURATION, STORE_DURATION, STORE_ERRORS, STORE_FALLBACK),
    *(RULES, RELOADED, RELOAD_FAILURES),
)
