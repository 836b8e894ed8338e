"""Snapshots, as they come back from JSON.

Law: what a newer process says beyond what is known here is overlooked; what an older one does not say is named. Every
value has the type that the rest of this command counts on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from guardrail.core.breaker_state import BreakerSnapshot
from guardrail.telemetry.histogram import Distribution
from guardrail.telemetry.snapshot import (
    BreakerRuleSnapshot,
    BulkheadRuleSnapshot,
    HotKey,
    ReloadSnapshot,
    RuleSnapshot,
    Snapshot,
    StoreSnapshot,
)

T = TypeVar("T")
MOST = 1 << 63
_NAMES = {
    "Mapping": Mapping,
    "Phase": str,
    "Kind": str,
    "Distribution": Distribution,
    "BreakerSnapshot": BreakerSnapshot,
}


class OtherVersion(ValueError):
    """Say that this is no snapshot of a version that is understood here."""


def restored(plain: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot of which *plain* is the JSON; counts by resource and latencies are left out.

    Raises:
        OtherVersion: Something is missing, or of another type.
    """
    try:
        store = plain["store"]
        return _made(
            Snapshot,
            {},
            at=plain["at"],
            pid=plain["pid"],
            mode=plain["mode"],
            reload=_made(ReloadSnapshot, plain["reload"]),
            rules=tuple(_rule(one) for one in plain["rules"]),
            counts=(),
            breakers=tuple(_breakers(one) for one in plain["breakers"]),
            bulkheads=_all(BulkheadRuleSnapshot, plain["bulkheads"]),
            hot_keys=_all(HotKey, plain["hot_keys"]),
            store=None if store is None else _made(StoreSnapshot, store, seconds=_distribution(store["seconds"])),
            latencies=(),
        )
    except (KeyError, TypeError, AttributeError) as wrong:
        raise OtherVersion("its snapshot is of another version of guardrail than this command") from wrong


def _rule(plain: Mapping[str, Any]) -> RuleSnapshot:
    return _made(RuleSnapshot, plain, resource=tuple(plain["resource"]), waited=_distribution(plain["waited"]))


def _breakers(plain: Mapping[str, Any]) -> BreakerRuleSnapshot:
    notable = {name: _made(BreakerSnapshot, one) for name, one in plain["notable"].items()}
    return _made(BreakerRuleSnapshot, plain, transitions={}, notable=notable)


def _distribution(plain: Mapping[str, Any] | None) -> Distribution:
    return Distribution(0, 0.0, ()) if plain is None else _made(Distribution, plain, buckets=tuple(plain["buckets"]))


def _all(kind: Callable[..., T], plain: Iterable[Mapping[str, Any]]) -> tuple[T, ...]:
    return tuple(_made(kind, one) for one in plain)


def _made(kind: Callable[..., T], plain: Mapping[str, Any], **better: Any) -> T:
    names = [field.name for field in fields(cast("Any", kind))]
    values = {name: plain[name] for name in names if name in plain} | better
    wanted = _types_of(kind)
    if not all(_fits(value, wanted[name]) for name, value in values.items()):
        raise TypeError
    return kind(**values)


@cache
def _types_of(kind: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(kind, localns=_NAMES)


def _fits(value: object, wanted: Any) -> bool:
    """Tell whether a value is what a field is declared to hold."""
    outer, inner = get_origin(wanted), get_args(wanted)
    if outer in {Union, UnionType}:
        return any(_fits(value, one) for one in inner)
    if outer is tuple:
        return isinstance(value, tuple) and all(_fits(one, inner[0]) for one in value)
    if outer is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(name, inner[0]) and _fits(one, inner[1]) for name, one in value.items()
        )
    if wanted is float or wanted is int:
        is_number = isinstance(value, int if wanted is int else int | float) and not isinstance(value, bool)
        return is_number and -MOST < cast("float", value) < MOST  # nor a NaN
    return isinstance(value, wanted)
