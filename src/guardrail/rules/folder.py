"""The rule files at a path: one file, or the `*.yaml` and `*.yml` of a folder in the order of their names.

Law: at most one byte more than a rule file may have is read of any of them.
"""

from __future__ import annotations

from errno import EINVAL
from pathlib import Path

from guardrail.errors import Problem, RuleError
from guardrail.rules.page import LARGEST_FILE

_ENDINGS = (".yaml", ".yml")


def read_files(path: str | Path) -> dict[str, bytes]:
    """Return what is in the rule files at *path*, by their paths.

    Raises:
        OSError: One of them cannot be read.
        RuleError: The folder has none.
    """
    path = Path(path)
    if not path.is_dir():
        return {str(path): _content(path)}
    files = sorted(file for file in path.iterdir() if _is_rule_file(file))
    if not files:
        raise RuleError([Problem("the folder has no rule files (*.yaml, *.yml)", str(path))])
    return {str(file): _content(file) for file in files}


def _is_rule_file(file: Path) -> bool:
    return file.name.endswith(_ENDINGS) and not file.name.startswith(".") and not file.is_dir()


def _content(file: Path) -> bytes:
    if file.exists() and not file.is_file():
        raise OSError(EINVAL, "it must be a regular file, not a pipe, socket or device", str(file))
    with file.open("rb") as stream:
        return stream.read(LARGEST_FILE + 1)
