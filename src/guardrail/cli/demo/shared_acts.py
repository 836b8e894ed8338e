"""The acts of `demo --redis`: what is done to a shop of several processes, and to the Redis that they share.

Law: as in `acts`.
"""

from __future__ import annotations

import time

from guardrail.cli.demo import checks, shared_checks
from guardrail.cli.demo.acts import LOGIN_RATE, SEARCH_RATE, edit, put_back, too_many_calls
from guardrail.cli.demo.branches import Outage
from guardrail.cli.demo.checks import Check
from guardrail.cli.demo.shared_stage import Branches
from guardrail.cli.demo.stage import Act
from guardrail.cli.demo.standing import LOGIN, SEARCH

PROCESSES = 3
TIMEOUT_S = 0.25
LOGINS = 36
STORM, HANDS = 400, 6
LONGEST_BEAT_S = 8.0  # processes count one another every 5 s


async def _together(stage: Branches) -> list[Check]:
    held = await too_many_calls(stage)
    logins = await stage.street.ask_often("grace", "/login", LOGINS, LOGINS)
    return [*held, shared_checks.exact(LOGIN_RATE, LOGIN, PROCESSES, logins)]


async def _storm(stage: Branches) -> list[Check]:
    async with stage.street.empty():
        stage.say("everybody else is at home, so that Redis works for eve alone")
        before = stage.redis.scripts_run()
        answers = await stage.street.ask_often("eve", "/login", STORM, HANDS)
        scripts = stage.redis.scripts_run() - before
    return [shared_checks.costs_nothing(scripts, answers)]


async def _edit(stage: Branches) -> list[Check]:
    edited = await edit(stage)
    return [*edited, await put_back(stage, "the file is put back: every process follows")]


async def _outage(stage: Branches) -> list[Check]:
    await stage.until(lambda: all(one.sharers == PROCESSES for one in stage.standings()), LONGEST_BEAT_S)
    history, mark = stage.street.history, stage.mark
    stage.redis.pause()
    paused_at = time.monotonic()
    stage.say("Redis stands still: it accepts connections, and answers nothing")
    await stage.until(lambda: all(branch.is_away for branch in stage.branches))
    known_at = time.monotonic()
    logins = await stage.street.ask_often("dave", "/login", 2 * PROCESSES, 1)
    await stage.watch(2.5)
    answers = [one for one in history.since(mark) if one.sent >= paused_at]
    later = [one for one in answers if one.sent >= known_at]
    mallorys = [one for one in later if one.client == "mallory"]  # until then, refusals remembered from Redis go on
    return [
        shared_checks.noticed(paused_at, _outages(stage)),
        shared_checks.held_to_shares(SEARCH_RATE, SEARCH, PROCESSES, mallorys),
        shared_checks.denied(LOGIN, logins),
        shared_checks.nobody_waits(TIMEOUT_S, answers, later),
    ]


async def _recovery(stage: Branches) -> list[Check]:
    history = stage.street.history
    resumed_at = time.monotonic()
    stage.redis.resume()
    stage.say("Redis goes on where it stood")
    await stage.until(lambda: not any(branch.is_away for branch in stage.branches))
    login = await stage.street.ask("dave", "/login")
    mark = stage.mark
    await stage.watch(2.5)
    await stage.until(lambda: any(one.rule == SEARCH for one in history.since(mark)))
    since = [one for one in history.since(mark, client="mallory") if one.sent >= login.received]
    again = "one limit for all processes again: mallory is held to 10/s"
    return [
        shared_checks.seen_again(resumed_at, _outages(stage), login),
        checks.held_to(again, SEARCH_RATE, SEARCH, since),
    ]


def _outages(stage: Branches) -> list[Outage | None]:
    return [branch.outages[-1] if branch.outages else None for branch in stage.branches]


ACTS = (
    Act(
        "Too many calls, for several processes",
        f"mallory, a crawler, ada and bob are sent to {PROCESSES} processes in turn; grace tries {LOGINS} passwords at once",
        _together,
    ),
    Act("A storm", f"eve tries {STORM} passwords, as fast as she can", _storm),
    Act("The rule file is edited", "every process follows it; carol has just used up her logins", _edit),
    Act("Redis stands still", "limits go on in shares; logins, which deny without it, are refused", _outage),
    Act("Redis goes on", "the processes look for it by themselves", _recovery),
)
