"""Rules with the places they were written at, and findings that point there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from guardrail.errors import Problem
from guardrail.rules.document import Placed, read_document
from guardrail.rules.page import Page
from guardrail.rules.reader import read
from guardrail.rules.tree import Tree

if TYPE_CHECKING:
    from guardrail.rules.model import Rule
    from guardrail.rules.tree import Path


class Finding(NamedTuple):
    """Hold one finding.

    Attributes:
        code: One word for it, such as `never-binds`; it stays what it is.
        where: The field it is about, inside of the rule; empty: the rule.
        wrong: What is wrong.
        advice: What to do.
    """

    code: str
    rule: Rule
    where: Path
    wrong: str
    advice: str

    @property
    def message(self) -> str:
        """Both in one sentence."""
        return f"{self.wrong}; {self.advice} [{self.code}]"


class Located(NamedTuple):
    """Hold a finding and where it stands."""

    finding: Finding
    problem: Problem


class Places:
    """Know where each rule of some files was written."""

    def __init__(self, placed: Sequence[Placed]) -> None:
        self._placed = {one.rule.name: one for one in placed if one.rule is not None}

    @classmethod
    def of_files(cls, files: dict[str, bytes]) -> Places:
        """Read files that are known to hold good rules."""
        return cls(list(_placed(files)))

    def locate(self, finding: Finding) -> Located:
        """Find out where a finding stands."""
        placed = self._placed[finding.rule.name]
        before = len(placed.origin.problems)
        placed.origin.report((*placed.path, *finding.where), finding.message)
        problems = placed.origin.problems
        return Located(finding, problems.pop() if len(problems) > before else Problem(finding.message))

    def name(self, rule: Rule) -> str:
        """Name a rule and its place, as in `'per-user' (api.yaml:3)`."""
        placed = self._placed[rule.name]
        return f"'{rule.name}' ({placed.origin.where(placed.path)})"


def _placed(files: dict[str, bytes]) -> Iterator[Placed]:
    for name, content in files.items():
        tree: Tree = read(Page.of(name, content), os.environ)
        yield from read_document(tree)
