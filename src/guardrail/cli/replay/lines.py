"""The lines of logs, plain or gzipped, in blocks.

Law: memory is bounded whatever a log holds; a line longer than a log writes is passed on cut, for its reader to refuse.
"""

from __future__ import annotations

import gzip
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast
from zlib import error as BrokenZip  # noqa: N812

BLOCK = 1 << 20  # bytes read at a time
LONGEST_LINE = 64 * 1024
_GZIP = b"\x1f\x8b"

Heard = Callable[[int], None]  # is told how many bytes of the logs have been read


class Unreadable(Exception):
    """Say why a log cannot be read."""


def size_of(paths: Sequence[str]) -> int | None:
    """Return how many bytes there are to read; None: nobody knows.

    Raises:
        Unreadable: One of them cannot be read.
    """
    total = 0
    for path in paths:
        if path == "-":
            return None
        try:
            found = Path(path).stat()
        except (OSError, ValueError) as wrong:
            raise Unreadable(f"{path}: cannot be read: {_why(wrong)}") from None
        if stat.S_ISDIR(found.st_mode):
            raise Unreadable(f"{path}: is a folder; name the log files in it, oldest first")
        total += found.st_size
    return total


def blocks(paths: Sequence[str], heard: Heard) -> Iterator[list[str]]:
    """Read logs one after another, some thousand lines at a time.

    Raises:
        Unreadable: One of them cannot be read, or is damaged.
    """
    before = 0
    for path in paths:
        with ExitStack() as stack:
            try:
                raw = _piped_in(stack) if path == "-" else stack.enter_context(Path(path).open("rb"))
                for block in _texts(_unzipped(raw, stack)):
                    yield block
                    if raw.seekable():
                        heard(before + raw.tell())
                before += raw.tell() if raw.seekable() else 0
            except (OSError, EOFError, BrokenZip) as wrong:
                raise Unreadable(f"{path}: cannot be read: {_why(wrong)}") from None


def _piped_in(stack: ExitStack) -> BufferedReader[Any]:
    if sys.stdin is None:  # a process can be started without one
        raise Unreadable("nothing is piped in")
    reader = BufferedReader(cast("Any", sys.stdin.buffer))  # which is a buffer, but need not be able to peek
    stack.callback(reader.detach)  # or it would close the input with itself
    return reader


def _unzipped(raw: BufferedReader[Any], stack: ExitStack) -> IO[bytes]:
    if raw.peek(2)[:2] != _GZIP:
        return raw
    return cast("IO[bytes]", stack.enter_context(gzip.open(raw)))


def _texts(stream: IO[bytes]) -> Iterator[list[str]]:
    rest = b""
    while block := stream.read(BLOCK):
        end = block.rfind(b"\n")
        if end < 0:
            rest = (rest + block)[: LONGEST_LINE + 1]
            continue
        yield _lines(rest + block[:end])
        rest = block[end + 1 :]
    if rest:
        yield _lines(rest)


def _lines(block: bytes) -> list[str]:
    return block.decode("utf-8", "backslashreplace").split("\n")


def _why(wrong: Exception) -> str:
    return wrong.strerror if isinstance(wrong, OSError) and wrong.strerror else str(wrong) or "it is damaged"
