"""Rule files on disk: a single one, or those of a folder.

Law: a read shows what is there now, or raises. It never waits for somebody to write, and never takes more from a file
than a rule file may hold, and one byte, by which the parser sees that there is more.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from guardrail.errors import Problem, RuleError

LARGEST_READ = 4 * 1024 * 1024 + 1  # bytes
SUFFIXES = (".yaml", ".yml")


class FileSource:
    """Read one rule file, or the `*.yaml` and `*.yml` of a folder in the order of their names.

    Hidden names, and with them a Kubernetes volume's `..data`, do not count; links are followed. Which of the two the path
    is, a file or a folder, is looked at each time, so that either may take the place of the other.

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
            RuleError: The folder holds no rule file.
        """
        if not stat.S_ISDIR(self.path.stat().st_mode):
            return {self.name: _content(self.path)}
        files = {str(Path(self.name, path.name)): _content(path) for path in self._files()}
        if not files:
            raise RuleError([Problem("no *.yaml or *.yml file in this folder", self.name)])
        return files

    def _files(self) -> list[Path]:
        named = [path for path in self.path.iterdir() if path.name.endswith(SUFFIXES) and not path.name.startswith(".")]
        return sorted(path for path in named if not path.is_dir())


def _content(path: Path) -> bytes:
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "a rule file must be a regular file, not a pipe, socket or device", str(path))
        return file.read(LARGEST_READ)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # to open a pipe means to wait for its writer
