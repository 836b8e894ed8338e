"""An explanation for programs.

Law: names and types stay as they are; there may be more of them later. Times are seconds, ratios between 0 and 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from guardrail.cli.breaker_words import breaker_numbers, bulkhead_numbers
from guardrail.cli.limit_words import limit_numbers
from guardrail.cli.report import meaning

if TYPE_CHECKING:
    from guardrail.cli.explanation import Asked, Explanation


def plain_values(explanation: Explanation) -> dict[str, Any]:
    """Return all of it for programs."""
    question, rules = explanation.question, explanation.rules
    return {
        "ok": True,
        "resource": question.resource,
        "attributes": dict(question.attributes),
        "cost": question.cost,
        "rules": {"path": rules.source, "count": len(rules), "revision": rules.revision},
        "asked": [
            {
                "rule": asked.rule.name,
                "kind": asked.rule.kind,
                "matched": asked.matched,
                "mode": asked.rule.mode,
                "enforce": float(asked.rule.enforce),
                "enforced": asked.enforced,
                "key": [part._asdict() for part in asked.parts],
                "missing": list(asked.missing),
                "state_key": asked.key,
                **_numbers(asked),
                "means": dict(meaning(asked)),
            }
            for asked in explanation.asked
        ],
        "not_asked": [
            {"rule": silent.rule.name, "kind": silent.rule.kind, "fits": silent.fits, "why": list(silent.why)}
            for silent in explanation.silent
        ],
        "unread_attributes": list(explanation.unread),
    }


def _numbers(asked: Asked) -> dict[str, Any]:
    rule = asked.rule
    match rule.kind:
        case "limit":
            return limit_numbers(rule, asked)
        case "breaker":
            return breaker_numbers(rule, asked.breaker)
        case "bulkhead":
            return bulkhead_numbers(rule)
        case _:
            assert_never(rule)
