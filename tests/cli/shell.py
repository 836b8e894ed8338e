"""Ways to type a command: in this process, in one of its own, and on a terminal."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from typer.testing import CliRunner

from guardrail.cli.app import app

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """Hold how a command ended."""

    code: int
    out: str
    err: str = ""


def guardrail(*words, stdin=None):
    """Run a command in this process."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin, prog_name="guardrail")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def process(*words, cwd, **options):
    """Run `python -m guardrail` in a process of its own."""
    return python("-m", "guardrail", *words, cwd=cwd, **options)


def python(*words, cwd, env=None, **options):
    """Run Python in a process of its own."""
    command = [sys.executable, *map(str, words)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
    done = subprocess.run(command, cwd=cwd, env=_environment(env), check=False, text=True, **options)
    return Done(done.returncode, done.stdout, done.stderr)


def terminal(*words, cwd, env=None):
    """Run `python -m guardrail` on a terminal of 100 columns."""
    ours, theirs = os.openpty()
    env = {"TERM": "xterm-256color", "COLUMNS": "100"} | (env or {})
    command = [sys.executable, "-m", "guardrail", *map(str, words)]
    with subprocess.Popen(
        command, cwd=cwd, env=_environment(env), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as running:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
        os.close(ours)
    return Done(running.returncode, shown.decode().replace("\r\n", "\n"))


def _read(terminal):
    try:
        return os.read(terminal, 65_536)
    except OSError:  # its other end is closed
        return b""


def _environment(more):
    path = {"PYTHONPATH": str(ROOT / "src")}
    return (
        {name: text for name, text in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
        | path
        | (more or {})
    )
