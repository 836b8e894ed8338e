"""RESP: what a Redis server is told, and what it answers, out of bytes that come in any pieces.

Law: answers come out whole and in order, however the bytes were cut. After what is no answer, nothing of that connection
is believed any more.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

_LONGEST_LINE = 64 * 1024
_LARGEST = 64 * 1024 * 1024
_DEEPEST = 8
_END = b"\r\n"


class ErrorReply(NamedTuple):
    """Hold what a server says instead of executing a command, such as `NOSCRIPT No matching script`."""

    text: str


Answer: TypeAlias = "bytes | int | ErrorReply | list[Answer] | None"


class GarbledError(Exception):
    """Say that the other side does not speak RESP, or not any more."""


def command(*words: bytes) -> bytes:
    """Return a command as a server reads it."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class Answers:
    """Cut a stream of bytes into answers."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> list[Answer]:
        """Return the answers that are complete with *received*.

        Raises:
            GarbledError: What came is no answer.
        """
        text = self._rest + received if self._rest else received
        found: list[Answer] = []
        position = 0
        while position < len(text):
            answer, end = _read(text, position, 0)
            if end == 0:
                break
            found.append(answer)
            position = end
        self._rest = text[position:]
        return found


def _read(text: bytes, start: int, depth: int) -> tuple[Answer, int]:
    """Return the answer that begins at *start* and where it ends: 0 while it is not complete."""
    line_end = text.find(_END, start)
    if line_end < 0:
        if len(text) - start > _LONGEST_LINE:
            raise GarbledError("a line without an end")
        return None, 0
    kind, line, position = text[start], text[start + 1 : line_end], line_end + 2
    match kind:
        case 0x24:  # $
            return _bulk(text, position, _count(line))
        case 0x2B:  # +
            return line, position
        case 0x2D:  # -
            return ErrorReply(line.decode(errors="replace")), position
        case 0x3A:  # :
            return _number(line), position
        case 0x2A if depth < _DEEPEST:  # *
            return _array(text, position, _count(line), depth + 1)
        case _:
            raise GarbledError(f"not an answer: {text[start : start + 40]!r}")


def _bulk(text: bytes, position: int, size: int) -> tuple[Answer, int]:
    if size < 0:
        return None, position
    end = position + size
    if len(text) < end + 2:
        return None, 0
    if text[end : end + 2] != _END:
        raise GarbledError("a text that is longer than announced")
    return text[position:end], end + 2


def _array(text: bytes, position: int, count: int, depth: int) -> tuple[Answer, int]:
    if count < 0:
        return None, position
    items: list[Answer] = []
    for _ in range(count):
        item, position = _read(text, position, depth)
        if position == 0:
            return None, 0
        items.append(item)
    return items, position


def _count(line: bytes) -> int:
    count = _number(line)
    if not -1 <= count <= _LARGEST:
        raise GarbledError(f"an answer of {count} bytes or parts")
    return count


def _number(line: bytes) -> int:
    try:
        return int(line)
    except ValueError:
        raise GarbledError(f"not a number: {line[:40]!r}") from None
