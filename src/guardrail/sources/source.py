"""What rules are read from, and what one look at it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Source(Protocol):
    """Show rules as they are kept somewhere, now.

    Attributes:
        folder: Where a change may be noticed early; None: nowhere on this machine.
    """

    @property
    def folder(self) -> Path | None: ...

    def read(self) -> Mapping[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class Sight:
    """Hold what a look has shown: files, or in words what kept it from seeing any. Equal content is the same sight."""

    files: Mapping[str, bytes]
    trouble: str = ""


def look(source: Source) -> tuple[Sight, Exception | None]:
    """Read the source, and return with the sight the error, if there was one."""
    try:
        return Sight(source.read()), None
    except Exception as problem:  # noqa: BLE001  whatever it is, it is reported, and watching goes on
        return Sight({}, f"{type(problem).__name__}: {problem}"), problem
