"""A call as a server of threads sees it: let in or aborted, and ended with its final status.

Law: whoever is refused gets all metadata that was set before and the refusal's besides; a call that ended while it waited
gives back what it took. Of gRPC no more is asked than the rules need: a call that holds nothing ends without a question.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, ClassVar, NoReturn, Protocol

import grpc

from guardrail.adapters.escapes import refusal_of
from guardrail.adapters.grpc.attributes import Metadata, ServedAttributes, withdraw
from guardrail.adapters.grpc.options import SHORT_S, longest_wait
from guardrail.adapters.grpc.status import GONE, Answer, Trailers, answer_of, escaped, leave, status_of
from guardrail.admission.ambient import OUTERMOST, current_layer, set_layer
from guardrail.admission.quick import BARE
from guardrail.errors import Refused

if TYPE_CHECKING:
    from guardrail.adapters.grpc.options import Options
    from guardrail.admission.permit import Permit
    from guardrail.guard import Guard

# A server hears of a deadline after the fact, and on the clock of another thread: what ends so near to it was cut off by
# it, not by the caller.
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
        is_idle: A guard around this one has let it in, and ends it.
        permit: Ended by `finish` or `fail`. There is none when idle.
    """

    __slots__ = ("_published", "context", "is_idle", "permit")

    looks: ClassVar[bool] = True  # whether the call is still on
    permit: Permit

    def __init__(self, options: Options, resource: str, context: Context) -> None:
        self.context = context
        if self.looks and not context.is_active():
            self._cut_off()
        guard = options.current()
        attributes = ServedAttributes(resource, context, options.user, guard)
        around = current_layer()
        self.is_idle = around is not OUTERMOST and options.nesting.is_served(attributes, around)
        if self.is_idle:
            return
        permit = guard.at_once(resource, attributes, bare=True)
        if permit is None:
            permit = self._in_turn(guard, attributes)
        if permit is not BARE:
            if not permit:
                refused = permit.refusal()
                self._abort(answer_of(refused), refused)
            permit.is_held = True
        self.permit = permit
        self._published = set_layer((attributes, None, around))

    def rest(self) -> None:
        """Say that a message of a stream is on its way, and the handler at rest until the next one is wanted."""

    def resume(self) -> bool:
        """Tell whether the next one is wanted."""
        return True

    def finish(self) -> None:
        """End a call that was answered."""
        withdraw(self._published)
        permit = self.permit
        if permit is not BARE and permit.awaits_end:
            leave(permit, self._status(None))

    def fail(self, error: BaseException) -> None:
        """End a call whose handler raised. A refusal among its reasons is the answer, unless that was given already."""
        withdraw(self._published)
        refused = refusal_of(error)
        if refused is not None:
            self.permit.exit(refused)
            self._abort(escaped(refused), refused)
        elif isinstance(error.__cause__, Refused):  # aborted further in, by us
            self.permit.exit(error.__cause__)
        elif isinstance(error, GeneratorExit) and self.context.is_active():
            self.permit.exit(error)
        else:
            leave(self.permit, self._status(error), error if self.context.code() is None else None)

    def _in_turn(self, guard: Guard, attributes: ServedAttributes) -> Permit:
        """Wait for the call's turn, as long as it lives. Raises what aborts it, if it does not live to see it."""
        begun, remaining = monotonic(), self.context.time_remaining()
        if remaining == 0:
            self._cut_off()
        permit = guard.try_enter(attributes.resource, attributes, max_wait=longest_wait(remaining))
        if permit and monotonic() - begun > SHORT_S and not self._is_on():
            give_back(permit)
            self._cut_off()
        return permit

    def _is_on(self) -> bool:
        return self.context.is_active() and self.context.time_remaining() != 0

    def _status(self, error: BaseException | None) -> grpc.StatusCode:
        return status_of(self.context.code(), error) if self._is_on() else cut_off(self.context.time_remaining())

    def _cut_off(self) -> NoReturn:
        self.context.abort(cut_off(self.context.time_remaining()), TOO_LATE)

    def _abort(self, answer: Answer, refused: Refused) -> NoReturn:
        context = self.context
        context.set_trailing_metadata((*(context.trailing_metadata() or ()), *answer.trailers))
        try:
            context.abort(answer.code, answer.text)
        except Exception as aborted:
            raise aborted from refused  # by which guards further out know it


class FreshCall(ServedCall):
    """Let one call in whose only request has just come: gRPC itself has looked whether it is still on."""

    __slots__ = ()

    looks = False


def cut_off(remaining: float | None) -> grpc.StatusCode:
    """Return the status of a call that ended without an answer, with so many seconds left."""
    late = remaining is not None and remaining <= DEADLINE_SLACK_S
    return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED


def give_back(permit: Permit) -> None:
    """Give back all that a call took that has not begun."""
    permit.settle(0)
    permit.exit(GONE)
