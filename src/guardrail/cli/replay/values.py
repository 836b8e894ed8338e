"""A replay for programs.

Law: names and types stay as they are; there may be more of them later. Times are seconds since 1970, ratios are between
0 and 1, and a `count` is too high by at most its `error`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardrail.cli.replay.notes import notes
from guardrail.cli.replay.report import key_text

if TYPE_CHECKING:
    from guardrail.cli.replay.rehearsal import Rehearsal
    from guardrail.cli.replay.result import Replayed
    from guardrail.cli.replay.tally import RuleTally
    from guardrail.telemetry.sketch import Sketch

_MOST_KEYS = 20


def plain_values(done: Replayed) -> dict[str, Any]:
    """Return all of it."""
    reading, order, comparison = done.reading, done.order, done.comparison
    return {
        "ok": True,
        "logs": list(done.logs),
        "lines": reading.lines,
        "calls": reading.calls,
        "unreadable": {
            "lines": reading.unread,
            "reasons": dict(reading.reasons),
            "first": [{"line": one.number, "reason": one.why, "text": one.text} for one in reading.shown],
        },
        "out_of_order": {"lines": order.early, "seconds": order.furthest_us / 1_000_000, "late": order.late},
        "without_duration": reading.untimed,
        **_outcome(done.new),
        "against": None if done.old is None else _outcome(done.old),
        "changes": None
        if comparison is None
        else {
            "allowed_by_both": comparison.both_allowed,
            "refused_by_both": comparison.both_refused,
            "newly_refused": comparison.newly_refused,
            "newly_allowed": comparison.newly_allowed,
            "newly_refused_resources": _top(comparison.resources),
            "newly_refused_clients": _top(comparison.clients),
        },
        "notes": list(notes(done)),
    }


def _outcome(run: Rehearsal) -> dict[str, Any]:
    return {
        "rules": {"path": run.rules.source, "count": len(run.rules), "revision": run.rules.revision},
        "allowed": run.allowed,
        "refused": run.refused,
        "waited": {"calls": run.waited, "seconds": run.waited_us / 1_000_000},
        "by_rule": [_rule(tally) for tally in run.tallies.values()],
        "timeline": {
            "width": run.timeline.width_us / 1_000_000,
            "slots": [
                {"time": at_us / 1_000_000, "allowed": allowed, "refused": refused}
                for at_us, allowed, refused in run.timeline.slots()
                if allowed or refused
            ],
        },
    }


def _rule(tally: RuleTally) -> dict[str, Any]:
    parts = len(tally.rule.key)
    return {
        "rule": tally.rule.name,
        "kind": tally.rule.kind,
        "asked": tally.asked,
        "allowed": tally.allowed,
        "refused": tally.refused,
        "would_refuse": tally.would_refuse,
        "top_keys": None if tally.callers is None else _top(tally.callers, parts),
        "top_refused_keys": None if tally.turned_away is None else _top(tally.turned_away, parts),
    }


def _top(sketch: Sketch, parts: int = 1) -> list[dict[str, Any]]:
    return [{"key": key_text(one.key, parts), "count": one.times, "error": one.error} for one in sketch.top(_MOST_KEYS)]
