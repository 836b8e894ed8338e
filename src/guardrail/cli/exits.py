"""What every command says goes out here, and so does the process.

Law: output that cannot be written ends the process with a code and, where somebody still reads, a sentence.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

OK, WRONG, USAGE, INTERRUPTED, CLOSED = 0, 1, 2, 130, 141  # cli/__init__.py says what they mean


def say(text: str) -> None:
    """Print *text* for whoever asked."""
    try:
        print(text, flush=True)
    except OSError as wrong:
        give_up(wrong)


def stop(sentence: str, code: int) -> NoReturn:
    """Print why nothing more can be done, and exit."""
    print(f"guardrail: {sentence}", file=sys.stderr)
    raise SystemExit(code)


def flush() -> None:
    """Write out what is still held back."""
    try:
        if sys.stdout is not None:  # a process can be started without one
            sys.stdout.flush()
    except OSError as wrong:
        give_up(wrong)


def give_up(wrong: OSError) -> NoReturn:
    """Exit because the output cannot be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())  # what is held back goes there, or Python would try again and complain
    os.close(nowhere)
    if isinstance(wrong, BrokenPipeError):
        raise SystemExit(CLOSED) from None
    stop(f"the output cannot be written: {wrong.strerror}", WRONG)
