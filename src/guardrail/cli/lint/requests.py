"""Texts that are written like the names of requests, and that no request has.

Law: what is not plainly meant to be the name of a request is left alone: resources may be called anything.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from guardrail.adapters.http.resources import METHODS, OTHER, verb_of
from guardrail.rules.pattern import REST, is_pattern, split
from guardrail.rules.spelling import closest, shown

# registered methods that are not HTTP's own
_MORE_METHODS = frozenset(
    ["COPY", "LINK", "LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "PURGE", "QUERY", "REPORT", "SEARCH", "UNLINK"]
)
_LISTED = re.compile(r"[A-Za-z]+(?:[,|][A-Za-z]+)+")
_FOREIGN = re.compile(r"/(?:<(?:\w+:)?(\w+)>|:(\w+))(?=/|$)")  # /<int:id> and /:id


class Misnamed(NamedTuple):
    """Say why no request has a name, and what to write instead."""

    wrong: str
    advice: str


def misnamed(text: str) -> Misnamed | None:
    """Judge the name of a request, such as `GET /v1/**` or `client GET api.example.com`; None: it is sound, or is none."""
    words, segments, separator = split(text)
    front, verb = words[:-1], words[-1] if words else ""
    if not words or front not in ([], ["client"]):
        return None
    rest = text[len(" ".join(words)) + 1 :]
    is_path = separator == "/" and segments[0] == ""
    if is_pattern(verb) or verb == verb_of(verb):
        return None if front else _misplaced(text, verb, rest, is_path=is_path)
    if not (front or is_path):
        return None
    return _wrong_verb(" ".join([*front, ""]), verb, rest)


def has_method(text: str) -> bool:
    """Tell whether a text is the name of a request, or a pattern for such names."""
    words, segments, separator = split(text)
    return separator == "/" and segments[0] == "" and len(words) == 1 and (words[0] == "*" or words[0] in METHODS)


def lacks_method(text: str) -> Misnamed | None:
    """Judge a path without a method, where other rules name theirs. `/shop.Orders/Create` is a call over gRPC."""
    words, segments, _ = split(text)
    fixed = len(segments) - 1 - (segments[-1] == REST)
    if words or not text.startswith("/") or fixed < 1 or fixed == 2 or (fixed == 1 and segments[-1] == REST):
        return None
    wrong = f"no request is named {shown(text)}: names of requests begin with the method, as in other rules here"
    return Misnamed(wrong, f"write {shown(f'* {text}')}, or the method that is meant")


def methods_of(text: str) -> set[str] | None:
    """Return the values that the attribute `method` has for all requests of a name; None: that is not known."""
    words, segments, separator = split(text)
    if len(words) != 1 or separator != "/" or segments[0] != "" or words[0] not in {*METHODS, OTHER}:
        return None
    return {"GET", "HEAD"} if words[0] == "GET" else {words[0]}


def _wrong_verb(front: str, verb: str, rest: str) -> Misnamed | None:
    verbs = re.split("[,|]", verb) if _LISTED.fullmatch(verb) else []
    if verbs and all(one.upper() in METHODS for one in verbs):
        names = ", ".join(f'"{front}{verb_of(one.upper())} {rest}"' for one in verbs)
        return Misnamed(f"a name has one method, and {shown(verb)} is none", f"write a list: [{names}]")
    if verb == "HEAD":
        right = f"{front}GET {rest}"
        return Misnamed(
            "no request is named with HEAD: it counts as GET",
            f"write {shown(right)}; when: {{method: HEAD}} tells the two apart",
        )
    guess = verb.upper() if verb.upper() in METHODS else closest(verb, tuple(METHODS)) if verb.isupper() else None
    if guess is not None:
        why = ": methods are written in capitals" if guess == verb.upper() else ""
        right = shown(f"{front}{verb_of(guess)} {rest}")
        return Misnamed(f"no request has the method {shown(verb)}{why}", f"write {right}")
    if verb in _MORE_METHODS:
        wrong = f"no request is named with {verb}: methods that are not HTTP's own are all named {OTHER}"
        return Misnamed(wrong, f"write {shown(f'{front}{OTHER} {rest}')}")
    return None


def _misplaced(text: str, verb: str, rest: str, *, is_path: bool) -> Misnamed | None:
    if not is_path:
        if is_pattern(verb):
            return None
        return Misnamed(
            f"no request is named {shown(text)}: a path begins with '/'", f"write {shown(f'{verb} /{rest}')}"
        )
    path, mark, query = rest.partition("?")
    if mark:
        name = query.partition("=")[0] or "page"
        return Misnamed(
            f"no request is named {shown(text)}: a query is no part of a name",
            f"write {shown(f'{verb} {path}')}, and when: {{query.{name}: ...}}",
        )
    if _FOREIGN.search(path):
        right = _FOREIGN.sub(lambda found: f"/{{{found[1] or found[2]}}}", path)
        wrong = f"no request is named {shown(text)}: what a route takes from the path is written {{name}}"
        return Misnamed(wrong, f"write {shown(f'{verb} {right}')}")
    return None
