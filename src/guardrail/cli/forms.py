"""What commands have in common: the forms in which they answer, and how their examples are shown."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """How explanations are printed."""

    TEXT = "text"
    JSON = "json"


class ReportFormat(StrEnum):
    """How mistakes are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def example(*lines: str) -> str:
    """Lay out the examples below a command's help."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])  # \b keeps the lines apart
