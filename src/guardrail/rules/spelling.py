"""How mistakes are shown: the value that was found, and what was probably meant.

Law: cost is bounded whatever was written; long words get no suggestion and are cut.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_WORD = 40
_LONGEST_SHOWN = 80


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """Return `; did you mean 'burst'?` for the closest of *choices*, or nothing."""
    guess = closest(str(word), tuple(choices))
    return f"; did you mean '{guess}'?" if guess else ""


@lru_cache(maxsize=2048)
def closest(word: str, choices: tuple[str, ...]) -> str | None:
    """Return the one of *choices* that *word* was probably meant to be, or None."""
    if len(word) > _LONGEST_WORD:
        return None
    plain = {_plain(choice): choice for choice in choices}
    found = difflib.get_close_matches(_plain(word), list(plain), n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def shown(value: object) -> str:
    """Return *value* as a message shows it: text in quotes, cut where it is long."""
    if isinstance(value, str):
        return repr(str(value) if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}...")
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def in_quotes(text: str) -> str:
    """Return *text* as YAML has it in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def any_of(choices: Iterable[str]) -> str:
    """Return `a, b or c`."""
    *most, last = choices
    return f"{', '.join(most)} or {last}" if most else last


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")
