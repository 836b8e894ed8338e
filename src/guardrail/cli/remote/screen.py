"""The live picture on a terminal, and the same as plain lines.

Law: it fits the terminal, however small: every section keeps a few rows, and says how many it does not show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from guardrail.cli.remote.sections import Cell, Section, headlines, sections

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

    from guardrail.cli.remote.figures import Picture

FOOTER = "q ends"
NARROWEST = 12  # of a column that gives way
GAP = 2
FRAME = 2  # rows that a section takes beside its own: an empty one, and the names of its columns


def drawn(pictures: Sequence[Picture], width: int, height: int) -> Group:
    """Draw pictures, one below the other, in so much room."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for picture in pictures:
        lines = list(headlines(picture))
        parts += map(_text, lines)
        for section in fitting(sections(picture), height // len(pictures) - len(lines) - 1):
            parts += [Text(), _table(section, width)]
        parts.append(Text(FOOTER, "dim") if picture is pictures[-1] else Text())
    return Group(*parts)


def fitting(found: Sequence[Section], room: int) -> list[Section]:
    """Cut sections so that together they take no more than *room* rows. Those that find no room at all are left out."""
    shown = list(found)
    while shown and len(shown) * (FRAME + 1) > room:
        shown.pop()
    rows = [1] * len(shown)
    left = room - len(shown) * (FRAME + 1)
    while left > 0 and any(have < len(one.rows) for have, one in zip(rows, shown, strict=True)):
        for place, one in enumerate(shown):
            if left > 0 and rows[place] < len(one.rows):
                rows[place] += 1
                left -= 1
    return [_cut(one, most) for one, most in zip(shown, rows, strict=True)]


def lines(pictures: Iterable[Picture]) -> Iterator[str]:
    """Write pictures as plain lines."""
    for number, picture in enumerate(pictures):
        if number:
            yield ""
        yield from (line.text for line in headlines(picture))
        for section in sections(picture):
            yield ""
            yield from _lines(section)


def _cut(section: Section, most: int) -> Section:
    if len(section.rows) <= most:
        return section
    first, *others = section.columns
    bare = first.rstrip("*#")
    counted = f"{bare} ({most} of {len(section.rows):,}){first[len(bare) :]}"
    return Section((counted, *others), section.rows[:most])


def _lines(section: Section) -> Iterator[str]:
    names = tuple(Cell(name.rstrip("*#")) for name in section.columns)
    rows = [names, *section.rows]
    wide = _widths(section)
    for row in rows:
        cells = [
            f"{cell.text:>{width}}" if name.endswith("#") else f"{cell.text:{width}}"
            for name, cell, width in zip(section.columns, row, wide, strict=True)
        ]
        yield (" " * GAP).join(cells).rstrip()


def _table(section: Section, width: int) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, padding=(0, GAP, 0, 0), header_style="bold", show_edge=False)
    shown = _columns_that_fit(section, width)
    for name in section.columns[:shown]:
        table.add_column(
            _text(Cell(name.rstrip("*#"))),
            justify="right" if name.endswith("#") else "left",
            no_wrap=not name.endswith("*"),  # those give way, or all columns would alike
        )
    for row in section.rows:
        table.add_row(*map(_text, row[:shown]))
    return table


def _columns_that_fit(section: Section, width: int) -> int:
    """Return how many columns there is room for: where it is too narrow for all, the last ones are left out."""
    wide = [
        min(width_of, NARROWEST) if name.endswith("*") else width_of
        for name, width_of in zip(section.columns, _widths(section), strict=True)
    ]
    shown = len(wide)
    while shown > 1 and sum(wide[:shown]) + GAP * shown > width:
        shown -= 1
    return shown


def _widths(section: Section) -> list[int]:
    return [
        max(len(name.rstrip("*#")), *(len(row[place].text) for row in section.rows))
        for place, name in enumerate(section.columns)
    ]


def _text(cell: Cell) -> RenderableType:
    from rich.text import Text

    return Text(cell.text, cell.style, no_wrap=True, overflow="ellipsis")
