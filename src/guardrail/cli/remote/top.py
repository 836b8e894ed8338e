"""`guardrail top`: look at running processes, once or as long as somebody watches."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.cli.exits import OK, WRONG, say, stop
from guardrail.cli.remote.client import Client
from guardrail.cli.remote.enforcing import trials_of
from guardrail.cli.remote.following import Follower, Followers
from guardrail.cli.remote.screen import drawn, lines
from guardrail.cli.remote.summing import picture_of
from guardrail.cli.terminal import on_terminal

if TYPE_CHECKING:
    from guardrail.cli.remote.figures import Picture
    from guardrail.cli.remote.following import Sight
    from guardrail.cli.remote.places import Place


class Wanted(NamedTuple):
    """Hold what was asked for."""

    places: Sequence[Place]
    token: str
    interval_s: float
    once: bool
    as_json: bool
    apart: bool
    show_keys: bool


def top(wanted: Wanted) -> int:
    """Show how the processes do, and return the exit code."""
    followers = Followers(
        [Follower(Client(place, wanted.token), show_keys=wanted.show_keys) for place in wanted.places]
    )
    try:
        first = followers.look()
        if all(sight.now is None for sight in first):
            _give_up(first, wanted.places)
        if wanted.once or not (wanted.as_json or on_terminal()):
            _show_once(followers, wanted)
        elif wanted.as_json:
            _stream(followers, wanted)
        else:
            _watch(followers, first, wanted)
    finally:
        followers.close()
    return OK


def plain_values(picture: Picture) -> dict[str, Any]:
    """Return a picture for programs."""
    return {"ok": True, **asdict(picture), "on_trial": [asdict(trial) for trial in trials_of(picture)]}


def _give_up(sights: Sequence[Sight], places: Sequence[Place]) -> None:
    troubles = [sight.trouble for sight in sights if sight.trouble] or [
        f"nobody listens at {places[0]} to {places[-1].port}"
    ]
    next_step = "is the service running, with GUARDRAIL_CONTROL and GUARDRAIL_CONTROL_TOKEN set as they are here?"
    known = any("token" in trouble or "version" in trouble for trouble in troubles)
    stop("; ".join(troubles) + ("" if known else f"; {next_step}"), WRONG)


def _pictures(sights: Sequence[Sight], wanted: Wanted) -> list[Picture]:
    if wanted.apart and sights:
        return [picture_of([sight], hashed=not wanted.show_keys) for sight in sights]
    return [picture_of(sights, hashed=not wanted.show_keys)]


def _show_once(followers: Followers, wanted: Wanted) -> None:
    time.sleep(wanted.interval_s)  # rates take two looks
    pictures = _pictures(followers.look(), wanted)
    if wanted.as_json:
        for picture in pictures:
            say(json.dumps(plain_values(picture), indent=2))
    else:
        say("\n".join(lines(pictures)))


def _stream(followers: Followers, wanted: Wanted) -> None:
    """Print a line of JSON for every look, until somebody ends it."""
    while True:
        time.sleep(wanted.interval_s)
        for picture in _pictures(followers.look(), wanted):
            say(json.dumps(plain_values(picture)))


def _watch(followers: Followers, first: Sequence[Sight], wanted: Wanted) -> None:
    from rich.console import Console
    from rich.live import Live

    from guardrail.cli.remote.keyboard import keyboard

    console = Console(highlight=False)
    with keyboard() as ended_within, Live(console=console, screen=True, auto_refresh=False) as live:
        sights = first
        while True:
            live.update(drawn(_pictures(sights, wanted), console.width, console.height), refresh=True)
            if ended_within(wanted.interval_s):
                return
            sights = followers.look()
