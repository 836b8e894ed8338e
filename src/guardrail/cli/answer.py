"""`guardrail explain`: the question answered on paper, on a terminal, or for a program."""

from __future__ import annotations

import json
from textwrap import fill
from typing import TYPE_CHECKING

from guardrail.cli.exits import OK, WRONG, say
from guardrail.cli.loading import load
from guardrail.cli.terminal import drawn, on_terminal
from guardrail.cli.validation import say_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from guardrail.cli.explanation import Explanation
    from guardrail.cli.question import Question
    from guardrail.cli.silence import Silent

_WIDTH = 100
_MOST_ELSEWHERE = 20  # rules about other resources that are listed unless all are wanted


def answer(question: Question, path: str, form: str, *, everything: bool) -> int:
    """Explain one call under the rules at *path*, and return the exit code."""
    from guardrail.cli.explanation import explain
    from guardrail.cli.values import plain_values
    from guardrail.errors import RuleError

    try:
        explanation = explain(load(path), question)
    except RuleError as wrong:
        if form == "json":
            say(json.dumps({"ok": False, "problems": [problem._asdict() for problem in wrong.problems]}, indent=2))
        else:
            say_problems(wrong.problems)
        return WRONG
    if form == "json":
        say(json.dumps(plain_values(explanation), indent=2))
    elif on_terminal():
        say(drawn(_tables(explanation, everything)))
    else:
        say("\n".join(_lines(explanation, everything)))
    return OK


def _lines(explanation: Explanation, everything: bool) -> Iterator[str]:
    from guardrail.cli.report import headline, introduction, sections

    yield from headline(explanation)
    yield from ("", fill(introduction(explanation), _WIDTH))
    for section in sections(explanation):
        yield from ("", section.title)
        wide = max(len(row.about) for row in section.rows)
        yield from (f"   {row.about:{wide}}  {row.sentence}" for row in section.rows)
    shown, more = _shown(explanation, everything)
    if shown:
        yield from ("", "Not asked:")
        wide = max(len(_named(one)) for one in shown)
        yield from (f"   {_named(one):{wide}}  {'; '.join(one.why)}" for one in shown)
    if more:
        yield f"   {more}"


def _tables(explanation: Explanation, everything: bool) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    from guardrail.cli.report import headline, introduction, sections

    for line in headline(explanation):
        yield Text(line)
    yield Text(f"\n{introduction(explanation)}")
    for section in sections(explanation):
        colour = "green" if section.enforced else "yellow"
        yield Text(f"\n{section.title}", f"bold {colour}")
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(style="dim", no_wrap=True)
        rows.add_column()
        for row in section.rows:
            rows.add_row(f"   {row.about}", Text(row.sentence))
        yield rows
    shown, more = _shown(explanation, everything)
    if shown:
        others = Table(title="\nNot asked", title_justify="left", title_style="bold", caption=more or None)
        for column in "rule", "why":
            others.add_column(column)
        for one in shown:
            others.add_row(Text(_named(one)), Text("\n".join(one.why)))
        yield others


def _named(one: Silent) -> str:
    return f"{one.rule.kind} {one.rule.name}"


def _shown(explanation: Explanation, everything: bool) -> tuple[list[Silent], str]:
    """Return the silent rules to list, and how many more there are."""
    fitting = sum(1 for one in explanation.silent if one.fits)
    most = len(explanation.silent) if everything else fitting + _MOST_ELSEWHERE
    more = len(explanation.silent) - most
    text = f"and {more:,} more, about other resources; --all lists them" if more > 0 else ""
    return list(explanation.silent[:most]), text
