"""The commands that look at rules before they are in force: `lint`, `diff` and `replay`.

Law: as in `app.py`, what only a command needs is loaded when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardrail.cli.forms import Format, ReportFormat, example


def add_commands(app: typer.Typer) -> None:
    """Let these commands be typed."""
    app.command(epilog=example("guardrail lint rules/", "guardrail lint --format github api.yaml jobs.yaml"))(lint)
    app.command(epilog=example("guardrail diff api.yaml new.yaml"))(diff)
    app.command(
        epilog=example(
            "guardrail replay access.log --rules new.yaml",
            "guardrail replay access.log --rules new.yaml --against api.yaml",
            "guardrail replay calls.jsonl --rules api.yaml --field user=sub",
        )
    )(replay)


def lint(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Rule files and folders; - is what is piped in.")],
    form: Annotated[
        ReportFormat, typer.Option("--format", help="github: annotations for a workflow.")
    ] = ReportFormat.TEXT,
) -> None:
    """Find rules that can do nothing, or less than they seem to.

    Rules that are never asked or never refuse, limits that callers can get around, options without effect: each with its
    place and what to do. Each PATH is judged by itself. Exits with 0 if nothing is found, else with 1.
    """
    from guardrail.cli.lint.command import lint as judge

    raise typer.Exit(judge(paths, form.value))


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The rule file or folder that is in force.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The one that is to be; - is what is piped in.")],
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show what changes for whom, and what state is kept.

    Rules are known by their names. Exits with 0 if both mean the same, with 1 if they differ, with 2 if one of them cannot be used.
    """
    from guardrail.cli.diff.command import diff as compare

    raise typer.Exit(compare(old, new, "json" if as_json else form.value))


def replay(
    logs: Annotated[
        list[str],
        typer.Argument(metavar="LOG...", help="Access logs, oldest first, also gzipped; - is what is piped in."),
    ],
    rules: Annotated[
        str, typer.Option(metavar="PATH", envvar="GUARDRAIL_RULES", help="The rule file or folder to try.")
    ],
    against: Annotated[str | None, typer.Option(metavar="OLD", help="Rules to compare with, call by call.")] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FIELD", help="What is where in JSON lines: user=sub, duration=took:ms."),
    ] = None,
    starts: Annotated[bool, typer.Option("--starts", help="Times with a duration are those of the start.")] = False,
    spread: Annotated[bool, typer.Option("--spread", help="Lay calls of one second out evenly over it.")] = False,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw allowed and refused over time: .svg or .html.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Try rules on the calls in an access log.

    Reads the common and the combined log format and JSON lines, and asks a guard about every call at its own time.
    Exits with 0, or with 1 if the log or the rules cannot be read.
    """
    from guardrail.cli.replay.command import Wanted, run

    wanted = Wanted(logs, rules, against, field or (), not starts, spread, chart, "json" if as_json else form.value)
    raise typer.Exit(run(wanted))
