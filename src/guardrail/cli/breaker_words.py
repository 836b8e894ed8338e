"""What a breaker and a bulkhead mean, in words, with the defaults that the rule leaves unsaid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from guardrail.cli.words import Row, lasting, number, percent
from guardrail.rules.spelling import any_of

if TYPE_CHECKING:
    from guardrail.core.breaker import Breaker
    from guardrail.rules.model import BreakerRule, BulkheadRule


def breaker_rows(rule: BreakerRule, name: str) -> Iterator[Row]:
    """Say when a breaker opens, and how it closes again."""
    breaker = rule.breaker()
    yield Row("breaker", f"guard.breakers[{name!r}]")
    yield Row("opens", _opens(breaker))
    yield Row("open", _open(breaker))
    yield Row("probes", _probes(breaker))
    yield Row("failures", _failures(rule))


def breaker_numbers(rule: BreakerRule, name: str) -> dict[str, Any]:
    """Return the thresholds for programs, defaults filled in; times are seconds."""
    breaker = rule.breaker()
    return {
        "breaker": name,
        "failure_rate": _float(breaker.failure_rate),
        "slow_call": _seconds(breaker.slow_call_us),
        "slow_rate": _float(breaker.slow_rate),
        "consecutive_failures": breaker.consecutive_failures,
        "window": _seconds(breaker.window_us),
        "window_calls": breaker.window_calls,
        "min_calls": breaker.min_calls,
        "open_for": _seconds(breaker.open_for_us),
        "open_for_max": _seconds(breaker.open_for_max_us),
        "half_open_calls": breaker.half_open_calls,
        "probe_timeout": _seconds(breaker.probe_timeout_us),
        "failures": None if rule.failures is None else [str(name) for name in rule.failures],
        "ignore": [str(name) for name in rule.ignore],
    }


def bulkhead_rows(rule: BulkheadRule) -> Iterator[Row]:
    """Say how many are let in, and what becomes of the others."""
    yield Row("places", f"at most {number(rule.max_concurrent, 'call')} inside at once")
    if rule.max_wait_us:
        crowd = f", at most {rule.max_queue:,} of them" if rule.max_queue is not None else ""
        waits = f"others wait up to {lasting(rule.max_wait_us)} in the order of arrival{crowd}; then they are refused"
    else:
        waits = "none: others are refused at once"
    yield Row("queue", waits)
    if rule.scope == "local":
        yield Row("counted", "in each process by itself")
    else:
        yield Row(
            "counted", f"in the guard's store; a holder that dies gives its place back after {lasting(rule.lease_us)}"
        )


def bulkhead_numbers(rule: BulkheadRule) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "max_concurrent": rule.max_concurrent,
        "max_wait": rule.max_wait_us / 1_000_000,
        "max_queue": rule.max_queue,
    }


def _opens(breaker: Breaker) -> str:
    window = lasting(breaker.window_us) if breaker.window_us is not None else number(breaker.window_calls or 0, "call")
    calls = f"of the calls in the last {window}" if breaker.window_us is not None else f"of the last {window}"
    rates = []
    if breaker.failure_rate is not None:
        rates.append(f"{percent(breaker.failure_rate)} or more {calls} failed")
    if breaker.slow_rate is not None and breaker.slow_call_us is not None:
        which = "" if rates else f" {calls}"
        rates.append(f"{percent(breaker.slow_rate)} or more{which} took longer than {lasting(breaker.slow_call_us)}")
    ways = [f"{' or '.join(rates)}, once there are {breaker.min_calls:,}"] if rates else []
    if breaker.consecutive_failures is not None:
        ways.append(f"{number(breaker.consecutive_failures, 'call')} in a row failed")
    return "when " + "; or when ".join(ways)


def _open(breaker: Breaker) -> str:
    longer = ""
    if breaker.open_for_max_us is not None:
        longer = f"; each time it opens again at once, twice as long, up to {lasting(breaker.open_for_max_us)}"
    return f"it refuses every call for {lasting(breaker.open_for_us)}{longer}"


def _probes(breaker: Breaker) -> str:
    count = breaker.half_open_calls
    return (
        f"then it lets {number(count, 'call')} through and closes or opens again by how they go; "
        f"one that takes {lasting(breaker.probe_timeout_us)} has no say"
    )


def _failures(rule: BreakerRule) -> str:
    if rule.failures is None:
        counted = "every exception, http.5xx, and the gRPC codes of a failing server"
    else:
        counted = any_of(str(name) for name in rule.failures) if rule.failures else "nothing"
    ignored = f", but not {any_of(str(name) for name in rule.ignore)}" if rule.ignore else ""
    return counted + ignored


def _float(ratio: Any) -> float | None:
    return None if ratio is None else float(ratio)


def _seconds(time_us: int | None) -> float | None:
    return None if time_us is None else time_us / 1_000_000
