"""What does not go together in one rule.

Law: an option that does not apply is a mistake where it is written, and gives way where it is only a default; numbers
that contradict each other are a mistake wherever they come from. Fields have their names in Python here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.rules.compiled import core_limit
from guardrail.rules.units import show_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_QUEUEING = ("token_bucket", "leaky_bucket")


class Conflict(NamedTuple):
    """Say which field is wrong beside the others.

    Attributes:
        rival: The other one of two that exclude or contradict each other.
        inner: The key inside of the field, where it is a mapping.
    """

    field: str
    message: str
    rival: str | None = None
    inner: str | None = None


def misplaced(values: Mapping[str, Any], given: Collection[str]) -> Iterator[Conflict]:
    """Find the fields that do not apply.

    Args:
        values: Those that could be read; as they are or as they were written.
        given: All that are there, whether they could be read or not.
    """

    def option(name: str, default: str) -> Any:
        return values.get(name, None if name in given else default)

    match values.get("kind"):
        case "limit":
            algorithm = option("algorithm", "token_bucket")
            if "burst" in given and algorithm not in ("token_bucket", None):
                yield Conflict("burst", f"burst applies to token_bucket only, not to {algorithm}; leave it out")
            if "max_wait_us" in given and algorithm not in (*_QUEUEING, None):
                yield Conflict(
                    "max_wait_us", f"max_wait applies to token_bucket and leaky_bucket, not to {algorithm}; leave it out"
                )
            if "on_store_error" in given and option("scope", "shared") == "local":
                yield Conflict("on_store_error", "on_store_error applies to scope: shared only; leave it out")
        case "breaker":
            if "slow_rate" in given and "slow_call_us" not in given:
                yield Conflict("slow_rate", "slow_rate needs slow_call, which says how long is slow, such as 1s")
            if "window_us" in given and "window_calls" in given:
                yield Conflict("window_calls", "window and window_calls exclude each other; keep one", "window_us")
        case "bulkhead":
            if "lease_us" in given and option("scope", "local") == "local":
                yield Conflict("lease_us", "lease applies to scope: shared only; leave it out")
            if "max_queue" in given and not option("max_wait_us", ""):
                yield Conflict("max_queue", "max_queue needs max_wait, which says how long to queue, such as 500ms")


def contradictions(values: Mapping[str, Any], given: Collection[str]) -> Iterator[Conflict]:
    """Find numbers that contradict each other or cannot be computed with, among values that could be read."""
    match values.get("kind"):
        case "limit":
            yield from _limit_contradictions(values, given)
        case "breaker":
            yield from _breaker_contradictions(values, given)


def _limit_contradictions(values: Mapping[str, Any], given: Collection[str]) -> Iterator[Conflict]:
    if values.get("overrides") and "key" in values and len(values["key"]) != 1:
        yield Conflict("overrides", "overrides needs exactly one key, whose values it lists", "key")
    readable = {"algorithm", "rate", "burst", "max_wait_us"}
    if not readable <= values.keys():
        return
    algorithm, burst, max_wait_us = values["algorithm"], values["burst"], values["max_wait_us"]
    if algorithm == "leaky_bucket" and not max_wait_us:
        yield Conflict("max_wait_us", "leaky_bucket needs a max_wait above 0, such as 1s: how long a call may queue")
        return
    if next(misplaced(values, given), None):
        return
    rates = {None: values["rate"], **values.get("overrides", {})}
    for inner, rate in rates.items():
        try:
            core_limit(algorithm, rate, burst, max_wait_us)
        except ValueError as wrong:
            yield Conflict("rate" if inner is None else "overrides", str(wrong), inner=inner)


def _breaker_contradictions(values: Mapping[str, Any], given: Collection[str]) -> Iterator[Conflict]:
    open_for_us, most_us = values.get("open_for_us"), values.get("open_for_max_us")
    if open_for_us is not None and most_us is not None and most_us < open_for_us:
        yield Conflict(
            "open_for_max_us",
            f"open_for_max ({show_duration(most_us)}) must not be below open_for ({show_duration(open_for_us)})",
            "open_for_us",
        )
    min_calls, window_calls = values.get("min_calls"), values.get("window_calls")
    if "min_calls" in given and min_calls is not None and window_calls is not None and min_calls > window_calls:
        yield Conflict(
            "min_calls",
            f"min_calls ({min_calls}) must not be above window_calls ({window_calls}): rates would never count",
            "window_calls",
        )
