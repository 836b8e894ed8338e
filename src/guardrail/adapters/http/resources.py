"""What is called, as rules name it: `GET /v1/orders/{id}`.

Law: names come from route templates and from the texts of rules, never from a path, so that however many paths there are,
there are a handful of names; and every rule that matches a path matches the name it is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from guardrail.rules.match import Index
from guardrail.rules.pattern import REST, compile_pattern, is_pattern, split

if TYPE_CHECKING:
    from guardrail.rules.ruleset import RuleSet

UNMATCHED = "unmatched"
OTHER = "OTHER"
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
PREFLIGHT = "cors-preflight"
DEFAULT_EXEMPT = (PREFLIGHT, "/healthz", "/livez", "/readyz", "/metrics")
DEEPEST = 16  # segments of a name that is made up
LONGEST = 256  # characters of a call whose name is remembered
_REMEMBERED = 4096
_NAMED = re.compile(r"\{([^{}/]+)\}")


_VERBS = {method: "GET" if method == "HEAD" else method for method in METHODS}


def known_method(method: str) -> str:
    """Return the method as rules name it in `method`."""
    return method if method in METHODS else OTHER


def verb_of(method: str) -> str:
    """Return the method as it stands in a resource: HEAD counts as GET."""
    return _VERBS.get(method, OTHER)


class Exempt:
    """Tell which requests no rule is asked about.

    Args:
        texts: Paths and patterns, with a method in front or not, and `cors-preflight`.
        asks: Tells it from the request in the adapter's own form.
        page: A path that the middleware answers itself, where it is asked for with GET.
    """

    __slots__ = ("_exact", "_has_more", "_page", "_patterns", "asks", "preflights")

    def __init__(
        self, texts: Iterable[str], asks: Callable[[Any], object] | None = None, page: str | None = None
    ) -> None:
        texts = list(texts)
        self._page = None if page in texts else page
        for text in texts:
            if text not in {PREFLIGHT, REST} and "/" not in text:
                raise ValueError(f"a path begins with a '/', got {text!r}")
            method, space, _ = text.partition(" /")
            if (
                space
                and method not in {*_VERBS.values(), OTHER}
                and not method.startswith("/")
                and not is_pattern(method)
            ):
                raise ValueError(f"a method is one that names of calls have, such as GET, got {text!r}")
            compile_pattern(text)
        self.preflights = PREFLIGHT in texts
        self.asks = asks
        self._exact = frozenset(text for text in texts if not is_pattern(text))
        patterns = [(text, 0) for text in texts if is_pattern(text)]
        self._patterns = Index(patterns) if patterns else None
        self._has_more = bool(patterns) or any(" " in text for text in self._exact)
        if self._page is not None:
            self._exact |= {self._page}

    def has(self, verb: str, path: str) -> bool:
        """Tell whether a path is exempt."""
        if path in self._exact and (path != self._page or verb == "GET"):
            return True
        return self._has_more and self._has(f"{verb} {path}", path)

    def _has(self, call: str, path: str) -> bool:
        patterns = self._patterns
        return call in self._exact or (patterns is not None and bool(patterns.find(path) or patterns.find(call)))


class RuleNames:
    """Name what no route is known for, by the texts of the rules that match it."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: tuple[RuleSet | None, dict[str, str]] = (None, {})  # one reference: names belong to their rules

    def name(self, rules: RuleSet, call: str) -> str:
        """Return the name of *call*, such as `GET /v1/orders/17`."""
        of, names = self._known
        if of is not rules or len(names) >= _REMEMBERED:
            names = {}
            self._known = (rules, names)
        name = names.get(call)
        if name is None:
            name = name_of(rules, call)
            if len(call) <= LONGEST:
                names[call] = name
        return name


def name_of(rules: RuleSet, call: str) -> str:
    """Return the text of the rule that matches *call*; where several do, what their texts have in common with it."""
    matched = rules.match(call)
    texts = [text for rule in matched for text in rule.resource if text == call or Index([(text, 0)]).find(call)]
    if not texts:
        return UNMATCHED
    best, most = UNMATCHED, 0
    for name in dict.fromkeys((*texts[:1], meet(texts, call), shape(texts, call), *texts)):
        found = rules.match(name)
        if found == matched:
            return name
        count = sum(rule in found for rule in matched)
        if count > most:
            best, most = name, count
    return best


def meet(texts: Sequence[str], call: str) -> str:
    """Return the pattern that matches *call* and is matched by all of *texts*: part by part, what is fixed most."""
    if all(text == REST for text in texts):
        return REST
    words, parts = _parts(call)
    rows = [_parts(text)[1] for text in texts if text != REST]
    named: list[str] = []
    for position, part in enumerate(parts):
        candidates = [row[position] for row in rows if position < len(row) and REST not in row[: position + 1]]
        if not candidates:
            return _joined(words, [*named, REST])
        named.append(part if part in candidates else max(candidates, key=_fixed))
    is_open = all(REST in row for row in rows) and all(len(row) > len(parts) for row in rows)
    return _joined(words, [*named, REST] if is_open else named)


def shape(texts: Sequence[str], call: str) -> str:
    """Return *call* with a `*` for each part that no text has."""
    words, parts = _parts(call)
    fixed = {part for text in texts for part in _parts(text)[1]}
    return _joined(words, [part if part in fixed else "*" for part in parts[: DEEPEST + words]])


def values_in(name: str, call: str) -> dict[str, str]:
    """Return what stands in *call* for the `{x}` of its name."""
    pairs = zip_longest(_parts(name)[1], _parts(call)[1], fillvalue="")
    named = ((_NAMED.fullmatch(part), value) for part, value in pairs)
    return {match[1]: value for match, value in named if match is not None}


def _parts(text: str) -> tuple[int, list[str]]:
    words, segments, _ = split(text)
    return len(words), [*words, *segments]


def _joined(words: int, parts: Sequence[str]) -> str:
    return " ".join([*parts[:words], "/".join(parts[words:])])


def _fixed(part: str) -> int:
    return len(_NAMED.sub("", part).replace("*", ""))
