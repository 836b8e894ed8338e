"""Answers of a control endpoint: JSON, and for mistakes a problem document (RFC 9457).

Law: nothing of a request is in an answer that refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """Hold one answer."""

    status: HTTPStatus
    content: Mapping[str, Any]
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def content_type(self) -> str:
        return "application/problem+json" if "title" in self.content else "application/json"

    def body(self) -> bytes:
        """Return the content as it is sent."""
        return json.dumps(self.content, separators=(",", ":")).encode() + b"\n"


class Unanswerable(Exception):
    """Carry the answer to a request that cannot be fulfilled."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.content["detail"])
        self.answer = answer


def problem(status: HTTPStatus, detail: str, *headers: tuple[str, str], meant: str | None = None) -> Answer:
    """Say what is wrong with a request, and what next.

    Args:
        meant: The name that was probably meant: one of ours, not what was asked for.
    """
    content: dict[str, Any] = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    return Answer(status, content if meant is None else content | {"did_you_mean": meant}, headers)
