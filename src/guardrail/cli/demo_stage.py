"""The stage of the demo: all that an act can see and touch.

Law: an act waits for what it wants to see, up to a deadline of seconds; it never trusts that something takes a certain time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from guardrail import Guard, RuleError
from guardrail.cli.demo_checks import Move
from guardrail.cli.demo_service import Printer, Supplier
from guardrail.cli.demo_traffic import Answer, Street
from guardrail.errors import Problem
from guardrail.telemetry.events import BreakerMoved, CallRefused, Event, RulesRejected

DEADLINE_S = 4.0
LOOK_EVERY_S = 0.01
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
        for _ in range(round(DEADLINE_S / LOOK_EVERY_S)):
            if seen():
                return True
            await asyncio.sleep(LOOK_EVERY_S)
        return False

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
