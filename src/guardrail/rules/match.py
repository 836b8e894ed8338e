"""Which rules apply to a resource.

Law: the cost of a look-up depends on the resource and on how many rules match it, not on how many there are. Exact texts
are in a dict; patterns are in tries over their segments, where a partly fixed segment (`v*`) is found by the text around
its wildcards.

A pattern ends its segments at `/` if it has one, else at `.`; words in front (`GET`) are parts of their own, and as many
as the pattern has. `*` and `{x}` stand for one segment or word (not an empty one) or any part of one; `**` is the
last segment, and stands for any rest, none included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAMED = re.compile(r"\{[^{}/]*\}")
_ANY = "\0"  # what {x} becomes first, so that neither its name nor a neighbour is taken for something else
_WILDCARD = re.compile(f"[*{_ANY}]")
_REST = "**"
_Shape = tuple[int, int]  # how many characters are fixed before the first wildcard and behind the last


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
    words, segments, separator = _split(unnamed)
    rest = segments[-1] == _REST
    if rest:
        segments = segments[:-1]
    if any(_REST in part for part in (*words, *segments)):
        raise ValueError(f"must have ** only as its last segment, got {text!r}; * stands for one segment")
    return Pattern(text, separator, len(words), tuple(map(_part, (*words, *segments))), rest)


def _split(text: str) -> tuple[list[str], list[str], str]:
    """Return words, segments and what separates these. The last word before the first separator begins the first segment."""
    separator = "/" if "/" in text else "."
    head = text.partition(separator)[0]
    front, space, _ = head.rpartition(" ")
    words = front.split(" ") if space else []
    return words, text[len(front) + len(space) :].split(separator), separator


def _part(text: str) -> str | tuple[str, ...]:
    fixed = tuple(_WILDCARD.split(text))
    return fixed if len(fixed) > 1 else text


_Partial = dict[_Shape, dict[tuple[str, str], dict[tuple[str, ...], "_Node"]]]


class _Node:
    """Hold what patterns with the same beginning go on with."""

    __slots__ = ("ends", "exact", "partial", "rests", "whole")

    def __init__(self) -> None:
        self.exact: dict[str, _Node] = {}
        self.whole: _Node | None = None  # a wildcard that is the whole part
        self.partial: _Partial = {}
        self.ends: list[int] = []
        self.rests: list[int] = []

    def grow(self, part: str | tuple[str, ...]) -> _Node:
        """Return the node behind *part*, a new one if there is none."""
        if isinstance(part, str):
            return self.exact.get(part) or self.exact.setdefault(part, _Node())
        if not any(part):
            self.whole = self.whole or _Node()
            return self.whole
        first, last = part[0], part[-1]
        around = self.partial.setdefault((len(first), len(last)), {}).setdefault((first, last), {})
        return around.setdefault(part, _Node())

    def follow(self, part: str, found: list[_Node]) -> None:
        """Add the nodes to *found* that a resource with *part* here goes on with."""
        node = self.exact.get(part)
        if node is not None:
            found.append(node)
        if self.whole is not None and part:
            found.append(self.whole)
        for (before, behind), around in self.partial.items():
            if len(part) >= before + behind:
                candidates = around.get((part[:before], part[len(part) - behind :]))
                if candidates is not None:
                    found += [node for fixed, node in candidates.items() if _has_inner(part, fixed)]


def _has_inner(part: str, fixed: tuple[str, ...]) -> bool:
    """Tell whether the fixed texts between the first and the last stand in *part* in their order, between these."""
    position, end = len(fixed[0]), len(part) - len(fixed[-1])
    for text in fixed[1:-1]:
        position = part.find(text, position, end)
        if position < 0:
            return False
        position += len(text)
    return True


class Index:
    """Find the numbers under which texts and patterns were added that match a resource."""

    __slots__ = ("_always", "_exact", "_roots")

    def __init__(self) -> None:
        self._exact: dict[str, list[int]] = {}
        self._always: list[int] = []
        self._roots: dict[tuple[str, int], _Node] = {}  # by separator and number of words

    def add(self, text: str, number: int) -> None:
        """Let *text*, a resource or a pattern, stand for *number*."""
        if text == _REST:
            self._always.append(number)
        elif not is_pattern(text):
            self._exact.setdefault(text, []).append(number)
        else:
            pattern = compile_pattern(text)
            node = self._roots.setdefault((pattern.separator, pattern.words), _Node())
            for part in pattern.parts:
                node = node.grow(part)
            (node.rests if pattern.rest else node.ends).append(number)

    def find(self, resource: str) -> set[int]:
        """Return the numbers of all that match *resource*."""
        found = set(self._always)
        found.update(self._exact.get(resource, ()))
        if self._roots:
            words, segments, separator = _split(resource)
            self._walk(separator, words, segments, found)
            if separator == ".":  # `orders/**` matches `orders`: one segment, and no rest
                front = resource.split(" ")
                self._walk("/", front[:-1], front[-1:], found)
        return found

    def _walk(self, separator: str, words: list[str], segments: list[str], found: set[int]) -> None:
        root = self._roots.get((separator, len(words)))
        if root is None:
            return
        nodes = [root]
        for part in (*words, *segments):
            follow: list[_Node] = []
            for node in nodes:
                found.update(node.rests)
                node.follow(part, follow)
            nodes = follow
            if not nodes:
                return
        for node in nodes:
            found.update(node.rests)
            found.update(node.ends)


def matches_when(when: Mapping[str, tuple[str, ...]], attribute: Callable[[str], str | None]) -> bool:
    """Tell whether a call's attributes are what `when:` asks for.

    Each attribute must have one of the values listed and none of those behind a `!`; one that is missing matches only `!`.
    """
    return all(_matches(values, attribute(name)) for name, values in when.items())


def _matches(values: tuple[str, ...], value: str | None) -> bool:
    if values[0].startswith("!"):  # lists do not mix both, see fields.py
        return value is None or f"!{value}" not in values
    return value in values

