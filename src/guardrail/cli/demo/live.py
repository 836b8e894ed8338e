"""What the demo shows on a terminal: one picture that changes, and a table of what was claimed in the end."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from guardrail.cli.demo.checks import Check
from guardrail.cli.demo.screen import milliseconds, rule_rows, verdict
from guardrail.cli.demo.stage import Act, Stage
from guardrail.cli.demo.traffic import CUSTOMERS, TICK_S

BARS = " ▁▂▃▄▅▆▇█"
STATES = {"closed": "green", "open": "bold red", "half-open": "yellow"}
ROWS_WITHOUT_LINES = 21  # of the picture, so that it fits the terminal
ROOM_BESIDE_BARS = 57


def can_draw() -> bool:
    """Tell whether standard output is a terminal that can show the picture."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")


class LiveScreen:
    """Draw how things stand, several times a second."""

    interval_s = 0.2

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._lines: deque[Text] = deque(maxlen=40)
        self._stage: Stage | None = None
        self._acts: Sequence[Act[Any]] = ()
        self._act: Act[Any] | None = None
        self._at_first: dict[str, str] = {}

    def open(self, stage: Stage, acts: Sequence[Act[Any]]) -> None:
        self._stage, self._acts = stage, acts
        self._at_first = {row.rule: row.in_force for row in rule_rows(stage)}
        self._live.start()

    def begin(self, act: Act[Any]) -> None:
        self._act = act

    def say(self, line: str) -> None:
        self._lines += [_line(f"    {part}", "cyan") for part in line.splitlines()]

    def found(self, check: Check) -> None:
        self._lines += [_mark(check).append(f" {check.claim}", "default"), _line(f"    {check.measured}", "dim")]
        self.refresh()

    def refresh(self) -> None:
        if self._stage is not None:
            self._live.update(self._picture(self._stage), refresh=True)

    def close(self) -> None:
        self._live.stop()

    def summary(self, checks: Sequence[Check], seconds: float) -> None:
        if self._stage is not None:
            self._console.print(self._rules(self._stage))
        table = Table("", "claimed", "measured", box=SIMPLE_HEAD, padding=(0, 1), expand=True)
        table.columns[1].ratio, table.columns[2].ratio = 1, 1
        for check in checks:
            table.add_row(_mark(check), check.claim, Text(check.measured, "default" if check.holds else "red"))
        self._console.print(table)
        colour = "bold green" if all(check.holds for check in checks) else "bold red"
        self._console.print(f"  {verdict(checks, seconds)}\n", style=colour)

    def _picture(self, stage: Stage) -> RenderableType:
        history, act = stage.street.history, self._act
        title = _line("  guardrail demo", "bold").append(f"   {stage.where}", "not bold")
        title.append(f"   {history.age:.0f} s, {len(history.answers)} requests", "not bold dim")
        parts: list[RenderableType] = [title, Text()]
        if act is not None:
            parts.append(_line(f"  {self._acts.index(act) + 1} of {len(self._acts)}   {act.title}", "bold magenta"))
            parts.append(_line(f"  {act.text}"))
        notes = stage.notes() if len(stage.notes()) > 1 else ()
        parts += [Text(), self._rules(stage), Text(), _customers(stage, self._console.width), Text()]
        parts += [_line(f"  {note}") for note in notes]
        room = max(2, self._console.height - ROWS_WITHOUT_LINES - len(notes))
        return Group(*parts, *list(self._lines)[-room:])

    def _rules(self, stage: Stage) -> RenderableType:
        table = _table("rule", "in force", "let in", "refused", "p50 ms", "p99 ms")
        for row in rule_rows(stage):
            edited = "bold cyan" if row.in_force != self._at_first.get(row.rule) else "default"
            in_force = Text(row.in_force, STATES.get(row.in_force, edited))
            table.add_row(row.rule, in_force, str(row.allowed), _refused(row.refused), *milliseconds(row.latencies))
        return table


def _line(text: str, style: str = "default") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _mark(check: Check) -> Text:
    return _line("  ").append("✔" if check.holds else "✘", "bold green" if check.holds else "bold red")


def _refused(count: int) -> Text:
    return Text(str(count), "yellow" if count else "dim")


def _customers(stage: Stage, width: int) -> RenderableType:
    history = stage.street.history
    table = _table("customer", "who", "let in", "refused", "let in per half second")
    table.columns[4].justify = "left"
    newest = int(history.age / TICK_S)
    shown = range(max(0, newest - max(10, width - ROOM_BESIDE_BARS)), newest)
    highest = max((history.ticks[one.name][tick] for one in CUSTOMERS for tick in shown), default=1) or 1
    for name, habit, *_ in CUSTOMERS:
        bars = "".join(BARS[math.ceil(history.ticks[name][tick] * (len(BARS) - 1) / highest)] for tick in shown)
        table.add_row(name, habit, str(history.allowed[name]), _refused(history.refused[name]), Text(bars, "green"))
    return table


def _table(*names: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), header_style="bold", show_edge=False)
    for number, name in enumerate(names):
        table.add_column(name, justify="left" if number < 2 else "right", no_wrap=True)
    return table
