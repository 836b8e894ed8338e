"""Files that come with guardrail: in the package once it is installed, in `rules/` in a source checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def shipped(name: str) -> str:
    """Return the text of `schema.json` or `starter.yaml`."""
    installed = files("guardrail") / "_rules" / name
    found = installed if installed.is_file() else Path(__file__).parents[3] / "rules" / name
    return found.read_text(encoding="utf-8")
