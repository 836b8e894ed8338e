"""Outcome: whether a call that ended was a success, a failure, or says nothing about the other side.

Law: a cancellation and a refusal of guardrail's own are ignored whatever the rule lists, and so is a group of nothing
else; `ignore` wins over `failures`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guardrail.errors import Refused

if TYPE_CHECKING:
    from guardrail.core.verdict import Outcome
    from guardrail.rules.exceptions import ExceptionNames

Exceptions = tuple[str | type[BaseException], ...]
Classify = Callable[[BaseException | None, bool, str | None], "Outcome"]  # error, said to be a failure, status


def plain_outcome(error: BaseException | None, failed: bool, _code: str | None = None) -> Outcome:
    """Classify for rules that list nothing: every exception is a failure, and every answer that is said to be one."""
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

    def classify(error: BaseException | None, failed: bool, code: str | None = None) -> Outcome:
        if (error is not None and not _counts(error)) or _lists(ignored, error, code):
            return "ignored"
        if error is None and (code is None or failing is None):
            return "failure" if failed else "success"
        return "failure" if failing is None or _lists(failing, error, code) else "success"

    return classify


def _lists(names: ExceptionNames, error: BaseException | None, code: str | None) -> bool:
    """Tell whether an error, or the status of an answer, is among *names*."""
    return (error is not None and names.matches(type(error))) or (code is not None and names.has_code(code))


def _counts(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_counts(one) for one in error.exceptions)
    # Cancellation of every framework, GeneratorExit and KeyboardInterrupt are no `Exception`.
    return isinstance(error, Exception) and not isinstance(error, Refused)
