"""Findings as people and programs read them.

Law: names and types for programs stay as they are; there may be more of them later. Nothing that a server says can do
anything to a terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from guardrail.cli.doctor.finding import Severity
from guardrail.cli.words import number, plainly

if TYPE_CHECKING:
    from rich.text import Text

    from guardrail.cli.doctor.finding import Finding

_COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "red"}
_WIDE = max(map(len, _COLOURS))


def lines(found: Sequence[Finding]) -> Iterator[str]:
    """Say what was found, and how much of it there is."""
    codes = max(len(finding.code) for finding in found)
    for finding in found:
        yield f"{finding.severity.word:{_WIDE}}  {finding.code:{codes}}  {plainly(finding.found)}"
        if finding.means:
            yield f"{'':{_WIDE}}  {'means':>{codes}}  {plainly(finding.means)}"
        if finding.advice:
            yield f"{'':{_WIDE}}  {'do':>{codes}}  {plainly(finding.advice)}"
    yield ""
    yield _counted(found)


def coloured(line: str) -> Text:
    """Give the first word of a line its colour."""
    from rich.text import Text

    word = line.partition(" ")[0]
    text = Text(line)
    if word in _COLOURS:
        text.stylize(f"bold {_COLOURS[word]}", 0, len(word))
    return text


def plain_values(found: Sequence[Finding]) -> dict[str, Any]:
    """Return the same for programs."""
    counts = Counter(finding.severity for finding in found)
    return {
        "ok": not counts[Severity.ERROR],
        "counts": {severity.word: counts[severity] for severity in Severity},
        "findings": [
            finding._asdict() | {"severity": finding.severity.word, "measured": dict(finding.measured)}
            for finding in found
        ],
    }


def _counted(found: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in found)
    said = [
        f"{counts[severity]:,} ok" if severity is Severity.OK else number(counts[severity], severity.word)
        for severity in sorted(counts, reverse=True)
    ]
    return ", ".join(said)
