"""Snapshots, as they come back from JSON.

Law: what a newer process says beyond what is known here is overlooked; what an older one does not say is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

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


class OtherVersion(ValueError):
    """Say that this is no snapshot of a version that is understood here."""


def restored(plain: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot of which *plain* is the JSON; counts by resource and latencies are left out.

    Raises:
        OtherVersion: Something is missing.
    """
    try:
        store = plain["store"]
        return Snapshot(
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
    return kind(**({name: plain[name] for name in names if name in plain} | better))
