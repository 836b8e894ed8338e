"""The acts of the demo: what is done to the shop while its customers come and go, and what is made of it.

Law: an act makes at least one claim, and returns each as a check of what was measured.
"""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

from guardrail.cli.demo import checks, failure_checks
from guardrail.cli.demo.checks import Check, Rate
from guardrail.cli.demo.hearing import Move
from guardrail.cli.demo.stage import Act, Shop, Stage
from guardrail.cli.demo.standing import EACH, LOGIN, SEARCH, SUPPLIER
from guardrail.cli.demo.traffic import Answer

SEARCH_RATE, SEARCH_EDITED = Rate(10, 1, "10/s"), Rate(2, 1, "2/s")
LOGIN_RATE, LOGIN_EDITED = Rate(10, 60, "10/min"), Rate(20, 60, "20/min")
EDITS = (("rate: 10/s", "rate: 2/s"), ("rate: 10/min", "rate: 20/min"))
EACH_RATE = Rate(15, 1, "15/s")
GOOD, TYPO = "open_for: 1s", "open_fro: 1s"
PLACES = 3
VISITORS = 8


async def too_many_calls(stage: Stage) -> list[Check]:
    """Let everybody call, and see who is held to what."""
    history, mark, places = stage.street.history, stage.mark, len(stage.standings())
    await stage.watch(3.5)
    await stage.until(lambda: history.refused[SEARCH] > 0 and history.refused[EACH] > 0)
    together = f", by {places} processes together" if places > 1 else ""
    tuned = f"mallory is held to the file's 10/s, not the 30/s in the code{together}"
    added = f"a pattern rule of the file holds the crawler to 15/s{together}"
    return [
        checks.held_to(tuned, SEARCH_RATE, SEARCH, history.since(mark, client="mallory")),
        checks.held_to(added, EACH_RATE, EACH, history.since(mark, client="crawler")),
    ]


async def edit(stage: Stage) -> list[Check]:
    """Edit the rule file, and see it enforced in every place."""
    history, places = stage.street.history, len(stage.standings())
    earlier = await stage.ask_until_refused("carol", "/login", LOGIN)
    mark = stage.mark
    written_at = stage.edit(*EDITS)

    def last() -> Answer | None:
        """Return the first answer that names the new rate, of the place that was last to give one."""
        firsts: dict[int, Answer] = {}
        for one in history.since(mark, path="/search"):
            if one.rule == SEARCH and one.body["limit"] == SEARCH_EDITED.amount:
                firsts.setdefault(one.place, one)
        return max(firsts.values(), key=lambda one: one.received) if len(firsts) == places else None

    await stage.until(lambda: last() is not None)
    seen = last()
    later = await stage.ask_until_refused("carol", "/login", LOGIN)

    def since() -> list[Answer]:
        return [one for one in history.since(mark, client="mallory") if seen and one.sent >= seen.received]

    await stage.watch(3.0)
    await stage.until(lambda: seen is None or any(not one.allowed for one in since()))
    return [
        checks.enforced_in_time(written_at, seen, SEARCH_EDITED, SEARCH_RATE, since(), places),
        checks.used_stays_used(LOGIN_RATE, LOGIN_EDITED, earlier, later),
    ]


async def put_back(stage: Stage, claim: str, *mended: tuple[str, str]) -> Check:
    """Make the rule file what it was, and see it in force in every place."""
    mended_at = stage.edit(*mended, *((new, old) for old, new in EDITS if new in stage.text))
    taken_up = await stage.until(lambda: stage.revision == stage.opening)
    return checks.taken_up(claim, time.monotonic() - mended_at if taken_up else None)


