"""Scripts: what runs inside Redis, joined from the files of `lua/`.

Law: a script is known by the SHA1 of its text, which is computed here: no server need be asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha1
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

TWINS = ("token_bucket", "sliding_window", "fixed_window", "sliding_log")


class Script(NamedTuple):
    """Hold a script and the name that Redis gives to it."""

    source: bytes
    sha: str


def read_lua(name: str) -> str:
    """Return the text of a file of `lua/`: in the package once it is installed, in `lua/` in a source checkout."""
    installed = files("guardrail") / "_lua" / f"{name}.lua"
    found = installed if installed.is_file() else Path(__file__).parents[3] / "lua" / f"{name}.lua"
    return found.read_text(encoding="utf-8")


def joined(first: str, twins: Mapping[str, str], last: str) -> str:
    """Put each twin into a function of its name, between what all use and the file that calls those that it needs."""
    functions = [f"local function {name}()\n{text}end\n" for name, text in twins.items()]
    return "".join([first, *functions, last])


def script(text: str) -> Script:
    """Return the script with this text."""
    source = text.encode()
    return Script(source, sha1(source, usedforsecurity=False).hexdigest())


@cache
def admit() -> Script:
    """Return the script that decides batches of calls."""
    return script(joined(read_lua("numbers"), {name: read_lua(name) for name in TWINS}, read_lua("admit")))


@cache
def heartbeat() -> Script:
    """Return the script that counts processes."""
    return script(read_lua("heartbeat"))
