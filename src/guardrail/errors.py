"""What guardrail raises.

GuardrailError
├── Refused            a rule said no; says which, why and when to come back
│   ├── RateLimited    a limit is used up
│   ├── BreakerOpen    the other side is not well
│   └── BulkheadFull   too many are inside
├── RuleError          rules that cannot be used (also a ValueError)
└── StoreError         a shared store cannot be used as configured
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardrail.core.verdict import Decision, Reason


class GuardrailError(Exception):
    """Stand above everything guardrail raises."""


class Refused(GuardrailError):
    """Say that a rule did not let the call go ahead.

    Attributes:
        resource: What was called.
        decision: The whole decision, with a verdict for every rule that was asked.
        rule: The name of the rule that refused.
        kind: `limit`, `breaker` or `bulkhead`.
        reason: One word, such as `rate` or `breaker_open`.
        retry_after: Seconds until a retry succeeds if nobody intervenes; None where no time can be named.
        is_outgoing: A client adapter's own call was refused: whoever called this service has used up nothing.
    """

    is_outgoing: bool = False

    def __init__(self, resource: str, decision: Decision) -> None:
        super().__init__(resource, decision)  # the arguments are what pickle rebuilds it from
        self.resource = resource
        self.decision = decision

    @property
    def rule(self) -> str | None:
        return self.decision.rule

    @property
    def kind(self) -> str | None:
        return self.decision.kind

    @property
    def reason(self) -> Reason | None:
        return self.decision.reason

    @property
    def retry_after(self) -> float | None:
        return self.decision.retry_after

    def __str__(self) -> str:
        return f"{self.resource}: {self.decision.sentence()}"


class RateLimited(Refused):
    """Say that a limit is used up, or smaller than the cost of the call."""


class BreakerOpen(Refused):
    """Say that a breaker keeps calls away from something that is failing."""


class BulkheadFull(Refused):
    """Say that as many calls as allowed are inside, and the queue did not move in time."""


# A message in pieces: what is in quotes, or in one that is never closed, and what is not. What stands in a file is quoted,
# or it is the end of a sentence: what was found instead.
_PIECES = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|['"].*|[^'"]+""", re.DOTALL)
_FOUND = re.compile(", got |, but YAML 1.1 reads ")


class Problem(NamedTuple):
    """Name one mistake in the rules and where it stands. Lines and columns count from 1."""

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        sentence = f"{place}: {self.message}" if place else self.message
        return f"{sentence}\n    {self.excerpt}" if self.excerpt else sentence

    def outline(self) -> str:
        """Say what is wrong and where, and nothing of what is written there but names of rules: it may be a secret."""
        said = ""
        for piece in _PIECES.findall(self.message):
            said += "..." if piece[0] in "'\"" and not said.endswith("rule ") else piece
        return str(self._replace(message=_FOUND.split(said)[0], excerpt=None))


class RuleError(GuardrailError, ValueError):
    """List every mistake found in the rules, all at once.

    Attributes:
        problems: The mistakes, in the order in which they stand in the files.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class StoreError(GuardrailError):
    """Say that a shared store cannot be used as configured."""
