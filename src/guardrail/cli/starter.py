"""`guardrail init`: a rule file to start from.

Law: nothing that is there is overwritten unless that was asked for.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from guardrail.cli.exits import USAGE, WRONG, say, stop
from guardrail.cli.shipped import shipped

NAME = "guardrail.yaml"
_ENDINGS = (".yaml", ".yml")


def write_starter(path: Path, *, force: bool) -> None:
    """Write the starter file to *path*, or into it where it is a folder, and say how to go on."""
    file, text = _file_at(path), shipped("starter.yaml")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as wrong:
        if str(wrong.filename) != str(file):
            stop(f"{file} cannot be written: {wrong.filename} is a file, and would have to be a folder", WRONG)
        stop(f"{file} exists already; --force overwrites it, another PATH leaves it alone", WRONG)
    except OSError as wrong:
        stop(f"{file} cannot be written: {wrong.strerror}", WRONG)
    typed = quote(str(file))
    say(f"""\
Wrote {file}. Next:

  guardrail validate {typed}
  guardrail explain orders.create --rules {typed} --attr user=u1
  guardrail schema > {quote(str(file.parent / "schema.json"))}    # with it, editors complete the file

and in the code, before the first call: guardrail.configure({str(file)!r})""")


def _file_at(path: Path) -> Path:
    if path.is_dir() or not path.suffix:
        return path / NAME
    if path.suffix not in _ENDINGS:
        stop(f"a rule file ends in .yaml or .yml, and {path} does not", USAGE)
    return path
