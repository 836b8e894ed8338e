"""URL patterns of Django as rules name them: `/v1/orders/{id}/`.

Law: what is variable in a pattern stands in braces, under its name if it has one; nothing else of a regular expression is left.
"""

from __future__ import annotations

import re
from functools import lru_cache

UNNAMED = "{var}"
_VARIABLE = re.compile(r"<(?:[^<>]*:)?(\w+)>")
_IS_REGEX = re.compile(r"[\^$(\\]")
_TOKEN = re.compile(
    r"\\(?P<escape>.)|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|\(\?P<(?P<name>\w+)>|(?P<open>\()|(?P<close>\))|(?P<plain>.)",
    re.DOTALL,
)


@lru_cache(4_096)
def template_of(route: str) -> str:
    """Return the pattern of a URL, as `path()`, `re_path()` and `include()` put it together."""
    if _IS_REGEX.search(route):
        route = _without_groups(route)
    return "/" + _VARIABLE.sub(r"{\1}", route).removeprefix("/")


def _without_groups(route: str) -> str:
    parts: list[str] = []
    depth = 0
    for token in _TOKEN.finditer(route):
        kind = token.lastgroup
        if kind in {"name", "open"}:
            if depth == 0:
                parts.append(f"{{{token['name']}}}" if kind == "name" else UNNAMED)
            depth += 1
        elif kind == "close":
            depth -= 1
        elif depth == 0:
            parts.append(_outside(str(kind), token[0]))
    return "".join(parts)


def _outside(kind: str, text: str) -> str:
    """Return what stands outside of groups as a reader would write it."""
    if kind == "escape":
        return "" if text[1] in "AZbB" else UNNAMED if text[1].isalnum() else text[1]
    if kind == "set":
        return UNNAMED
    return "" if text in "^$?+*" else text
