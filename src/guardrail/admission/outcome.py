"""Outcome: whether a call that ended was a success, a failure, or says nothing about the other side.

Law: a cancellation and a refusal of guardrail's own are ignored whatever the rule lists; `ignore` wins over `failures`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guardrail.errors import Refused

if TYPE_CHECKING:
    from guardrail.core.verdict import Outcome

Exceptions = tuple[str | type[BaseException], ...]
Classify = Callable[[BaseException | None, bool], "Outcome"]


def plain_outcome(error: BaseException | None, failed: bool) -> Outcome:
    """Classify for rules that list no exceptions: every exception is a failure."""
    if error is None:
        return "failure" if failed else "success"
    return "failure" if _counts(error) else "ignored"


def classifier(failures: Exceptions | None, ignore: Exceptions) -> Classify:
    """Return how a breaker with these lists classifies. An exception in neither list is a success if there are failures."""
    if failures is None and not ignore:
        return plain_outcome
    from guardrail.rules.exceptions import ExceptionNames

    ignored = ExceptionNames(ignore)
    failing = None if failures is None else ExceptionNames(failures)

    def classify(error: BaseException | None, failed: bool) -> Outcome:
        if error is None:
            return "failure" if failed else "success"
        if not _counts(error) or ignored.matches(type(error)):
            return "ignored"
        return "failure" if failing is None or failing.matches(type(error)) else "success"

    return classify


def _counts(error: BaseException) -> bool:
    # Cancellation of every framework, GeneratorExit and KeyboardInterrupt are no `Exception`.
    return isinstance(error, Exception) and not isinstance(error, Refused)
