"""What does not go together in one rule.

Law: an option that does not apply is a mistake where it is written, and gives way where it is only a default; numbers
that contradict each other are a mistake wherever they come from. Fields have their names in Python here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.rules.compiled import core_limit
from guardrail.rules.spelling import any_of
from guardrail.rules.units import show_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

# a field, the options it applies to, and their field with its default
_PLACES = (
    ("burst", ("token_bucket",), "algorithm", "token_bucket"),
    ("max_wait_us", ("token_bucket", "leaky_bucket"), "algorithm", "token_bucket"),
    ("on_store_error", ("shared",), "scope", "shared"),
    ("lease_us", ("shared",), "scope", "local"),
)
# a field, the one it needs beside it, and what that one says
_NEEDS = (
    ("slow_rate", "slow_call_us", "which says how long is slow, such as 1s"),
    ("max_queue", "max_wait_us", "which says how long to queue, such as 500ms"),
)
_MOST_WRONG_RATES = 100  # in one rule; looking for rates that fit takes its time


class Conflict(NamedTuple):
    """Say which field is wrong beside the others.

    Attributes:
        rival: The other one of two that exclude or contradict each other.
        inner: The key inside of the field, where it is a mapping.
        at_key: The option is wrong here, not its value.
    """

    field: str
    message: str
    rival: str | None = None
    inner: str | None = None
    at_key: bool = True


def misplaced(values: Mapping[str, Any], given: Collection[str]) -> Iterator[Conflict]:
    """Find the fields that do not apply.

    Args:
        values: Those that could be read; as they are or as they were written.
        given: All that are there, whether they could be read or not.
    """
    for field, applies_to, other, its_default in _PLACES:
        if field not in given or (other in given and other not in values):
            continue
        option = values.get(other, its_default)
        if option not in applies_to:
            where = f"{_written(other)} {any_of(applies_to)}"
            yield Conflict(field, f"{_written(field)} applies to {where} only, not to {option}; leave it out")
    for field, needed, example in _NEEDS:
        if field in given and needed not in given:
            yield Conflict(field, f"{_written(field)} needs {_written(needed)}, {example}")
    if "window_us" in given and "window_calls" in given:
        yield Conflict("window_calls", "window and window_calls exclude each other; keep one", "window_us")


def _written(field: str) -> str:
    return field.removesuffix("_us")


def contradictions(values: Mapping[str, Any], given: Collection[str]) -> Iterator[Conflict]:
    """Find numbers that contradict each other or cannot be computed with, among values that could be read."""
    if values.get("kind") == "limit":
        yield from _limit_contradictions(values, given)
    elif values.get("kind") == "breaker":
        yield from _breaker_contradictions(values, given)
    elif "max_queue" in given and values.get("max_wait_us") == 0 and "max_wait_us" in given:
        yield Conflict("max_queue", "max_queue needs a max_wait above 0, such as 500ms", "max_wait_us")


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
    wrong_rates = 0
    for inner, rate in ((None, values["rate"]), *values.get("overrides", {}).items()):
        try:
            core_limit(algorithm, rate, burst, max_wait_us)
        except ValueError as wrong:
            yield Conflict("rate" if inner is None else "overrides", str(wrong), inner=inner, at_key=False)
            wrong_rates += 1
            if wrong_rates == _MOST_WRONG_RATES:
                return


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
