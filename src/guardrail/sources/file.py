"""Rule files on disk, as a source that is read again and again.

Law: a relative path means the same file for ever, wherever the service goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from guardrail.rules.folder import read_files

if TYPE_CHECKING:
    import os


class FileSource:
    """Read one rule file, or those of a folder; either may take the place of the other.

    Args:
        path: If relative, seen from the working directory of now: a service may leave it.

    Attributes:
        name: The path as messages show it.
    """

    __slots__ = ("name", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = str(Path(path))
        self.path = Path(path).absolute()

    def __repr__(self) -> str:
        return f"FileSource({self.name!r})"

    @property
    def folder(self) -> Path:
        """The folder in which changes happen."""
        return self.path if self.path.is_dir() else self.path.parent

    def read(self) -> dict[str, bytes]:
        """Return the content of each file, under the name that messages show.

        Raises:
            OSError: The path does not exist, a file cannot be read, or is a pipe, socket or device.
            RuleError: The folder has no rule file.
        """
        return read_files(self.path, self.name)
