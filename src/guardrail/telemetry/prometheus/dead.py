"""The dead: workers that ended without a word, whose live gauges would be counted for ever.

Law: only the files of live gauges go, and only those of processes that are no more. What has been counted stays counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

LIVE = "gauge_live*_{}.db"  # how prometheus_client calls them


def bury(folder: str) -> list[int]:
    """Remove the live gauges of processes that are no more, as `mark_process_dead` does, and return their ids.

    gunicorn has a hook for that, uvicorn has none. Where files are not named by process ids, nothing is touched.
    """
    own = os.getpid()
    files = list(Path(folder).glob(LIVE.format("*")))
    named = {file.stem.rpartition("_")[2] for file in files}
    if str(own) not in named:
        return []
    dead = sorted(int(name) for name in named if name.isdecimal() and not lives(int(name)))
    mark: Callable[[int, str], object] = mark_process_dead  # it has no types
    for process in dead:
        mark(process, folder)
    return dead


def lives(process: int) -> bool:
    """Tell whether there is such a process, be it somebody else's."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
