"""Host: where decorated functions find their guard.

Law: while `epoch` is the same object, rules and guard are the same, so a plan made for it holds.
"""

from __future__ import annotations

import os
from threading import RLock
from typing import TYPE_CHECKING, Protocol

from guardrail.admission.inline import InlineRules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guardrail.admission.gate import Gate
    from guardrail.admission.ledger import Ledger
    from guardrail.rules.model import Rule


class Desk(Protocol):
    """Answer for the rules: a guard, as decorated functions see it."""

    ledger: Ledger

    def gates_for(self, resource: str, names: Sequence[str] | None) -> tuple[object, tuple[Gate, ...]]:
        """Return the gates of a resource and the epoch they belong to."""
        ...

    def check_rule(self, rule: Rule) -> None:
        """Raise RuleError where a rule file contradicts a rule in code."""

    def rule_changed(self, rule: Rule) -> None:
        """Put a rule in code in force that is new, or other than before."""


class Host:
    """Hold the guard of the moment, and the rules in code, which outlive it.

    Args:
        make: Makes the default guard, which takes its seat here.
    """

    __slots__ = ("_make", "_making", "desk", "epoch", "inline", "seating")

    def __init__(self, make: Callable[[], Desk] | None = None) -> None:
        self.inline = InlineRules()
        self.desk: Desk | None = None
        self.epoch: object = None
        self.seating = RLock()  # whoever changes `desk` or `epoch` holds it: the epoch is that of the guard at the desk
        self._make = make
        self._making: dict[int, RLock] = {}  # by process: what another thread held at a fork stays locked in the child

    def register(self, rule: Rule) -> None:
        """Put a rule in code in force; one that a file contradicts leaves everything as it was."""
        if self.desk is not None:
            self.desk.check_rule(rule)
        self.inline.put(rule.resource[0], rule)
        if self.desk is not None:
            self.desk.rule_changed(rule)

    def current(self) -> Desk:
        """Return the guard, making the default one at the first call that needs it."""
        if self.desk is None:
            assert self._make is not None
            with self._making.setdefault(os.getpid(), RLock()):
                if self.desk is None:
                    self._make()
        assert self.desk is not None
        return self.desk
