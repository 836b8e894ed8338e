"""Environment variables in rule files: `${VAR}`, `${VAR:-default}`, and `$$` for a dollar sign.

Law: text is expanded once, after parsing, so that a variable never changes the structure of a file; and what comes out
of one file is no larger than a file may be.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# A default may hold route templates: one level of balanced braces. Bounded, so that no text makes matching slow.
_DEFAULT = r"(?:[^{}]|\{[^{}]{0,200}\}){0,1000}"
_DOLLAR = re.compile(
    rf"\$(?:(?P<dollar>\$)|\{{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>{_DEFAULT}))?\}}|(?P<wrong>\{{))"
)
_LARGEST_EXPANSION = 4 * 1024 * 1024


class Expansion:
    """Expand the scalars of one file."""

    __slots__ = ("environ", "left")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.left = _LARGEST_EXPANSION

    def expand(self, text: str) -> str:
        """Return *text* with its variables filled in.

        Raises:
            ValueError: A variable is not set and has no default, or what stands there is no variable.
        """
        parts: list[str] = []
        position = 0
        for found in _DOLLAR.finditer(text):
            parts += text[position : found.start()], self._value(found, text)
            position = found.end()
            self.left -= len(parts[-1])
            if self.left < 0:
                raise ValueError("too much text comes out of the variables of this file: at most 4 MiB")
        return "".join(parts) + text[position:]

    def _value(self, found: re.Match[str], text: str) -> str:
        if found["dollar"]:
            return "$"
        if found["wrong"]:
            start = text[found.start() : found.start() + 20]
            raise ValueError(
                f"no variable begins here: {start!r}; write ${{VAR}}, ${{VAR:-default}}, or $$ for a dollar sign"
            )
        name, default = found["name"], found["default"]
        value = self.environ.get(name)
        if default is not None:
            return value or default  # as in a shell: an empty variable counts as unset
        if value is None:
            raise ValueError(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
        return value
