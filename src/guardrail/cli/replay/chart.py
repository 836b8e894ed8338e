"""Allowed and refused over time, as one SVG or as a page that holds it.

Law: the file needs nothing else: no script, no font, no address. Texts from logs and rules are escaped. What the colours
say is written too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from guardrail.cli.replay.notes import notes
from guardrail.cli.replay.report import Table, headline, moment, tables
from guardrail.cli.words import lasting

if TYPE_CHECKING:
    from guardrail.cli.replay.result import Replayed
    from guardrail.cli.replay.tally import Timeline

_WIDE, _HIGH = 1_000, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 20, 64, 56
_MOST_BARS = 160
_LIGHT = {"ink": "#1b1f24", "dim": "#57606a", "line": "#d8dee4", "back": "#ffffff", "blue": "#4c8dd6", "red": "#cf4a22"}
_DARK = {"ink": "#e6edf3", "dim": "#9aa4af", "line": "#363c44", "back": "#0f1319", "blue": "#4c8dd6", "red": "#f0764d"}
# plain colours, no variables: not everything that shows an SVG is a browser
_CHART = """
.label{fill:%(dim)s}.title{fill:%(ink)s}.back{fill:%(back)s}.grid{stroke:%(line)s}.allowed{fill:%(blue)s}
.refused{fill:%(red)s}.old{stroke:%(ink)s}
"""
_SHAPES = """
text{font-family:system-ui,sans-serif}.label{font-size:13px}.title{font-size:16px;font-weight:600}.grid{stroke-width:1;fill:none}
.old{fill:none;stroke-width:1.5;stroke-dasharray:5 3}
"""
_COLOURS = f"{_SHAPES}{_CHART % _LIGHT}@media(prefers-color-scheme:dark){{{_CHART % _DARK}}}"
_PAGE = """
body{background:%(back)s;color:%(ink)s}th,td{border-bottom:1px solid %(line)s}th{color:%(dim)s}
"""
_PAGE_SHAPES = """
body{margin:2rem auto;max-width:64rem;padding:0 1rem;font:15px/1.5 system-ui,sans-serif}svg{width:100%;height:auto}
table{border-collapse:collapse;margin:0 0 1.5rem}th,td{padding:.25rem .8rem;text-align:left;overflow-wrap:anywhere}
th{font-weight:600}.number{text-align:right;font-variant-numeric:tabular-nums}h2{font-size:1.05rem;margin:1.5rem 0 .4rem}
pre{white-space:pre-wrap}
"""
_PAGE_COLOURS = f"{_PAGE_SHAPES}{_PAGE % _LIGHT}@media(prefers-color-scheme:dark){{{_PAGE % _DARK}}}"
_STEPS_US = [
    count * unit_us
    for unit_us, counts in (
        (1_000_000, (1, 2, 5, 10, 15, 30)),
        (60_000_000, (1, 2, 5, 10, 15, 30)),
        (3_600_000_000, (1, 2, 3, 6, 12)),
        (86_400_000_000, (1, 2, 7, 14, 28, 91, 182, 364)),
    )
    for count in counts
]


def svg(done: Replayed) -> str:
    """Draw the chart."""
    slots, width_us = _joined(done.new.timeline)
    old = [] if done.old is None else _joined(done.old.timeline)[0]
    grid = _grid(max([sum(counts) for _, *counts in (*slots, *old)], default=0))
    top = grid[-1]
    title = f"Calls in each {lasting(width_us)}: {done.new.allowed:,} allowed, {done.new.refused:,} refused"
    size = f'viewBox="0 0 {_WIDE} {_HIGH}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">',
        f"<style>{_COLOURS}</style>",
        f'<rect class="back" width="{_WIDE}" height="{_HIGH}"/>',
        f'<text class="title" x="{_LEFT}" y="24">{escape(title)}</text>',
        *_legend(has_old=bool(old)),
        *_scale(grid),
        *_bars(slots, top),
        *_line(slots, old, top),
        *_times(slots, width_us),
        "</svg>",
    ]
    return "\n".join(parts)


def page(done: Replayed) -> str:
    """Lay out chart, tables and notes as one page."""
    shown = "\n".join(_table(table) for table in tables(done))
    said = "".join(f"<p>{escape(note)}</p>" for note in notes(done))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>guardrail replay</title><style>{_PAGE_COLOURS}</style></head>\n"
        f"<body><h1>guardrail replay</h1><pre>{escape(chr(10).join(headline(done)))}</pre>\n"
        f"{svg(done)}\n{shown}\n{said}</body></html>\n"
    )


def _joined(timeline: Timeline) -> tuple[list[tuple[int, int, int]], int]:
    """Return few enough slots to be seen, and how wide they are."""
    slots, width_us = timeline.slots(), timeline.width_us
    while len(slots) > _MOST_BARS:
        pairs: dict[int, tuple[int, int]] = {}
        width_us *= 2
        for at_us, allowed, refused in slots:
            before = pairs.get(at_us // width_us, (0, 0))
            pairs[at_us // width_us] = before[0] + allowed, before[1] + refused
        slots = [(number * width_us, *counts) for number, counts in pairs.items()]
    return slots, width_us


def _grid(most: int) -> range:
    """Return round numbers from 0 to the first one at or above *most*, at most six of them."""
    step = 1
    while step * 5 < most:
        step = {"1": step * 2, "2": step * 5 // 2, "5": step * 2}[str(step)[0]]
    return range(0, max(most, 1) + step, step) if most % step else range(0, max(most, 1) + 1, step)


def _y(count: int, top: int) -> float:
    return _HIGH - _BOTTOM - (_HIGH - _TOP - _BOTTOM) * count / top


def _legend(*, has_old: bool) -> Iterator[str]:
    yield f'<rect class="allowed" x="{_LEFT}" y="38" width="12" height="12"/><text class="label" x="{_LEFT + 18}" y="49">allowed</text>'
    yield f'<rect class="refused" x="{_LEFT + 90}" y="38" width="12" height="12"/><text class="label" x="{_LEFT + 108}" y="49">refused</text>'
    if has_old:
        yield f'<path class="old" d="M{_LEFT + 180} 44h26"/><text class="label" x="{_LEFT + 213}" y="49">allowed by the old rules</text>'


def _scale(grid: range) -> Iterator[str]:
    for count in grid:
        y = _y(count, grid[-1])
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDE - _RIGHT}"/>'
        yield f'<text class="label" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{count:,}</text>'


def _bars(slots: Sequence[tuple[int, int, int]], top: int) -> Iterator[str]:
    wide = (_WIDE - _LEFT - _RIGHT) / max(1, len(slots))
    gap = min(1.5, wide / 5)
    for place, (at_us, allowed, refused) in enumerate(slots):
        x = _LEFT + place * wide
        said = f"<title>{escape(moment(at_us))}: {allowed:,} allowed, {refused:,} refused</title>"
        for name, low, high in ("allowed", 0, allowed), ("refused", allowed, allowed + refused):
            if high > low:
                y = _y(high, top)
                yield (
                    f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{min(wide - gap, 48):.1f}" '
                    f'height="{_y(low, top) - y:.1f}">{said}</rect>'
                )


def _line(slots: Sequence[tuple[int, int, int]], old: Sequence[tuple[int, int, int]], top: int) -> Iterator[str]:
    if old and slots:
        wide = (_WIDE - _LEFT - _RIGHT) / len(slots)
        steps = "".join(f"V{_y(allowed, top):.1f}h{wide:.1f}" for _, allowed, _ in old)
        yield f'<path class="old" d="M{_LEFT} {_y(old[0][1], top):.1f}{steps}"/>'


def _times(slots: Sequence[tuple[int, int, int]], width_us: int) -> Iterator[str]:
    if not slots:
        return
    first_us, span_us = slots[0][0], len(slots) * width_us
    step_us = next(
        (step for step in _STEPS_US if span_us / step <= 8), _STEPS_US[-1] * (1 + span_us // _STEPS_US[-1] // 8)
    )
    form = "%H:%M:%S" if step_us < 60_000_000 else "%H:%M" if step_us < 86_400_000_000 else "%m-%d"
    at_us = -(-first_us // step_us) * step_us
    while at_us < first_us + span_us:
        x = _LEFT + (_WIDE - _LEFT - _RIGHT) * (at_us - first_us) / span_us
        yield f'<path class="grid" d="M{x:.1f} {_HIGH - _BOTTOM}v6"/>'
        yield f'<text class="label" x="{x:.1f}" y="{_HIGH - _BOTTOM + 22}" text-anchor="middle">{_clock(at_us, form)}</text>'
        at_us += step_us
    yield f'<text class="label" x="{_WIDE - _RIGHT}" y="{_HIGH - 12}" text-anchor="end">from {escape(moment(first_us))}</text>'


def _clock(at_us: int, form: str) -> str:
    try:
        return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"{at_us // 1_000_000:,}"


def _table(table: Table) -> str:
    heads = "".join(f"<th{_class(name)}>{escape(name.removesuffix('#'))}</th>" for name in table.columns)
    rows = "".join(
        "<tr>"
        + "".join(f"<td{_class(name)}>{escape(text)}</td>" for name, text in zip(table.columns, row, strict=True))
        + "</tr>"
        for row in table.rows
    )
    return f"<h2>{escape(table.title)}</h2><table><tr>{heads}</tr>{rows}</table>"


def _class(column: str) -> str:
    return ' class="number"' if column.endswith("#") else ""