async def _typo(stage: Shop) -> list[Check]:
    revision, known = stage.revision, len(stage.hearing.problems)
    stage.edit((GOOD, TYPO))
    mark = stage.mark
    await stage.until(lambda: len(stage.hearing.problems) > known)
    problems = [problem._replace(file=stage.rule_file.name) for problem in stage.hearing.problems[known:]]
    for problem in problems:
        stage.say(f"{problem}")
    refused = (await stage.ask_until_refused("patience", "/search", SEARCH))[-1]
    early = retry = None
    if refused.rule == SEARCH:
        early = await stage.street.ask("patience", "/search")
        await asyncio.sleep(refused.received + refused.body["retry_after"] - time.monotonic())
        retry = early if early.allowed else await stage.street.ask("patience", "/search")
    line, column = _place(stage.text, TYPO)
    unchanged = stage.revision == revision
    shown = checks.mistake_shown(problems, (line, column), stage.street.history.since(mark), unchanged=unchanged)
    exact = checks.retry_is_exact(refused if early else None, early, retry)
    taken_up = await put_back(stage, "the mended file is taken up", (TYPO, GOOD))
    await stage.watch(1.0)
    return [shown, exact, taken_up]


def _place(text: str, mistake: str) -> tuple[int, int]:
    """Return the line and the column of a mistake, as an editor counts."""
    return next(
        (number, line.index(mistake) + 1) for number, line in enumerate(text.splitlines(), 1) if mistake in line
    )


async def _failure(stage: Shop) -> list[Check]:
    history, moves, mark = stage.street.history, stage.hearing.moves, stage.mark
    failing_since = time.monotonic()
    stage.supplier.well = False
    stage.say("the supplier keeps callers waiting for 100 ms and then fails")

    def calls_while_open() -> tuple[Move, Move] | None:
        pairs = pairwise(moves)
        return next(
            (pair for pair in pairs if pair[0].to_state == "open" and pair[0].stood_in < pair[1].stood_in), None
        )

    await stage.until(lambda: calls_while_open() is not None)
    await stage.watch(1.5)
    between, prices = calls_while_open(), history.since(mark, path="/price")
    failing = [one for one in prices if failing_since <= one.sent and one.received <= moves[0].at] if moves else []
    return [failure_checks.opened(failing_since, moves), failure_checks.left_alone(between, prices, failing)]


async def _recovery(stage: Shop) -> list[Check]:
    well_since = time.monotonic()
    stage.supplier.well = True
    stage.say("the supplier answers within 5 ms again")
    await stage.until(lambda: stage.guard.breakers[SUPPLIER].state == "closed")
    answer = await stage.street.ask("carol", "/price")
    moves = list(stage.hearing.moves)
    await stage.watch(1.5)
    return [failure_checks.closed(well_since, moves, answer)]


async def _crowd(stage: Shop) -> list[Check]:
    stage.printer.jammed = True
    mark = stage.mark
    try:
        visits = [asyncio.create_task(stage.street.ask(f"visitor-{n}", "/report")) for n in range(VISITORS)]
        stage.say(f"the printer is jammed, and {VISITORS} visitors want a report at the same time")

        def answered() -> list[Answer]:
            return stage.street.history.since(mark, path="/report")

        await stage.until(lambda: len(answered()) + stage.printer.inside >= VISITORS)
        early = answered()
        await stage.watch(1.0)
    finally:
        stage.printer.jammed = False
    late = [one for one in await asyncio.gather(*visits) if one not in early]
    after = await stage.street.ask("visitor-0", "/report")
    return [failure_checks.kept_apart(PLACES, stage.printer.most_inside, early, late, after)]


ACTS: tuple[Act[Shop], ...] = (
    Act(
        "Too many calls",
        "mallory hammers /search, a crawler walks through every page, ada and bob shop",
        too_many_calls,
    ),
    Act("The rule file is edited", "everybody goes on calling; carol has just used up her logins", edit),
    Act("A typo in the rule file", "patience calls until she is refused, and then waits as long as she is told", _typo),
    Act("The supplier fails", "prices come from a supplier, behind a breaker with a fallback", _failure),
    Act("The supplier is well again", "the breaker lets a few calls try, and then all", _recovery),
    Act("Everybody wants a report", f"reports are printed one page at a time, {PLACES} at once", _crowd),
)
