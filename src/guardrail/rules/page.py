"""One rule file as text: its name, its lines, and the problems that point into it.

Law: any bytes become a page or a problem; line and column count from 1 and mean what an editor shows.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import cached_property

from guardrail.errors import Problem, RuleError

LARGEST_FILE = 4 * 1024 * 1024  # bytes

# UTF-32 first: its little-endian mark begins like that of UTF-16
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (b"", "utf-8"),
)
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML counts lines
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LONGEST_EXCERPT = 160


@dataclass(frozen=True)
class Page:
    """Hold the text of one file, or of what was passed as text."""

    name: str
    text: str

    @classmethod
    def of(cls, name: str, content: bytes | str) -> Page:
        """Decode *content*: UTF-8, or UTF-16 and UTF-32 with a byte order mark.

        Raises:
            RuleError: It is too large, or no text.
        """
        if len(content) > LARGEST_FILE or len(_encoded(content)) > LARGEST_FILE:
            raise RuleError([Problem(f"the file is larger than {LARGEST_FILE // 2**20} MiB; split it", name)])
        text = content.removeprefix("\ufeff") if isinstance(content, str) else _decoded(name, content)
        page = cls(name, text)
        if found := _NOT_TEXT.search(text):
            raise RuleError(
                [page.problem_at(f"the character U+{ord(found[0]):04X} cannot stand in YAML", found.start())]
            )
        return page

    @cached_property
    def lines(self) -> list[str]:
        return _LINE_END.split(self.text)

    def problem(self, message: str, line: int, column: int) -> Problem:
        """Point at a place that counts from 0, as parsers do."""
        return Problem(message, self.name, line + 1, column + 1, self._excerpt(line, column))

    def problem_at(self, message: str, index: int) -> Problem:
        """Point at the character with this *index* in the text."""
        before = _LINE_END.split(self.text[:index])
        return self.problem(message, len(before) - 1, len(before[-1]))

    def _excerpt(self, line: int, column: int) -> str | None:
        text, start = self.lines[min(line, len(self.lines) - 1)], 0
        if len(text) > _LONGEST_EXCERPT:
            start = max(0, column - _LONGEST_EXCERPT // 2)
        cut = text[start : start + _LONGEST_EXCERPT]
        return "".join(character if character.isprintable() else " " for character in cut).strip() or None


def _encoded(content: bytes | str) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")


def _decoded(name: str, content: bytes) -> str:
    mark, encoding = next((mark, encoding) for mark, encoding in _MARKS if content.startswith(mark))
    coded = content[len(mark) :]
    try:
        return coded.decode(encoding)
    except UnicodeDecodeError as wrong:
        before = coded[: wrong.start].decode(encoding)
        page = Page(name, before + coded[wrong.start :].decode(encoding, "replace"))
        message = f"the file is no {encoding[:6].upper()} text: {wrong.reason}; save it as UTF-8"
        raise RuleError([page.problem_at(message, len(before))]) from wrong
