"""Which rules apply to a resource.

Law: the cost of a look-up depends on the resource and on how many rules match it, not on how many there are. Exact texts
are in a dict; patterns are in tries over their words and segments, where a partly fixed one (`v*`) is found by the text
around its wildcards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.rules.pattern import REST, compile_pattern, is_pattern, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Index", "compile_pattern", "is_pattern", "matches_when"]

_Shape = tuple[int, int]  # how many characters are fixed before the first wildcard and behind the last
_Partial = dict[_Shape, dict[tuple[str, str], dict[tuple[str, ...], "_Node"]]]


class _Node:
    """Hold what patterns with the same beginning go on with."""

    __slots__ = ("ends", "exact", "partial", "rests", "whole")

    def __init__(self) -> None:
        self.exact: dict[str, _Node] = {}
        self.whole: _Node | None = None  # a wildcard that is the whole part
        self.partial: _Partial | None = None
        self.ends: list[int] | None = None  # patterns that end here; most nodes have none, so there is no list
        self.rests: list[int] | None = None  # those that go on with **

    def grow(self, part: str | tuple[str, ...]) -> _Node:
        """Return the node behind *part*, a new one if there is none."""
        if isinstance(part, str):
            return self.exact.get(part) or self.exact.setdefault(part, _Node())
        if not any(part):
            self.whole = self.whole or _Node()
            return self.whole
        first, last = part[0], part[-1]
        if self.partial is None:
            self.partial = {}
        around = self.partial.setdefault((len(first), len(last)), {}).setdefault((first, last), {})
        return around.setdefault(part, _Node())

    def end(self, number: int, *, rest: bool) -> None:
        """Let a pattern end here, or go on with `**`."""
        if rest:
            self.rests = self.rests or []
            self.rests.append(number)
        else:
            self.ends = self.ends or []
            self.ends.append(number)

    def follow(self, part: str, found: list[_Node]) -> None:
        """Add the nodes to *found* that a resource with *part* here goes on with."""
        node = self.exact.get(part)
        if node is not None:
            found.append(node)
        if self.whole is not None and part:
            found.append(self.whole)
        for (before, behind), around in self.partial.items() if self.partial else ():
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
    """Find the numbers of all texts and patterns that match a resource."""

    __slots__ = ("_always", "_exact", "_roots")

    def __init__(self, texts: Iterable[tuple[str, int]] = ()) -> None:
        self._exact: dict[str, list[int]] = {}
        self._always: list[int] = []
        self._roots: dict[tuple[str, int], _Node] = {}  # by separator and number of words
        for text, number in texts:
            self.add(text, number)

    def add(self, text: str, number: int) -> None:
        """Let *text*, a resource or a pattern, stand for *number*."""
        if text == REST:
            self._always.append(number)
        elif not is_pattern(text):
            self._exact.setdefault(text, []).append(number)
        else:
            pattern = compile_pattern(text)
            node = self._roots.setdefault((pattern.separator, pattern.words), _Node())
            for part in pattern.parts:
                node = node.grow(part)
            node.end(number, rest=pattern.rest)
            before = text.removesuffix("/**")
            if before != text and before and before[-1] != " " and "/" not in before:
                self.add(before, number)  # `orders/**` matches `orders`, which has no `/`

    def find(self, resource: str) -> set[int]:
        """Return the numbers of all that match *resource*."""
        found = set(self._always)
        found.update(self._exact.get(resource, ()))
        if self._roots:
            words, segments, separator = split(resource)
            self._walk(separator, words, segments, found)
        return found

    def _walk(self, separator: str, words: list[str], segments: list[str], found: set[int]) -> None:
        root = self._roots.get((separator, len(words)))
        if root is None:
            return
        nodes = [root]
        for part in (*words, *segments):
            follow: list[_Node] = []
            for node in nodes:
                found.update(node.rests or ())
                node.follow(part, follow)
            nodes = follow
            if not nodes:
                return
        for node in nodes:
            found.update(node.rests or ())
            found.update(node.ends or ())


def matches_when(when: Mapping[str, tuple[str, ...]], attribute: Callable[[str], str | None]) -> bool:
    """Tell whether a call's attributes are what `when:` asks for.

    Each attribute must have one of the values listed and none of those behind a `!`; one that is missing matches only `!`.
    """
    return all(_matches(values, attribute(name)) for name, values in when.items())


def _matches(values: tuple[str, ...], value: str | None) -> bool:
    if values[0].startswith("!"):  # lists do not mix both, see readers.py
        return value is None or f"!{value}" not in values
    return value in values
