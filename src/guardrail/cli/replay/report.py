"""What a replay found, in tables.

Law: a number that may be too high says by how much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from guardrail.cli.words import lasting, number, plainly

if TYPE_CHECKING:
    from guardrail.cli.replay.result import Replayed
    from guardrail.cli.replay.tally import RuleTally
    from guardrail.telemetry.sketch import Counted

MOST_KEYS = 5
_LONGEST_KEY = 60


class Table(NamedTuple):
    """Hold rows of texts; a column whose name ends in `#` holds numbers."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def headline(done: Replayed) -> list[str]:
    """Say what was replayed, and what came of it over all rules."""
    new, old = done.new, done.old
    logs = ", ".join("what is piped in" if log == "-" else log for log in done.logs)
    slots = new.timeline.slots()
    lines = [f"Log:     {logs}, {number(done.reading.lines, 'line')}, {number(done.reading.calls, 'call')}"]
    if slots:
        lines.append(f"Time:    {moment(slots[0][0])} to {moment(slots[-1][0] + new.timeline.width_us)}")
    lines.append(f"Rules:   {new.rules.source}, {number(len(new.rules), 'rule')}, revision {new.rules.revision}")
    if old is not None:
        lines.append(f"Against: {old.rules.source}, {number(len(old.rules), 'rule')}, revision {old.rules.revision}")
    total = new.allowed + new.refused
    lines.append(f"Result:  {new.allowed:,} allowed, {new.refused:,} refused ({share(new.refused, total)})")
    if new.waited:
        mean = lasting(new.waited_us // new.waited)
        lines.append(f"         {number(new.waited, 'call')} let in after a wait of {mean} in the mean")
    return lines


def tables(done: Replayed) -> Iterator[Table]:
    """Lay out the numbers by rule, against the other rules, and by key."""
    yield _by_rule(done)
    if done.comparison is not None:
        yield _against(done)
        for title, sketch in (
            ("Newly refused, by resource", done.comparison.resources),
            ("Newly refused, by client", done.comparison.clients),
        ):
            if top := sketch.top(MOST_KEYS):
                yield Table(title, ("", "calls#"), [(key_text(one.key), count_text(one)) for one in top])
    for tally in done.new.tallies.values():
        if (keys := _by_key(tally)) is not None:
            yield keys


def moment(at_us: int) -> str:
    """Write a time as people in every country read it."""
    try:
        return f"{datetime.fromtimestamp(at_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{at_us / 1_000_000:,.0f} s"


def share(part: int, whole: int) -> str:
    """Say how much of the whole a part is."""
    if not whole or not part:
        return "0%"
    return f"{part / whole:.2%}" if part * 10_000 >= whole else "below 0.01%"


def key_text(key: str, parts: int = 1) -> str:
    """Show the key of a state as people know it."""
    values = _values(key) if parts > 1 else [key]
    return " + ".join("(missing)" if not value else _short(value) for value in values)


def count_text(one: Counted) -> str:
    """Show how often a key was counted, and how sure that is."""
    return f"{one.times:,}" if not one.error else f"{one.times - one.error:,} to {one.times:,}"


def _by_rule(done: Replayed) -> Table:
    old = done.old
    columns = ["rule", "kind", "asked#", "allowed#", "refused#", "share#", "would refuse#"]
    before = {} if old is None else old.tallies
    rows = []
    for name, tally in (before | done.new.tallies).items():
        row = [name, tally.rule.kind, *(_numbers(tally) if name in done.new.tallies else ("gone", *("",) * 4))]
        if old is not None:
            row.append(_before(before[name]) if name in before else "new")
        rows.append(tuple(row))
    if old is not None:
        columns.append("refused before#")
    if not any(tally.would_refuse for tally in done.new.tallies.values()):
        rows = [(*row[:6], *row[7:]) for row in rows]
        columns.remove("would refuse#")
    return Table("By rule", tuple(columns), rows)


def _numbers(tally: RuleTally) -> tuple[str, ...]:
    return (
        f"{tally.asked:,}",
        f"{tally.allowed:,}",
        f"{tally.refused:,}",
        share(tally.refused or tally.would_refuse, tally.asked),
        f"{tally.would_refuse:,}",
    )


def _before(tally: RuleTally) -> str:
    return f"{tally.refused:,}" + (f" ({tally.would_refuse:,} only watched)" if tally.would_refuse else "")


def _against(done: Replayed) -> Table:
    found = done.comparison
    assert found is not None
    rows = [
        ("allowed by both", found.both_allowed),
        ("refused by both", found.both_refused),
        ("newly refused", found.newly_refused),
        ("newly allowed", found.newly_allowed),
    ]
    return Table("New against old", ("calls", "how many#"), [(text, f"{count:,}") for text, count in rows])


def _by_key(tally: RuleTally) -> Table | None:
    if tally.callers is None or tally.turned_away is None or not tally.asked:
        return None
    parts = ["|".join(names) for names in tally.rule.key]
    refused = tally.turned_away.top(MOST_KEYS)
    top, what = (refused, "refused") if refused else (tally.callers.top(MOST_KEYS), "calls")
    rows = [(key_text(one.key, len(parts)), count_text(one)) for one in top]
    return Table(f"Top keys of '{tally.rule.name}'", (" + ".join(parts), f"{what}#"), rows)


def _values(key: str) -> list[str]:
    """Take a composite key apart, as `joined` in admission/call.py puts it together."""
    values = list[str]()
    while key:
        count, colon, rest = key.partition(":")
        if not colon or not count.isdecimal():
            return [*values, key]
        values.append(rest[: int(count)])
        key = rest[int(count) :]
    return values


def _short(value: str) -> str:
    if value.startswith("\0"):
        return f"(a long one, {value[1:9]})"
    return plainly(value if len(value) <= _LONGEST_KEY else f"{value[:_LONGEST_KEY]}...")
