"""A finding: what was seen, how bad that is, what it means and what to do.

Law: whatever is not fine says both. Codes stay what they are; there may be more of them later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple

from guardrail.rules.spelling import shown

FEW = 3  # of many, that a sentence names

_NOTHING: Mapping[str, object] = MappingProxyType({})


class Severity(IntEnum):
    """Say how bad it is, in rising order."""

    OK = 0
    NOTE = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        """The word for it."""
        return self.name.lower()


class Finding(NamedTuple):
    """Hold one finding.

    Attributes:
        code: Where and what, such as `store.clock`.
        found: What was seen.
        means: What follows from it.
        advice: What to do.
        measured: The same for programs: numbers and names, as JSON can say them.
    """

    severity: Severity
    code: str
    found: str
    means: str = ""
    advice: str = ""
    measured: Mapping[str, object] = _NOTHING


def fine(code: str, found: str, measured: Mapping[str, object] = _NOTHING) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(Severity.OK, code, found, measured=measured)


def some(names: Sequence[str]) -> str:
    """Name the first few of many, as they are said in a sentence."""
    return ", ".join([*map(shown, names[:FEW]), *(["..."] if len(names) > FEW else [])])
