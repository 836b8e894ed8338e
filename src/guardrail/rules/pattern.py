"""Resource texts taken apart: words, segments and wildcards.

Law: a pattern ends its segments at `/` if it has one, else at `.`; words in front (`GET`) are parts of their own. `*` and
`{x}` stand for one segment or word (not an empty one) or any part of one; `**` is the last segment, and stands for any
rest, none included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAMED = re.compile(r"\{[^{}/]*\}")
_ANY = "\0"  # what {x} becomes first, so that neither its name nor a neighbour is taken for something else
_WILDCARD = re.compile(f"[*{_ANY}]")
REST = "**"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Hold one resource text, taken apart.

    Attributes:
        words: How many of the parts are words in front.
        parts: Words and segments; those that are fixed are text, the others the texts around their wildcards.
        rest: It ends with `**`.
    """

    text: str
    separator: str
    words: int
    parts: tuple[str | tuple[str, ...], ...]
    rest: bool


def is_pattern(text: str) -> bool:
    """Tell whether *text* has wildcards; else it matches only itself."""
    return "*" in text or ("{" in text and _NAMED.search(text) is not None)


def compile_pattern(text: str) -> Pattern:
    """Take a pattern apart.

    Raises:
        ValueError: `**` stands elsewhere than as the last segment, or a brace has no partner.
    """
    unnamed = _NAMED.sub(_ANY, text)
    if "{" in unnamed or "}" in unnamed:
        raise ValueError(f"must close each {{ with a }} within one segment, got {text!r}")
    words, segments, separator = split(unnamed)
    rest = segments[-1] == REST
    if rest:
        segments = segments[:-1]
    if any(REST in part for part in (*words, *segments)):
        raise ValueError(f"must have ** only as its last segment, got {text!r}; * stands for one segment")
    return Pattern(text, separator, len(words), tuple(map(_part, (*words, *segments))), rest)


def split(text: str) -> tuple[list[str], list[str], str]:
    """Return words, segments and what separates these. The last word before the first separator begins the first segment."""
    separator = "/" if "/" in text else "."
    head = text.partition(separator)[0]
    front, space, _ = head.rpartition(" ")
    words = front.split(" ") if space else []
    return words, text[len(front) + len(space) :].split(separator), separator


def _part(text: str) -> str | tuple[str, ...]:
    fixed = tuple(_WILDCARD.split(text))
    return fixed if len(fixed) > 1 else text
