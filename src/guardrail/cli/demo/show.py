"""The show: acts that are played on a stage, before a screen.

Law: whatever ends it, in time or by an interrupt, everything is put away.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from guardrail import Guard
from guardrail.cli.demo import checks
from guardrail.cli.demo.acts import ACTS
from guardrail.cli.demo.checks import Check
from guardrail.cli.demo.hearing import Hearing
from guardrail.cli.demo.live import LiveScreen, can_draw
from guardrail.cli.demo.screen import PlainScreen, Screen
from guardrail.cli.demo.service import Printer, Supplier, application, quiet, serving, shop
from guardrail.cli.demo.stage import Act, S, Shop, Stage
from guardrail.cli.demo.standing import SUPPLIER
from guardrail.cli.demo.traffic import street
from guardrail.cli.exits import INTERRUPTED, OK, WRONG, say
from guardrail.cli.shipped import shipped

LONGEST_S = 34.0
WATCHED_S = 13.0  # of the acts, at their usual pace, somebody only watches so long
WAITED_S = 5.0  # and for so long something is waited for
SLOWEST_AND_FASTEST = 2.0, 0.2
POLITE = ("ada", "bob")

Performance = Callable[[Screen, Path], Coroutine[Any, Any, list[Check]]]


def run(seconds: float, plain: bool, acts: Sequence[Act[Shop]] = ACTS) -> int:
    """Show the embedded demo and return the exit code."""
    pace = pace_for(seconds, WATCHED_S, WAITED_S)
    return shown(plain, lambda screen, rule_file: perform(screen, rule_file, pace, acts))


async def perform(screen: Screen, rule_file: Path, pace: float, acts: Sequence[Act[Shop]]) -> list[Check]:
    """Play *acts* from opening the shop to closing it, and return what was found."""
    supplier, printer = Supplier(), Printer()
    hearing = Hearing(supplier)
    with (
        Guard(rule_file, store="memory://", listeners=[hearing]) as guard,
        serving(application(guard, shop(guard, supplier, printer))) as address,
    ):
        guard.mode = "enforce"  # whatever GUARDRAIL_MODE says
        async with street(address) as road:
            where = f"a shop on {address}"
            stage = Shop(where, rule_file, road, pace, screen.say, guard, supplier, printer, hearing)
            found = await play(screen, stage, acts, LONGEST_S)
    return [*found, *in_the_end(stage, hearing.refused)]


def pace_for(seconds: float, watched_s: float, waited_s: float) -> float:
    """Return how much to stretch the time for watching, so that all takes about so many seconds."""
    slowest, fastest = SLOWEST_AND_FASTEST
    return min(max(fastest, (seconds - waited_s) / watched_s), slowest)


def shown(plain: bool, perform: Performance) -> int:
    """Perform before a screen, with a rule file that may be edited, and return the exit code."""
    screen: Screen = PlainScreen() if plain or not can_draw() else LiveScreen()
    began = time.monotonic()
    try:
        with quiet(), TemporaryDirectory(prefix="guardrail-demo-") as folder:
            rule_file = Path(folder, "demo.yaml")
            rule_file.write_text(shipped("demo.yaml"), encoding="utf-8")
            found = asyncio.run(perform(screen, rule_file))
        screen.summary(found, time.monotonic() - began)
    except KeyboardInterrupt:
        say("\ninterrupted; everything is put away")
        return INTERRUPTED
    return OK if all(check.holds for check in found) else WRONG


async def play(screen: Screen, stage: S, acts: Sequence[Act[S]], longest_s: float) -> list[Check]:
    """Play *acts* while the customers come and go, and return what was found."""
    found: list[Check] = []
    screen.open(stage, acts)
    try:
        async with asyncio.timeout(longest_s), _drawing(screen), stage.street.busy():
            for act in acts:
                screen.begin(act)
                for check in await act.play(stage):
                    found.append(check)
                    screen.found(check)
    except TimeoutError:
        found.append(Check("the demo ends within 40 s", f"it had not after {longest_s:.1f} s", holds=False))
    finally:
        screen.close()
    return found


def in_the_end(stage: Stage, told: Counter[str]) -> list[Check]:
    """Check what has to hold of all answers together.

    Args:
        told: How many refusals listeners were told of, by rule.
    """
    answers = stage.street.history.answers
    answered = {rule: count for rule, count in told.items() if rule != SUPPLIER}  # the fallback answers these
    return [checks.polite_unharmed(POLITE, answers), checks.nothing_else(answers, answered)]


@asynccontextmanager
async def _drawing(screen: Screen) -> AsyncIterator[None]:
    """Refresh the screen again and again inside the block."""

    async def draw() -> None:
        while True:
            await asyncio.sleep(screen.interval_s)
            screen.refresh()

    task = asyncio.create_task(draw())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
