"""The stage of the demo: all that an act can see and touch.

Law: an act waits for what it wants to see, up to a deadline of seconds; it never trusts that something takes a certain time.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from guardrail import Guard
from guardrail.cli.demo.checks import Check
from guardrail.cli.demo.hearing import Hearing
from guardrail.cli.demo.service import Printer, Supplier
from guardrail.cli.demo.standing import SUPPLIER, Standing, standing
from guardrail.cli.demo.traffic import Answer, Street

DEADLINE_S = 4.0
LOOK_EVERY_S = 0.01
MOST_TRIES = 60


@dataclass
class Stage(ABC):
    """Hold what every act can reach.

    Attributes:
        where: What is on show, for the title.
        pace: Stretches the time in which there is only something to watch.
        say: Shows a line.
        text: What the rule file holds.
        opening: The revision of the rules with which the shop opened.
    """

    where: str
    rule_file: Path
    street: Street
    pace: float
    say: Callable[[str], None]
    text: str = field(init=False)
    opening: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = self.rule_file.read_text(encoding="utf-8")
        self.opening = self.revision

    @abstractmethod
    def standings(self) -> Sequence[Standing]:
        """Return how the shop stands, in each of its places."""

    @abstractmethod
    def notes(self) -> Sequence[str]:
        """Return what else there is to say of how things stand."""

    @property
    def revision(self) -> str:
        """The revision of the rules that are in force everywhere; nothing while places differ."""
        revisions = {one.revision for one in self.standings()}
        return revisions.pop() if len(revisions) == 1 else ""

    @property
    def mark(self) -> int:
        """The number of answers so far."""
        return len(self.street.history.answers)

    async def watch(self, seconds: float) -> None:
        """Let the customers go on for a while."""
        await asyncio.sleep(seconds * self.pace)

    async def until(self, seen: Callable[[], bool], deadline_s: float | None = None) -> bool:
        """Wait until something is seen, not longer than the deadline; return whether it was."""
        for _ in range(round((deadline_s or DEADLINE_S) / LOOK_EVERY_S)):
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


@dataclass
class Shop(Stage):
    """Hold a shop in this process, with all that is inside."""

    guard: Guard
    supplier: Supplier
    printer: Printer
    hearing: Hearing

    def standings(self) -> list[Standing]:
        return [standing(self.guard, self.supplier, self.printer, self.hearing)]

    def notes(self) -> list[str]:
        return [f"breaker {self.standings()[0].in_force[SUPPLIER]}"]


S = TypeVar("S", bound=Stage)


class Act(NamedTuple, Generic[S]):
    """Hold one act of the story."""

    title: str
    text: str
    play: Callable[[S], Awaitable[list[Check]]]
