"""The command `guardrail`: write, check and explain rule files.

The exit code is one of these, and stays what it is:

    0    all is well
    1    what was asked about is wrong: rules with mistakes, a file that cannot be read or written, a demo that failed
    2    the command line is wrong: an unknown option, a malformed argument, a library that is not installed
    130  interrupted
    141  whoever reads the output has closed it

Only `diff` has its own, those of diff(1): 0 the same, 1 different, 2 rules that cannot be used, or a wrong command line.

Law: a user's mistake ends in a sentence, never in a traceback.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process and exit."""
    from guardrail.cli.exits import INTERRUPTED, USAGE, flush, give_up, stop

    for stream in sys.stdout, sys.stderr:
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")  # file names need not be text, and not every terminal has all of it
    try:
        from guardrail.cli.app import app

        app(prog_name="guardrail")
    except ModuleNotFoundError as missing:
        library = (missing.name or "guardrail").partition(".")[0]
        if library == "guardrail":
            raise
        stop(f'guardrail needs {library} for its commands: pip install "guardrail-py[cli]"', USAGE)
    except OSError as wrong:
        if wrong.filename is not None:
            raise
        give_up(wrong)  # the help, which typer writes
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    finally:
        flush()
