"""The rule files at a path: one file, or the `*.yaml` and `*.yml` of a folder in the order of their names.

Law: a read shows what is there now, or raises. It never waits for somebody to write, and never takes more from a file
than a rule file may hold, and one byte, by which the parser sees that there is more.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from guardrail.errors import Problem, RuleError
from guardrail.rules.page import LARGEST_FILE

_ENDINGS = (".yaml", ".yml")


def read_files(path: str | os.PathLike[str], name: str | None = None) -> dict[str, bytes]:
    """Return the content of each rule file at *path*, under the name that messages show.

    Hidden names, and with them a Kubernetes volume's `..data`, do not count; links are followed. Which of the two the
    path is, a file or a folder, is looked at each time.

    Args:
        name: How messages name the path. Default: as it is written.

    Raises:
        OSError: The path does not exist, a file cannot be read, or is a pipe, socket or device.
        RuleError: The folder has no rule file.
    """
    path, name = Path(path), str(path) if name is None else name
    if not stat.S_ISDIR(path.stat().st_mode):
        return {name: _content(path)}
    files = {str(Path(name, file.name)): _content(file) for file in sorted(path.iterdir()) if _is_rule_file(file)}
    if not files:
        raise RuleError([Problem("the folder has no rule files (*.yaml, *.yml)", name)])
    return files


def _is_rule_file(file: Path) -> bool:
    return file.name.endswith(_ENDINGS) and not file.name.startswith(".") and not file.is_dir()


def _content(file: Path) -> bytes:
    with open(file, "rb", opener=_without_waiting) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it must be a regular file, not a pipe, socket or device", str(file))
        return stream.read(LARGEST_FILE + 1)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # to open a pipe means to wait for its writer
