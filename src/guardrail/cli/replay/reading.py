"""Logs -> calls, and what could not be read.

Law: a line that cannot be read is counted under its reason, the first ones are kept to be shown, and reading goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from guardrail.cli.replay.call import Call
from guardrail.cli.replay.common import read_common
from guardrail.cli.replay.json_lines import Field, JsonLines
from guardrail.cli.replay.lines import LONGEST_LINE

MOST_SHOWN = 5
# what logs need not tell: where it stands in a call, and the attribute
_SOMETIMES = {4: "client.ip", 5: "user", 6: "header.user-agent", 7: "header.referer"}
_LONGEST_SHOWN = 100


class Unread(NamedTuple):
    """Hold one line that could not be read."""

    number: int
    why: str
    text: str


class Reading:
    """Read lines in their order, whichever format each is in.

    Args:
        fields: What is where in JSON lines, as the user says.
        at_end: The times of JSON lines are those at which calls ended.

    Attributes:
        lines: How many there were; empty ones count for nothing else.
        reasons: How many could not be read, by reason.
        shown: The first of these.
        untimed: Calls whose duration the log does not tell.
        coarse: Calls whose time it tells in whole seconds.
        refused_then: Calls that were answered 429 or 503 when they were logged.
        told: What else the log tells of some call, by the names of attributes.
    """

    def __init__(self, fields: Mapping[str, Field], *, at_end: bool = True) -> None:
        self._json = JsonLines(fields, at_end=at_end)
        self.lines = 0
        self.calls = 0
        self.reasons: Counter[str] = Counter()
        self.shown: list[Unread] = []
        self.untimed = self.coarse = self.refused_then = 0
        self.told = {"method", "status", "resource"}
        self._fields = tuple(fields)

    @property
    def unread(self) -> int:
        """How many lines could not be read."""
        return self.reasons.total()

    def read(self, block: list[str]) -> list[Call]:
        """Return the calls in some lines."""
        read_json = self._json.read
        found: list[Call] = []
        number = self.lines
        for text in block:
            number += 1
            try:
                read = _too_long if len(text) > LONGEST_LINE else read_json if text[:1] == "{" else read_common
                found.append(read(text, number))
            except ValueError as wrong:
                if text.strip("\r\n\t \ufeff"):
                    self._keep(number, str(wrong), text)
        self.lines = number
        self.calls += len(found)
        for call in found:
            if call[9] is None:  # by place: twice as fast, and this is a million times
                self.untimed += 1
            if call[10]:
                self.coarse += 1
            if call[8] == 429 or call[8] == 503:
                self.refused_then += 1
        self._learn(found)
        return found

    def tells(self, name: str) -> bool:
        """Tell whether the log says something of an attribute."""
        return name in self.told or name.startswith(("query.", "path."))

    def _learn(self, calls: list[Call]) -> None:
        for place, name in _SOMETIMES.items():
            if name not in self.told and any([call[place] is not None for call in calls]):
                self.told.add(name)
        if self._fields and any([call.more for call in calls]):
            self.told.update(*(call.more for call in calls if call.more))

    def _keep(self, number: int, why: str, text: str) -> None:
        self.reasons[why] += 1
        if len(self.shown) < MOST_SHOWN:
            cut = text[:_LONGEST_SHOWN] + ("..." if len(text) > _LONGEST_SHOWN else "")
            self.shown.append(Unread(number, why, "".join(c if c.isprintable() else " " for c in cut).strip()))


def _too_long(_text: str, _number: int) -> Call:
    raise ValueError(f"it is longer than {LONGEST_LINE // 1024} KiB")
