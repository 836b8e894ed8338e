"""`guardrail replay`: from what was typed to what is shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from guardrail.cli.exits import OK, WRONG, say, stop
from guardrail.cli.loading import load
from guardrail.cli.replay.json_lines import Field
from guardrail.cli.terminal import drawn, on_terminal
from guardrail.cli.validation import say_problems

if TYPE_CHECKING:
    from rich.console import RenderableType

    from guardrail.cli.replay.report import Table
    from guardrail.cli.replay.result import Replayed

_CHARTS = (".svg", ".html", ".htm")
_UNITS = ("s", "ms", "us", "ns")


class Wanted(NamedTuple):
    """Hold what was typed."""

    logs: Sequence[str]
    rules: str
    against: str | None
    fields: Sequence[str]
    at_end: bool
    spread: bool
    chart: Path | None
    form: str


def run(wanted: Wanted) -> int:
    """Replay logs, print what came of it, and return the exit code."""
    from guardrail.cli.replay.lines import Unreadable, size_of
    from guardrail.cli.replay.order import Order
    from guardrail.cli.replay.reading import Reading
    from guardrail.cli.replay.result import replay
    from guardrail.errors import RuleError

    _check(wanted)
    reading = Reading(read_fields(wanted.fields), at_end=wanted.at_end)
    try:
        rules, against = load(wanted.rules), None if wanted.against is None else load(wanted.against)
        size = size_of(wanted.logs)
        with _progress(size) as heard:
            done = replay(wanted.logs, rules, against, reading, Order(spread=wanted.spread), heard)
    except RuleError as wrong:
        if wanted.form == "json":
            say(json.dumps({"ok": False, "problems": [problem._asdict() for problem in wrong.problems]}, indent=2))
        else:
            say_problems(wrong.problems)
        return WRONG
    except Unreadable as wrong:
        stop(str(wrong), WRONG)
    if not reading.calls:
        _give_up(reading.unread, [f"line {one.number:,}: {one.why}: {one.text}" for one in reading.shown])
    if wanted.chart is not None:
        _draw(done, wanted.chart)
    _show(done, wanted)
    return OK


def read_fields(texts: Sequence[str]) -> dict[str, Field]:
    """Read what is where in JSON lines: `user=sub`, `duration=took:ms`.

    Raises:
        typer.BadParameter: It is not typed as it should be.
    """
    from guardrail.cli.replay.json_lines import USUAL
    from guardrail.rules.readers import read_attribute

    found = {}
    for text in texts:
        name, _, field = text.partition("=")
        if not name or not field:
            raise typer.BadParameter(f"must be name=field, such as user=sub, got {text!r}", param_hint="--field")
        unit = None
        if name == "duration" and field.rpartition(":")[2] in _UNITS:
            field, _, unit = field.rpartition(":")
        try:
            found[name] = Field.of(field, unit) if name in USUAL else Field.of(field)
            read_attribute(name)
        except ValueError as wrong:
            raise typer.BadParameter(f"{wrong} in {text!r}", param_hint="--field") from None
    return found


def _check(wanted: Wanted) -> None:
    if wanted.chart is not None and wanted.chart.suffix.lower() not in _CHARTS:
        raise typer.BadParameter(f"must end in .svg or .html, got {str(wanted.chart)!r}", param_hint="--chart")
    if [*wanted.logs, wanted.rules, wanted.against].count("-") > 1:
        raise typer.BadParameter("only one thing can be piped in as -")


def _give_up(unread: int, shown: Sequence[str]) -> None:
    if not unread:
        stop("there are no calls in the log", WRONG)
    stop("no line of the log could be read:\n" + "\n".join(f"  {line}" for line in shown), WRONG)


def _draw(done: Replayed, path: Path) -> None:
    from guardrail.cli.replay.chart import page, svg

    text = svg(done) + "\n" if path.suffix.lower() == ".svg" else page(done)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as wrong:
        stop(f"{path}: cannot be written: {wrong.strerror}", WRONG)


def _show(done: Replayed, wanted: Wanted) -> None:
    from guardrail.cli.replay.notes import notes
    from guardrail.cli.replay.report import headline, tables
    from guardrail.cli.replay.values import plain_values

    if wanted.form == "json":
        say(json.dumps(plain_values(done), indent=2))
        return
    ends = [*notes(done), *([f"Chart: {wanted.chart}"] if wanted.chart is not None else [])]
    if on_terminal():
        from rich.text import Text

        say(drawn([*map(Text, headline(done)), *_drawn_tables(tables(done)), Text(), *map(Text, ends)]))
        return
    lines = [*headline(done), *(line for table in tables(done) for line in _lines(table))]
    say("\n".join([*lines, *(["", *ends] if ends else [])]))


def _lines(table: Table) -> Iterator[str]:
    yield from ("", table.title)
    names = [name.removesuffix("#") for name in table.columns]
    wide = [max(len(row[place]) for row in (names, *table.rows)) for place in range(len(names))]
    for row in (names, *table.rows):
        cells = [
            f"{text:>{width}}" if name.endswith("#") else f"{text:{width}}"
            for name, text, width in zip(table.columns, row, wide, strict=True)
        ]
        yield f"   {'  '.join(cells)}".rstrip()


def _drawn_tables(tables: Iterator[Table]) -> Iterator[RenderableType]:
    from rich import table as rich_table
    from rich.text import Text

    for table in tables:
        drawn_table = rich_table.Table(title=f"\n{table.title}", title_justify="left", title_style="bold")
        for name in table.columns:
            drawn_table.add_column(name.removesuffix("#"), justify="right" if name.endswith("#") else "left")
        for row in table.rows:
            drawn_table.add_row(*map(Text, row))
        yield drawn_table


@contextmanager
def _progress(size: int | None) -> Iterator[Callable[[int, int], None]]:
    """Show how far it is, where somebody looks."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _bytes, _lines: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.fields[lines]:>12,} lines"), BarColumn(None), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=size, lines=0)
        yield lambda byte, lines: progress.update(task, completed=byte, lines=lines)
