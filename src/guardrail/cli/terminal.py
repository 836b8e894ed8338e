"""What a terminal shows beyond plain text.

Law: where nobody looks (a pipe, a file, TERM=dumb) there are plain lines only, and rich is not even loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


def on_terminal() -> bool:
    """Tell whether the output goes to a terminal that can show more than lines."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def drawn(parts: Iterable[RenderableType], *, wrap: bool = True) -> str:
    """Return what rich makes of *parts*, as wide and as colourful as the terminal is. It respects NO_COLOR."""
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=not wrap)
    return captured.get().removesuffix("\n")
