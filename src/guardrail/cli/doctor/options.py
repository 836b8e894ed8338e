"""What can be typed behind `guardrail doctor`.

Law: as in `cli/app.py`, what the command needs is loaded when it runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from guardrail.cli.forms import Format, example


def add_command(app: typer.Typer) -> None:
    """Let the command be typed."""
    app.command(
        epilog=example("guardrail doctor", "guardrail doctor --store redis://localhost:6379/0 --rules rules/ --json")
    )(doctor)


def doctor(
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="GUARDRAIL_STORE", help="The store that limits are shared over."),
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option(metavar="PATH", envvar="GUARDRAIL_RULES", help="The rule file or folder in force."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Look for what can hurt around a deployment.

    The store's server, rule files, proxies and this Python: each finding with what it means and what to do. Type it where
    the service runs, as its user, with its environment. Exits with 1 if anything is an error, else with 0.
    """
    from guardrail.cli.doctor.command import doctor as look_around

    raise typer.Exit(look_around(store, rules, "json" if as_json else form.value))
