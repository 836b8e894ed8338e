"""The keyboard of a live view: wait a while, or until somebody presses q.

Law: whatever ends the view, the terminal is as it was before.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import select

TERMINATED = 143
ESCAPE = b"\x1b"  # F2 is ESC O Q


@contextmanager
def keyboard() -> Iterator[Callable[[float], bool]]:
    """Give a function that waits for so many seconds, and tells whether q was pressed meanwhile."""
    before = signal.signal(signal.SIGTERM, _end)  # or nobody would clean up
    try:
        with _unbuffered() as is_typed_on:
            yield _pressed if is_typed_on else _slept
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _unbuffered() -> Iterator[bool]:
    """Let each key be read as it is pressed. Where that is not possible, there is Ctrl-C."""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield False
        return
    if sys.stdin is None or not sys.stdin.isatty():
        yield False
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed(seconds: float) -> bool:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select([sys.stdin], [], [], left)[0]:
            typed = os.read(sys.stdin.fileno(), 64)
            if not typed or (b"q" in typed.lower() and not typed.startswith(ESCAPE)):
                return True
    return False


def _slept(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _end(*_: object) -> None:
    raise SystemExit(TERMINATED)
