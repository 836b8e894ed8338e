"""What a terminal shows beyond plain text. Without one, or with TERM=dumb, nobody is asked for more than lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from io import StringIO
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def on_terminal() -> bool:
    """Tell whether somebody looks at the output on a terminal that can more than lines."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def drawn(what: Iterable[RenderableType]) -> str:
    """Return what rich makes of it, as wide and as colourful as the terminal is. NO_COLOR is respected."""
    console = console_for(sys.stdout)
    with console.capture() as captured:
        for one in what:
            console.print(one)
    return captured.get().removesuffix("\n")
