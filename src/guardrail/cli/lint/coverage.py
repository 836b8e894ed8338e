"""Patterns held against patterns: does one match whatever another matches, or nothing of it?

Law: a yes is certain. Where it cannot be told, the answer is no.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from guardrail.rules.match import Index
from guardrail.rules.pattern import REST, Pattern, compile_pattern, is_pattern

if TYPE_CHECKING:
    from guardrail.rules.model import Rule

_Part = str | tuple[str, ...]
_WHOLE = ("", "")


def covers_calls(outer: Rule, inner: Rule) -> bool:
    """Tell whether *outer* is asked about every call that *inner* is asked about."""
    return (
        all(any(covers(wide, text) for wide in outer.resource) for text in inner.resource)
        and all(_is_out(excepted, inner) for excepted in outer.except_)
        and _implies(inner.when, outer.when)
    )


@lru_cache(maxsize=65_536)
def covers(wide: str, text: str) -> bool:
    """Tell whether the pattern *wide* matches everything that *text* matches."""
    if wide in {REST, text}:
        return True
    if not is_pattern(text):
        return bool(Index([(wide, 0)]).find(text))
    if not is_pattern(wide) or text == REST:
        return False
    outer, inner = compile_pattern(wide), compile_pattern(text)
    if (outer.separator, outer.words) != (inner.separator, inner.words):
        return False
    if len(inner.parts) < len(outer.parts) or (not outer.rest and (inner.rest or len(inner.parts) > len(outer.parts))):
        return False
    return all(_part_covers(one, other) for one, other in zip(outer.parts, inner.parts, strict=False))


@lru_cache(maxsize=65_536)
def disjoint(one: str, other: str) -> bool:
    """Tell whether no resource matches both."""
    if REST in {one, other}:
        return False
    if not is_pattern(one):
        return not Index([(other, 0)]).find(one)
    if not is_pattern(other):
        return not Index([(one, 0)]).find(other)
    first, second = compile_pattern(one), compile_pattern(other)
    if _may_stand_alone(first) or _may_stand_alone(second):
        return False
    if (first.separator, first.words) != (second.separator, second.words):
        return True
    if (len(first.parts) < len(second.parts) and not first.rest) or (
        len(second.parts) < len(first.parts) and not second.rest
    ):
        return True
    return any(_parts_differ(a, b) for a, b in zip(first.parts, second.parts, strict=False))


def _is_out(excepted: str, rule: Rule) -> bool:
    """Tell whether nothing that *rule* is asked about is in *excepted*."""
    return any(covers(own, excepted) for own in rule.except_) or all(disjoint(excepted, text) for text in rule.resource)


def _implies(narrow: Mapping[str, tuple[str, ...]], wide: Mapping[str, tuple[str, ...]]) -> bool:
    """Tell whether every call that meets the conditions *narrow* meets *wide*."""
    return all(name in narrow and _within(narrow[name], values) for name, values in wide.items())


def _within(narrow: Iterable[str], wide: tuple[str, ...]) -> bool:
    values = tuple(narrow)
    if wide[0].startswith("!"):
        if values[0].startswith("!"):
            return set(wide) <= set(values)
        return all(f"!{value}" not in wide for value in values)
    return not values[0].startswith("!") and set(values) <= set(wide)


def _may_stand_alone(pattern: Pattern) -> bool:
    """Tell whether a pattern with `/` matches a resource without one: `orders/**` matches `orders`."""
    return (
        pattern.rest
        and pattern.separator == "/"
        and len(pattern.parts) == pattern.words + 1
        and pattern.parts[-1] != ""
    )


def _part_covers(outer: _Part, inner: _Part) -> bool:
    if outer == inner:
        return True
    if isinstance(outer, str):
        return False
    if outer == _WHOLE:
        return inner != ""
    if isinstance(inner, str):
        return re.fullmatch(".*".join(map(re.escape, outer)), inner, re.DOTALL) is not None
    return len(outer) == 2 and inner[0].startswith(outer[0]) and inner[-1].endswith(outer[-1])


def _parts_differ(one: _Part, other: _Part) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one != other
    if isinstance(one, str):
        return not _part_covers(other, one)
    if isinstance(other, str):
        return not _part_covers(one, other)
    starts, ends = (one[0], other[0]), (one[-1], other[-1])
    return not (
        (starts[0].startswith(starts[1]) or starts[1].startswith(starts[0]))
        and (ends[0].endswith(ends[1]) or ends[1].endswith(ends[0]))
    )
