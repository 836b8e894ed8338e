"""The acts of the demo: what is done to the shop while its customers come and go, and what is made of it.

Law: an act waits for what it wants to see, up to a deadline of seconds; it never trusts that something takes a certain time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from guardrail import Guard, RuleError
from guardrail.cli import demo_checks as checks
from guardrail.cli.demo_checks import Check, Move, Rate
from guardrail.cli.demo_service import Printer, Supplier
from guardrail.cli.demo_traffic import Answer, Street
from guardrail.errors import Problem
from guardrail.telemetry.events import BreakerMoved, CallRefused, Event, RulesRejected

SEARCH, LOGIN, SUPPLIER, REPORT = (
    "shop.search/limit",
    "shop.login/limit",
    "supplier.price/breaker",
    "shop.report/bulkhead",
)
EACH = "per-client"
SEARCH_RATE, SEARCH_EDITED = Rate(10, 1, "10/s"), Rate(2, 1, "2/s")
LOGIN_RATE, LOGIN_EDITED = Rate(10, 60, "10/min"), Rate(20, 60, "20/min")
EDITS = (("rate: 10/s", "rate: 2/s"), ("rate: 10/min", "rate: 20/min"))
EACH_RATE = Rate(15, 1, "15/s")
GOOD, TYPO = "open_for: 1s", "open_fro: 1s"
PLACES = 3
VISITORS = 8
DEADLINE_S = 4.0
MOST_TRIES = 60


class Hearing:
    """Hear what the guard tells: refusals, moves of the breaker, rule files that cannot be used."""

    def __init__(self, supplier: Supplier) -> None:
        self.refused: Counter[str] = Counter()
        self.moves: list[Move] = []
        self.problems: list[Problem] = []
        self._supplier = supplier

    def __call__(self, event: Event) -> None:
        match event:
            case CallRefused():
                self.refused[event.rule] += 1
            case BreakerMoved():
                counts = self._supplier.calls, self._supplier.stood_in
                self.moves.append(Move(time.monotonic(), event.from_state, event.to_state, event.reason, *counts))
            case RulesRejected(error=RuleError() as error):
                self.problems.extend(error.problems)
            case _:
                pass


@dataclass
class Stage:
    """Hold all that an act can reach.

    Attributes:
        pace: Stretches the time in which there is only something to watch.
        say: Shows a line.
        text: What the rule file holds.
        opening: The revision of the rules with which the shop opened.
    """

    guard: Guard
    rule_file: Path
    supplier: Supplier
    printer: Printer
    hearing: Hearing
    street: Street
    pace: float
    say: Callable[[str], None]
    text: str = field(init=False)
    opening: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = self.rule_file.read_text(encoding="utf-8")
        self.opening = self.guard.rules.revision

    @property
    def mark(self) -> int:
        """The number of answers so far."""
        return len(self.street.history.answers)

    async def watch(self, seconds: float) -> None:
        """Let the customers go on for a while."""
        await asyncio.sleep(seconds * self.pace)

    async def until(self, seen: Callable[[], bool]) -> bool:
        """Wait until something is seen, not longer than the deadline; return whether it was."""
        deadline = time.monotonic() + DEADLINE_S
        while not (found := seen()) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return found

    async def ask_until_refused(self, client: str, path: str, rule: str) -> list[Answer]:
        """Ask until *rule* refuses, and return all answers. Refusals of other rules are waited for."""
        answers: list[Answer] = []
        for _ in range(MOST_TRIES):
            answers.append(await self.street.ask(client, path))
            if answers[-1].rule == rule:
                break
            await asyncio.sleep(answers[-1].body.get("retry_after") or 0)
        return answers

    def edit(self, *changes: tuple[str, str]) -> float:
        """Change the rule file in place, as an editor would; return when it was written."""
        for old, new in changes:
            assert self.text.count(old) == 1
            self.text = self.text.replace(old, new)
            self.say(f"{self.rule_file.name}: `{old}` becomes `{new}`")
        self.rule_file.write_text(self.text, encoding="utf-8")
        return time.monotonic()


class Act(NamedTuple):
    """Hold one act of the story."""

    title: str
    text: str
    play: Callable[[Stage], Awaitable[list[Check]]]


async def _too_many_calls(stage: Stage) -> list[Check]:
    mark = stage.mark
    await stage.watch(3.5)
    searches = stage.street.history.since(mark, client="mallory", path="/search")
    everything = stage.street.history.since(mark, client="crawler")
    claims = (
        "mallory is held to the file's 10/s, not the 30/s in the code",
        "a pattern rule of the file holds the crawler to 15/s",
    )
    return [
        checks.held_to(claims[0], SEARCH_RATE, SEARCH, searches),
        checks.held_to(claims[1], EACH_RATE, EACH, everything),
    ]


async def _edit(stage: Stage) -> list[Check]:
    history = stage.street.history
    earlier = await stage.ask_until_refused("carol", "/login", LOGIN)
    mark = stage.mark
    written_at = stage.edit(*EDITS)

    def first() -> Answer | None:
        answers = history.since(mark, path="/search")
        return next((one for one in answers if one.rule == SEARCH and one.body["limit"] == SEARCH_EDITED.amount), None)

    await stage.until(lambda: first() is not None)
    seen = first()
    later = await stage.ask_until_refused("carol", "/login", LOGIN)
    await stage.watch(3.0)
    since = [] if seen is None else [one for one in history.since(mark, client="mallory") if one.sent >= seen.received]
    return [
        checks.enforced_in_time(written_at, seen, SEARCH_EDITED, SEARCH_RATE, since),
        checks.used_stays_used(LOGIN_RATE, LOGIN_EDITED, earlier, later),
    ]


async def _typo(stage: Stage) -> list[Check]:
    revision, known = stage.guard.rules.revision, len(stage.hearing.problems)
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
    unchanged = stage.guard.rules.revision == revision
    shown = checks.mistake_shown(problems, (line, column), stage.street.history.since(mark), unchanged=unchanged)
    exact = checks.retry_is_exact(refused if early else None, early, retry)
    mended_at = stage.edit((TYPO, GOOD), *((new, old) for old, new in EDITS if new in stage.text))
    mended = await stage.until(lambda: stage.guard.rules.revision == stage.opening)
    taken_up = checks.taken_up(time.monotonic() - mended_at if mended else None)
    await stage.watch(1.0)
    return [shown, exact, taken_up]


def _place(text: str, mistake: str) -> tuple[int, int]:
    """Return the line and the column of a mistake, as an editor counts."""
    return next(
        (number, line.index(mistake) + 1) for number, line in enumerate(text.splitlines(), 1) if mistake in line
    )


async def _failure(stage: Stage) -> list[Check]:
    history, moves, mark = stage.street.history, stage.hearing.moves, stage.mark
    failing_since = time.monotonic()
    stage.supplier.well = False
    stage.say("the supplier keeps callers waiting for 100 ms and then fails")

    def trial() -> list[Move]:
        at = next((n for n, one in enumerate(moves) if one.at >= failing_since and one.to_state == "open"), len(moves))
        return moves[at : at + 2]

    await stage.until(lambda: len(trial()) == 2)
    await stage.watch(1.5)
    between, prices = trial(), history.since(mark, path="/price")
    opening, trying = (between[0].at, between[1].at) if len(between) == 2 else (0.0, 0.0)
    during = [one for one in prices if one.sent >= opening and one.received <= trying]
    failing = [one for one in prices if failing_since <= one.sent and one.received <= opening]
    return [checks.opened(failing_since, moves), checks.left_alone(between, during, failing)]


async def _recovery(stage: Stage) -> list[Check]:
    well_since = time.monotonic()
    stage.supplier.well = True
    stage.say("the supplier answers within 5 ms again")
    await stage.until(lambda: stage.guard.breakers[SUPPLIER].state == "closed")
    answer = await stage.street.ask("carol", "/price")
    moves = list(stage.hearing.moves)
    await stage.watch(1.5)
    return [checks.closed(well_since, moves, answer)]


async def _crowd(stage: Stage) -> list[Check]:
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
    return [checks.kept_apart(PLACES, stage.printer.most_inside, early, late, after)]


ACTS = (
    Act(
        "Too many calls",
        "mallory hammers /search, a crawler walks through every page, ada and bob shop",
        _too_many_calls,
    ),
    Act("The rule file is edited", "everybody goes on calling; carol has just used up her logins", _edit),
    Act("A typo in the rule file", "patience calls until she is refused, and then waits as long as she is told", _typo),
    Act("The supplier fails", "prices come from a supplier, behind a breaker with a fallback", _failure),
    Act("The supplier is well again", "the breaker lets a few calls try, and then all", _recovery),
    Act("Everybody wants a report", f"reports are printed one page at a time, {PLACES} at once", _crowd),
)
