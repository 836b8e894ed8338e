"""The door to the demo, which needs a server and a client that the other commands do not."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from guardrail.cli.exits import USAGE, stop

_NEEDED = ("uvicorn", "httpx")


def demonstrate(seconds: float, *, plain: bool) -> int:
    """Run the demo and return its exit code."""
    missing = [library for library in _NEEDED if find_spec(library) is None]
    if missing:
        names = " and ".join(missing)
        stop(f"the demo serves and sends real HTTP and needs {names}: pip install {' '.join(missing)}", USAGE)
    from guardrail.cli.demo import run

    return run(seconds=seconds, plain=plain or not sys.stdout.isatty())
