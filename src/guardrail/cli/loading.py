"""Rules as a command finds them: at a path, or piped in as `-`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.rules.ruleset import RuleSet

_STDIN = "<stdin>"


def load(path: str) -> RuleSet:
    """Return the rules at *path*, as a guard would load them.

    Raises:
        RuleError: Everything that is wrong with them, or why they cannot be read.
    """
    from guardrail.rules.ruleset import RuleSet

    return RuleSet.of_files(contents(path), path) if path == "-" else RuleSet.load(path)


def contents(path: str) -> dict[str, bytes]:
    """Return the content of each rule file at *path*, by the name that messages give it.

    Raises:
        RuleError: They cannot be read.
    """
    from guardrail.errors import Problem, RuleError
    from guardrail.rules.folder import read_files

    if path == "-":
        return {_STDIN: _piped_in()}
    try:
        return read_files(path)
    except OSError as wrong:
        raise RuleError([Problem(f"cannot be read: {wrong.strerror or wrong}", path)]) from wrong


def _piped_in() -> bytes:
    from guardrail.errors import Problem, RuleError
    from guardrail.rules.page import LARGEST_FILE

    if sys.stdin is None:  # a process can be started without one
        raise RuleError([Problem("nothing is piped in", _STDIN)])
    try:
        return sys.stdin.buffer.read(LARGEST_FILE + 1)
    except OSError as wrong:
        raise RuleError([Problem(f"cannot be read: {wrong.strerror}", _STDIN)]) from wrong
