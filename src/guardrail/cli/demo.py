"""The demo: a real HTTP service, guarded, under traffic, while its rules are edited and its dependency fails.

Law: whatever is shown is checked, and the exit code is 0 only if all of it was so. It uses this machine's loopback only, ends
within 40 s, and leaves nothing behind: no file, no thread, no server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from logging import NullHandler, getLogger
from pathlib import Path
from tempfile import TemporaryDirectory

from guardrail import Guard
from guardrail.cli import demo_checks as checks
from guardrail.cli.demo_acts import ACTS, SUPPLIER, Act
from guardrail.cli.demo_checks import Check
from guardrail.cli.demo_live import LiveScreen, can_draw
from guardrail.cli.demo_screen import PlainScreen, Screen
from guardrail.cli.demo_service import Printer, Supplier, application, serving, shop
from guardrail.cli.demo_stage import Hearing, Stage
from guardrail.cli.demo_traffic import street
from guardrail.cli.exits import INTERRUPTED, OK, WRONG, say
from guardrail.cli.shipped import shipped

LONGEST_S = 34.0
WATCHED_S = 13.0  # of the acts, at their usual pace, somebody only watches so long
WAITED_S = 5.0  # and for so long something is waited for
SLOWEST_AND_FASTEST = 2.0, 0.2
POLITE = ("ada", "bob")


def run(seconds: float = 20.0, plain: bool = False, acts: Sequence[Act] = ACTS) -> int:
    """Run the demo and return the exit code: 0 if all it claims is so, 1 if not, 130 if it was interrupted.

    Args:
        seconds: About how long it takes; 8 to 31.
        plain: Print lines instead of drawing.
    """
    screen: Screen = PlainScreen() if plain or not can_draw() else LiveScreen()
    pace = min(max(SLOWEST_AND_FASTEST[1], (seconds - WAITED_S) / WATCHED_S), SLOWEST_AND_FASTEST[0])
    began = time.monotonic()
    try:
        with _quiet("guardrail", "uvicorn"), TemporaryDirectory(prefix="guardrail-demo-") as folder:
            rule_file = Path(folder, "demo.yaml")
            rule_file.write_text(shipped("demo.yaml"), encoding="utf-8")
            found = asyncio.run(perform(screen, rule_file, pace, acts))
        screen.summary(found, time.monotonic() - began)
    except KeyboardInterrupt:
        say("\ninterrupted; everything is put away")
        return INTERRUPTED
    return OK if all(check.holds for check in found) else WRONG


async def perform(screen: Screen, rule_file: Path, pace: float, acts: Sequence[Act]) -> list[Check]:
    """Play *acts* from opening the shop to closing it, and return what was found."""
    found: list[Check] = []
    supplier, printer = Supplier(), Printer()
    hearing = Hearing(supplier)
    with (
        Guard(rule_file, store="memory://", listeners=[hearing]) as guard,
        serving(application(shop(guard, supplier, printer))) as address,
    ):
        guard.mode = "enforce"  # whatever GUARDRAIL_MODE says
        async with street(address) as road:
            stage = Stage(guard, rule_file, supplier, printer, hearing, road, pace, screen.say)
            screen.open(stage, address, acts)
            try:
                async with asyncio.timeout(LONGEST_S), _drawing(screen), road.busy():
                    for act in acts:
                        screen.begin(act)
                        for check in await act.play(stage):
                            found.append(check)
                            screen.found(check)
            except TimeoutError:
                found.append(Check("the demo ends within 40 s", f"it had not after {LONGEST_S:g} s", holds=False))
            finally:
                screen.close()
    answers = road.history.answers
    told = {rule: count for rule, count in hearing.refused.items() if rule != SUPPLIER}  # the fallback answers these
    return [*found, checks.polite_unharmed(POLITE, answers), checks.nothing_else(answers, told)]


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


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keep logs off the screen inside the block; whoever has configured logging gets them all the same."""
    silence = NullHandler()
    for name in names:
        getLogger(name).addHandler(silence)
    try:
        yield
    finally:
        for name in names:
            getLogger(name).removeHandler(silence)
