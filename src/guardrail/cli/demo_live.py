"""What the demo shows on a terminal: one picture that changes, and a table of what was claimed in the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from guardrail.cli.demo_acts import Act, Stage
from guardrail.cli.demo_checks import Check
from guardrail.cli.demo_screen import milliseconds, rule_rows, verdict
from guardrail.cli.demo_traffic import CUSTOMERS, TICK_S

BARS = " ▁▂▃▄▅▆▇█"
STATES = {"closed": "green", "open": "bold red", "half-open": "yellow"}
ROWS_WITHOUT_LINES = 23  # of the picture, so that it fits the terminal


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
        self._address = ""
        self._acts: Sequence[Act] = ()
        self._act: Act | None = None

    def open(self, stage: Stage, address: str, acts: Sequence[Act]) -> None:
        self._stage, self._address, self._acts = stage, address, acts
        self._live.start()

    def begin(self, act: Act) -> None:
        self._act = act

    def say(self, line: str) -> None:
        self._lines.append(Text(f"  · {line}", "cyan", no_wrap=True, overflow="ellipsis"))

    def found(self, check: Check) -> None:
        self._lines.append(_mark(check).append(f" {check.claim}", "default"))
        self._lines.append(Text(f"    {check.measured}", "dim"))
        for line in list(self._lines)[-2:]:
            line.no_wrap, line.overflow = True, "ellipsis"

    def refresh(self) -> None:
        if self._stage is not None:
            self._live.update(self._picture(self._stage), refresh=True)

    def close(self) -> None:
        self._live.stop()

    def summary(self, checks: Sequence[Check], seconds: float) -> None:
        if self._stage is not None:
            self._console.print(_rules(self._stage))
        table = Table("", "claimed", "measured", box=SIMPLE_HEAD, padding=(0, 1), expand=True)
        table.columns[1].ratio, table.columns[2].ratio = 1, 1
        for check in checks:
            table.add_row(_mark(check), check.claim, Text(check.measured, "default" if check.holds else "red"))
        self._console.print(table)
        colour = "bold green" if all(check.holds for check in checks) else "bold red"
        self._console.print(f"  {verdict(checks, seconds)}\n", style=colour)

    def _picture(self, stage: Stage) -> RenderableType:
        history = stage.street.history
        title = Text("  guardrail demo", "bold").append(f"  a shop on {self._address}", "default")
        title.append(f"  {history.age:.0f} s  {len(history.answers)} requests", "dim")
        parts: list[RenderableType] = [title, Text()]
        if self._act is not None:
            number = self._acts.index(self._act) + 1
            parts.append(Text(f"  {number}/{len(self._acts)} {self._act.title}", "bold magenta"))
            parts.append(Text(f"  {self._act.text}", "default", no_wrap=True, overflow="ellipsis"))
        parts += [_rules(stage), _customers(stage, self._console.width)]
        room = max(2, self._console.height - ROWS_WITHOUT_LINES)
        return Group(*parts, *list(self._lines)[-room:])


def _mark(check: Check) -> Text:
    return Text("  ✔", "bold green") if check.holds else Text("  ✘", "bold red")


def _rules(stage: Stage) -> RenderableType:
    table = _table("rule", "in force", "let in", "refused", "p50", "p99")
    for row in rule_rows(stage):
        in_force = Text(row.in_force, STATES.get(row.in_force, "default"))
        refused = Text(str(row.refused), "yellow" if row.refused else "dim")
        table.add_row(row.rule, in_force, str(row.allowed), refused, *milliseconds(row.latencies))
    return table


def _customers(stage: Stage, width: int) -> RenderableType:
    history = stage.street.history
    table = _table("customer", "who", "let in", "refused", "let in, every half second")
    table.columns[4].justify = "left"
    newest = int(history.age / TICK_S)
    for customer in CUSTOMERS:
        ticks = [history.ticks[customer.name][tick] for tick in range(max(0, newest - max(10, width - 62)), newest)]
        highest = max(ticks, default=0) or 1
        bars = "".join(BARS[-(-count * (len(BARS) - 1) // highest)] for count in ticks)
        refused = history.refused[customer.name]
        table.add_row(
            customer.name,
            customer.habit,
            str(history.allowed[customer.name]),
            Text(str(refused), "yellow" if refused else "dim"),
            Text(bars, "green"),
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), header_style="bold", show_edge=False)
    for n, name in enumerate(names):
        table.add_column(name, justify="left" if n < 2 else "right", no_wrap=True)
    return table
