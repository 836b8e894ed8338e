"""Rules: whether the files can be used, and what is in them that does not count.

Law: a guard that reads these files makes the same of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from guardrail.cli.doctor.finding import FEW, Finding, Severity, fine
from guardrail.cli.words import number

if TYPE_CHECKING:
    from guardrail.errors import RuleError
    from guardrail.rules.ruleset import RuleSet

CODE = "rules.files"


class Read(NamedTuple):
    """Hold the rules in files, None where there are none to use, and what there is to say of them."""

    rules: RuleSet | None
    found: list[Finding]


def read_rules(path: str | None) -> Read:
    """Load the rules at *path*."""
    from guardrail.cli.loading import load
    from guardrail.errors import RuleError

    if not path:
        return Read(None, [_no_files()])
    try:
        rules = load(path)
    except RuleError as wrong:
        return Read(None, [_unusable(path, wrong)])
    measured = {"path": path, "rules": len(rules), "revision": rules.revision}
    usable = fine(CODE, f"{path}: {number(len(rules), 'rule')}, revision {rules.revision}", measured)
    return Read(rules, [usable, *_not_enforced(rules), *_linted(path)])


def _no_files() -> Finding:
    return Finding(
        Severity.NOTE,
        CODE,
        "no rule files are named",
        "only the rules that decorators make in code hold, and none can be changed while the service runs",
        "name them in GUARDRAIL_RULES; if the code names them, type --rules PATH here",
    )


def _unusable(path: str, wrong: RuleError) -> Finding:
    said = [str(problem._replace(excerpt=None)) for problem in wrong.problems]
    more = [f"and {len(said) - FEW:,} more"] if len(said) > FEW else []
    return Finding(
        Severity.ERROR,
        CODE,
        "; ".join([*said[:FEW], *more]),
        "a service that starts now ends with this error; one that runs keeps the rules it has",
        f"correct them: guardrail validate {path} shows every mistake with its line",
        {"path": path, "problems": said},
    )


def _not_enforced(rules: RuleSet) -> Iterator[Finding]:
    watching = [rule.name for rule in rules if rule.mode == "shadow"]
    off = [rule.name for rule in rules if rule.mode == "off"]
    if watching or off:
        yield Finding(
            Severity.NOTE,
            "rules.not-enforced",
            f"of {number(len(rules), 'rule')}, {' and '.join(_said(len(watching), len(off)))}",
            "they refuse nobody",
            "write mode: enforce once you have seen enough of them",
            {"shadow": watching, "off": off},
        )


def _said(watching: int, off: int) -> Iterator[str]:
    if watching:
        yield f"{watching:,} only {'watches' if watching == 1 else 'watch'}"
    if off:
        yield f"{off:,} {'is' if off == 1 else 'are'} off"


def _linted(path: str) -> Iterator[Finding]:
    from guardrail.cli.lint.command import judge

    found = () if path == "-" else judge(path).found  # what was piped in has been read
    if found:
        yield Finding(
            Severity.NOTE,
            "rules.lint",
            f"guardrail lint has {number(len(found), 'finding')}",
            "some rules can do nothing, or less than they seem to",
            f"read them: guardrail lint {path}",
            {"codes": sorted({one.finding.code for one in found})},
        )
