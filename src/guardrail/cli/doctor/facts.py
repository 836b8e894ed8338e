"""Facts: what a server says of itself, as INFO tells it.

Law: a fact that is not told, or makes no sense, is None; nothing is concluded from it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.stores.resp import Answer

_LONGEST_NUMBER = 20


class Facts:
    """Hold what INFO has told; nothing, if it was refused."""

    def __init__(self, answer: Answer) -> None:
        text = answer.decode(errors="replace") if isinstance(answer, bytes) else ""
        pairs = [line.partition(":") for line in text.splitlines() if not line.startswith("#")]
        self._told = {name: value.strip() for name, colon, value in pairs if colon}

    def __bool__(self) -> bool:
        return bool(self._told)

    def text(self, name: str) -> str | None:
        """Return a fact as it was told."""
        return self._told.get(name) or None

    def number(self, name: str) -> int | None:
        """Return a fact that is a whole number."""
        text = self._told.get(name, "")
        return int(text) if re.fullmatch(rf"[0-9]{{1,{_LONGEST_NUMBER}}}", text) else None

    def keys_in(self, db: int) -> int | None:
        """Return how many keys a database holds; a database without any is not told."""
        if not self:
            return None
        found = re.match(rf"keys=([0-9]{{1,{_LONGEST_NUMBER}}})", self._told.get(f"db{db}", ""))
        return int(found[1]) if found else 0
