"""`guardrail diff`: two sets of rules held against each other.

The exit code is that of diff(1): 0 the same, 1 different, 2 one of them cannot be used.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from guardrail.cli.exits import say
from guardrail.cli.loading import load
from guardrail.cli.terminal import drawn, on_terminal
from guardrail.cli.validation import say_problems

if TYPE_CHECKING:
    from rich.text import Text

SAME, DIFFERENT, UNUSABLE = 0, 1, 2

_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


def diff(old: str, new: str, form: str) -> int:
    """Compare the rules at two paths, print what differs, and return the exit code."""
    from guardrail.cli.diff.changes import differences
    from guardrail.cli.diff.report import lines, plain_values
    from guardrail.errors import Problem, RuleError

    problems: list[Problem] = []
    found = []
    for path in old, new:
        try:
            found.append(load(path))
        except RuleError as wrong:
            problems += wrong.problems
    if problems:
        if form == "json":
            say(json.dumps({"ok": False, "problems": [problem._asdict() for problem in problems]}, indent=2))
        else:
            say_problems(problems)
        return UNUSABLE
    difference = differences(*found)
    if form == "json":
        say(json.dumps(plain_values(difference), indent=2))
    elif on_terminal():
        say(drawn(map(_coloured, lines(difference)), wrap=False))
    else:
        say("\n".join(lines(difference)))
    return DIFFERENT if difference else SAME


def _coloured(line: str) -> Text:
    from rich.text import Text

    colour = _COLOURS.get(line[:1]) if line[1:2] == " " else None
    return Text(line, f"bold {colour}" if colour else "")
