"""What the demo shows, as plain lines: for logs, pipes and terminals that cannot draw.

Law: a screen only looks; what it shows is read from where the checks read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from guardrail.cli.demo.checks import Check
from guardrail.cli.demo.stage import Act, Stage
from guardrail.cli.demo.standing import EVERY_PAGE, PAGES, SUPPLIER
from guardrail.cli.exits import say


class Screen(Protocol):
    """Show the demo to somebody.

    Attributes:
        interval_s: How often it wants to be refreshed.
    """

    interval_s: float

    def open(self, stage: Stage, acts: Sequence[Act[Any]]) -> None: ...

    def begin(self, act: Act[Any]) -> None: ...

    def say(self, line: str) -> None: ...

    def found(self, check: Check) -> None: ...

    def refresh(self) -> None: ...

    def close(self) -> None: ...

    def summary(self, checks: Sequence[Check], seconds: float) -> None: ...


class RuleRow(NamedTuple):
    """Hold what is shown of one rule. Latencies are the median and the 99th percentile in milliseconds."""

    rule: str
    in_force: str
    allowed: int
    refused: int
    latencies: tuple[float, float] | None


def rule_rows(stage: Stage) -> list[RuleRow]:
    """Return a row for each rule, with the numbers that are in force now."""
    history, standings = stage.street.history, stage.standings()
    rows = []
    for rule, pages in PAGES.items():
        in_force = " or ".join(sorted({one.in_force.get(rule, "") for one in standings}))
        refused = sum(one.refused.get(rule, 0) for one in standings)
        allowed = sum(history.allowed[page] for page in pages)
        if rule == SUPPLIER:
            allowed = sum(one.supplier_calls for one in standings)
        rows.append(RuleRow(rule, in_force, allowed, refused, history.latencies(*pages)))
    return rows


def milliseconds(latencies: tuple[float, float] | None) -> tuple[str, str]:
    """Return median and 99th percentile as text."""
    return ("-", "-") if latencies is None else (f"{latencies[0]:.1f}", f"{latencies[1]:.1f}")


def verdict(checks: Sequence[Check], seconds: float) -> str:
    """Return the last line: whether everything was so."""
    wrong = sum(not check.holds for check in checks)
    return f"{len(checks) - wrong} of {len(checks)} claims hold; the demo took {seconds:.1f} s"


class PlainScreen:
    """Print a line for whatever happens, and one every other second for how things stand."""

    interval_s = 2.0

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._acts: Sequence[Act[Any]] = ()

    def open(self, stage: Stage, acts: Sequence[Act[Any]]) -> None:
        self._stage, self._acts = stage, acts
        say(f"guardrail demo: {stage.where}, rules in {stage.rule_file}")

    def begin(self, act: Act[Any]) -> None:
        say(f"\n{self._acts.index(act) + 1}/{len(self._acts)} {act.title}: {act.text}")

    def say(self, line: str) -> None:
        say(f"{self._age():5.1f} s  {line}".replace("\n", "\n         "))

    def found(self, check: Check) -> None:
        self.say(f"{'yes' if check.holds else 'NO '}  {check.claim}: {check.measured}")

    def refresh(self) -> None:
        if self._stage is not None:
            rows = rule_rows(self._stage)
            counts = ", ".join(f"{row.rule.partition('/')[0]} {row.allowed}/{row.refused}" for row in rows)
            p50, p99 = milliseconds(self._stage.street.history.latencies(*EVERY_PAGE))
            self.say(f"let in/refused: {counts}; {'; '.join(self._stage.notes())}; p50 {p50} ms, p99 {p99} ms")

    def close(self) -> None:
        pass

    def summary(self, checks: Sequence[Check], seconds: float) -> None:
        say("\nclaimed, measured, and whether it is so\n")
        for check in checks:
            say(f"  {'yes' if check.holds else 'NO '}  {check.claim}\n       {check.measured}")
        say(f"\n{verdict(checks, seconds)}")

    def _age(self) -> float:
        return 0.0 if self._stage is None else self._stage.street.history.age
