"""What can be typed behind `guardrail top`, `guardrail breaker` and `guardrail key`.

Law: as in `cli/app.py`, what only a command needs is loaded when it runs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from guardrail.cli.forms import example

Urls = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        metavar="URL",
        envvar="GUARDRAIL_CONTROL",
        help="Where the service listens, such as 127.0.0.1:9911, or 127.0.0.1:9911-9918 for several processes.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        envvar="GUARDRAIL_CONTROL_TOKEN",
        help="That of the service. Better in the environment: others see command lines.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print it for programs.")]


class Action(StrEnum):
    """What can be done to a breaker."""

    OPEN = "open"
    CLOSE = "close"
    RESET = "reset"


def add_commands(app: typer.Typer) -> None:
    """Let these commands be typed."""
    app.command(epilog=example("guardrail top", "guardrail top --url 127.0.0.1:9911-9918 --once"))(top)
    app.command(epilog=example("guardrail breaker payments open", "guardrail breaker payments reset"))(breaker)
    app.command(epilog=example("guardrail key per-user u1 show", "guardrail key per-tenant acme 10.0.0.7 reset"))(key)


def top(
    url: Urls = None,
    token: Token = None,
    once: Annotated[bool, typer.Option("--once", help="Print it once, as plain lines, and exit.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each look; with --once, one.")
    ] = False,
    interval: Annotated[float, typer.Option(min=0.1, max=3600, metavar="SECONDS", help="Between two looks.")] = 1.0,
    apart: Annotated[bool, typer.Option("--apart", help="Show each process by itself, rather than their sum.")] = False,
    show_keys: Annotated[
        bool, typer.Option("--show-keys", help="Show the hottest keys as they are, not hashed.")
    ] = False,
) -> None:
    """Watch running processes: rules, breakers, keys, the store.

    What each rule lets through and refuses, and whether rules that only watch are safe to enforce. The service has to
    listen: start it with GUARDRAIL_CONTROL and GUARDRAIL_CONTROL_TOKEN. q or Ctrl-C ends it. Exits with 1 if no process answers.
    """
    from guardrail.cli.remote.places import read_places, read_token
    from guardrail.cli.remote.top import Wanted
    from guardrail.cli.remote.top import top as watch

    wanted = Wanted(read_places(url or ()), read_token(token), interval, once, as_json, apart, show_keys)
    raise typer.Exit(watch(wanted))


def breaker(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="That of its rule; rule/key where it has one for each key.")
    ],
    action: Annotated[Action, typer.Argument(help="open and close hold until reset.")],
    url: Urls = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Force a breaker of a running service, or reset it.

    In each process that answers, since each has breakers of its own. open and close hold until reset.
    """
    from guardrail.cli.remote.levers import breaker as move
    from guardrail.cli.remote.places import read_places, read_token

    raise typer.Exit(move(name, action.value, read_places(url or ()), read_token(token), as_json=as_json))


def key(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The name of the rule.")],
    words: Annotated[
        list[str],
        typer.Argument(metavar="[KEY...] show|reset", help="The key, in as many parts as the rule's key has."),
    ],
    url: Urls = None,
    token: Token = None,
    everything: Annotated[bool, typer.Option("--all", help="Without a KEY: forget all of them.")] = False,
    as_json: Json = False,
) -> None:
    """Show or forget what a running service counts for a key.

    With show: what its rule would say to a call now. In each process that answers; a shared limit is the same in all.
    """
    from guardrail.cli.remote.levers import reset_key, show_key
    from guardrail.cli.remote.places import read_places, read_token

    *parts, action = words
    if action not in {"show", "reset"}:
        raise typer.BadParameter("the last word must be show or reset", param_hint="KEY")
    if parts and everything:
        raise typer.BadParameter("give a KEY, or --all, not both", param_hint="--all")
    where = read_places(url or ()), read_token(token)
    if action == "show":
        raise typer.Exit(show_key(rule, parts, *where, as_json=as_json))
    raise typer.Exit(reset_key(rule, parts, *where, everything=everything, as_json=as_json))
