"""The answers of guardrail in an OpenAPI document.

Law: what the document says already stays; documenting twice is documenting once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guardrail.adapters.http.answers import PROBLEM, TITLES, TOO_MANY, UNAVAILABLE

if TYPE_CHECKING:
    from guardrail.adapters.http.resources import Exempt

SCHEMA = "GuardrailProblem"
MEANINGS = {
    TOO_MANY: "A limit is used up; Retry-After says when to come back",
    UNAVAILABLE: "The service protects itself or what is behind it; Retry-After may say when to come back",
}
OPERATIONS = frozenset(["get", "put", "post", "delete", "options", "head", "patch", "trace"])
PROBLEM_SCHEMA = {
    "title": SCHEMA,
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string"},
        "retry_after": {"type": "number", "description": "Seconds"},
        "violated-policies": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["type", "title", "status", "detail"],
}


def documented(make: Callable[[], dict[str, Any]], exempt: Exempt) -> Callable[[], dict[str, Any]]:
    """Return what makes the same document, with 429 and 503 at every operation that is guarded."""

    def openapi() -> dict[str, Any]:
        document = make()
        for path, item in document.get("paths", {}).items():
            for verb in OPERATIONS.intersection(item):
                if not exempt.has(verb.upper(), path):
                    _add(item[verb].setdefault("responses", {}))
        document.setdefault("components", {}).setdefault("schemas", {}).setdefault(SCHEMA, PROBLEM_SCHEMA)
        return document

    return openapi


def _add(responses: dict[str, Any]) -> None:
    for status, meaning in MEANINGS.items():
        responses.setdefault(
            str(status),
            {
                "description": f"{TITLES[status]}: {meaning}",
                "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}},
                "content": {PROBLEM: {"schema": {"$ref": f"#/components/schemas/{SCHEMA}"}}},
            },
        )
