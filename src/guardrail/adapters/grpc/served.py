"""A call as a server of threads sees it: let in or aborted, and ended with its final status.

Law: whoever is refused gets all metadata that was set before and the refusal's besides; a call that ended while it waited
gives back what it took.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, NoReturn, Protocol

import grpc

from guardrail.adapters.grpc.attributes import Metadata, ServedAttributes, withdraw
from guardrail.adapters.grpc.options import SHORT_S, Options, longest_wait
from guardrail.adapters.grpc.status import (
    GONE,
    Answer,
    Trailers,
    answer_of,
    escaped,
    leave,
    refusal_in,
    status_of,
)
from guardrail.admission.ambient import publish
from guardrail.errors import Refused

if TYPE_CHECKING:
    from guardrail.admission.permit import Permit

# The caller's clock runs out a moment before the server's: what is cut off in this time was cut off by the deadline.
DEADLINE_SLACK_S = 0.02
TOO_LATE = "the call had ended before it was its turn"


class Context(Protocol):
    """Do what gRPC's contexts of both kinds of servers do for handlers in threads."""

    def time_remaining(self) -> float | None: ...
    def is_active(self) -> bool: ...
    def code(self) -> object: ...
    def peer(self) -> str: ...
    def invocation_metadata(self) -> Metadata | None: ...
    def trailing_metadata(self) -> Trailers | None: ...
    def set_trailing_metadata(self, trailing_metadata: Trailers) -> None: ...
    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn: ...


class ServedCall:
    """Let one call in. Raises what aborts it, if a rule says no.

    Attributes:
        context: What the handler gets.
        permit: Ended by `finish` or `fail`.
    """

    __slots__ = ("_has_deadline", "_published", "context", "permit")

    def __init__(self, options: Options, resource: str, context: Context) -> None:
        self.context = context
        begun = monotonic()
        wait = longest_wait(self._remaining())
        self._has_deadline = wait is not None
        attributes = ServedAttributes(resource, context, options.user)
        self.permit = options.current().try_enter(resource, attributes, max_wait=wait)
        if not self.permit:
            refused = self.permit.refusal()
            self._abort(answer_of(refused), refused)
        self.permit.is_held = True
        if monotonic() - begun > SHORT_S:
            try:
                self._remaining()
            except Exception:
                give_back(self.permit)
                raise
        self._published = publish(attributes)

    def rest(self) -> None:
        """Say that a message of a stream is on its way, and the handler at rest until the next one is wanted."""

    def resume(self) -> bool:
        """Tell whether the next one is wanted."""
        return True

    def finish(self) -> None:
        """End a call that was answered."""
        withdraw(self._published)
        leave(self.permit, self._status(None))

    def fail(self, error: BaseException) -> None:
        """End a call whose handler raised. A refusal among its reasons is the answer, unless that was given already."""
        withdraw(self._published)
        refused = refusal_in(error)
        if refused is not None:
            self.permit.exit(refused)
            self._abort(escaped(refused), refused)
        elif isinstance(error.__cause__, Refused):  # aborted further in, by us
            self.permit.exit(error.__cause__)
        elif isinstance(error, GeneratorExit) and self.context.is_active():
            self.permit.exit(error)
        else:
            leave(self.permit, self._status(error), error if self.context.code() is None else None)

    def _remaining(self) -> float | None:
        """Return how many seconds the call has left. Raises what aborts it, if it is over."""
        context = self.context
        remaining = context.time_remaining()
        if not context.is_active() or remaining == 0:
            context.abort(cut_off(remaining), TOO_LATE)
        return remaining

    def _status(self, error: BaseException | None) -> grpc.StatusCode:
        context = self.context
        remaining = context.time_remaining() if self._has_deadline else None
        is_on = context.is_active() and remaining != 0
        return status_of(context.code(), error) if is_on else cut_off(remaining)

    def _abort(self, answer: Answer, refused: Refused) -> NoReturn:
        context = self.context
        context.set_trailing_metadata((*(context.trailing_metadata() or ()), *answer.trailers))
        try:
            context.abort(answer.code, answer.text)
        except Exception as aborted:
            raise aborted from refused  # by which guards further out know it


def cut_off(remaining: float | None) -> grpc.StatusCode:
    """Return the status of a call that ended without an answer, with so many seconds left."""
    late = remaining is not None and remaining <= DEADLINE_SLACK_S
    return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED


def give_back(permit: Permit) -> None:
    """Give back all that a call took that has not begun."""
    permit.settle(0)
    permit.exit(GONE)
