"""A call as a server of asyncio sees it: let in or aborted, and ended with its final status.

Law: whoever is refused gets all metadata that was set before and the refusal's besides; a call that ended while it waited
gives back what it took. Of gRPC no more is asked than the rules need: a call that holds nothing has the context as it is.
"""

from __future__ import annotations

from asyncio import CancelledError
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

import grpc.aio

from guardrail.adapters.escapes import refusal_of
from guardrail.adapters.grpc.attributes import Metadata, ServedAttributes, withdraw
from guardrail.adapters.grpc.nesting import StandIn
from guardrail.adapters.grpc.options import SHORT_S, longest_wait
from guardrail.adapters.grpc.served import TOO_LATE, cut_off, give_back
from guardrail.adapters.grpc.status import Answer, Trailers, answer_of, escaped, leave, status_of
from guardrail.admission.ambient import OUTERMOST, current_layer, set_layer
from guardrail.admission.quick import BARE
from guardrail.errors import Refused

if TYPE_CHECKING:
    from guardrail.adapters.grpc.options import Options
    from guardrail.admission.permit import Permit


class AioContext(Protocol):
    """Do what gRPC's contexts do for coroutines."""

    def time_remaining(self) -> float | None: ...
    def code(self) -> object: ...
    def peer(self) -> str: ...
    def invocation_metadata(self) -> Metadata | None: ...
    def trailing_metadata(self) -> Trailers | None: ...
    async def write(self, message: Any) -> None: ...
    async def abort(self, code: grpc.StatusCode, details: str, trailing_metadata: Trailers = ()) -> NoReturn: ...


class AioCall:
    """Let one call in: at once where the rules can, else `take_turn` has to be awaited before its handler runs.

    Attributes:
        context: What the handler gets.
        is_in: It was let in.
        permit: Ended by `finish` or `fail`. There is one when the call is in.
    """

    __slots__ = (
        "_around",
        "_attributes",
        "_begun",
        "_context",
        "_guard",
        "_is_idle",
        "_published",
        "context",
        "is_in",
        "permit",
    )

    looks: ClassVar[bool] = True  # whether the call is still on
    permit: Permit

    def __init__(self, options: Options, resource: str, context: AioContext) -> None:
        self._context = self.context = context
        self._guard = guard = options.current()
        self._attributes = attributes = ServedAttributes(resource, context, options.user, guard)
        self._around = around = current_layer()
        self._is_idle = around is not OUTERMOST and options.nesting.is_served(attributes, around)
        self._begun = (
            None if self._is_idle or context.time_remaining() == 0 else guard.at_once(resource, attributes, bare=True)
        )
        self.is_in = False
        if self._begun is not None and (self._begun is BARE or self._begun):
            self._let_in(self._begun)

    async def take_turn(self) -> bool:
        """Wait for the call's turn, as long as it lives. Raises what aborts it, if a rule says no.

        Returns:
            False: a guard around this one has let it in, and ends it.
        """
        if self._is_idle:
            return False
        context, attributes, permit = self._context, self._attributes, self._begun
        remaining = context.time_remaining()
        if remaining == 0:
            await context.abort(cut_off(remaining), TOO_LATE)
        if permit is None:
            begun, wait = monotonic(), longest_wait(remaining)
            permit = await self._guard.atry_enter(attributes.resource, attributes, max_wait=wait)
            if permit and monotonic() - begun > SHORT_S and context.time_remaining() == 0:
                give_back(permit)
                await context.abort(cut_off(0), TOO_LATE)
        if not permit:
            refused = permit.refusal()
            await abort(context, answer_of(refused), refused)
        self._let_in(permit)
        return True

    def _let_in(self, permit: Permit) -> None:
        self.is_in = True
        self.permit = permit
        if permit is not BARE:
            permit.is_held = True
            if permit.awaits_end:
                self.context = HandlerContext(self._context, permit)
        self._published = set_layer((self._attributes, None, self._around))

    def finish(self) -> None:
        """End a call that was answered."""
        withdraw(self._published)
        permit = self.permit
        if permit is not BARE and permit.awaits_end:
            remaining = self._context.time_remaining()
            leave(permit, cut_off(remaining) if remaining == 0 else status_of(self._context.code()))

    async def fail(self, error: BaseException) -> None:
        """End a call whose handler raised. A refusal among its reasons is the answer, unless that was given already."""
        withdraw(self._published)
        context = self._context
        refused = refusal_of(error)
        if refused is not None:
            self.permit.exit(refused)
            await abort(context, escaped(refused), refused)
        elif isinstance(error.__cause__, Refused):  # aborted further in, by us
            self.permit.exit(error.__cause__)
        elif isinstance(error, CancelledError | GeneratorExit | grpc.aio.InternalError):  # the last: nobody to send to
            leave(self.permit, cut_off(context.time_remaining()))
        else:
            leave(self.permit, status_of(context.code(), error), error if context.code() is None else None)


class FreshAioCall(AioCall):
    """Let one call in whose only request has just come: gRPC itself cuts it off where its time is up."""

    __slots__ = ()

    looks = False


class HandlerContext(StandIn):
    """Stand before the context of a call, to see when its stream begins and when the handler aborts it."""

    __slots__ = ("_has_begun", "_permit")

    _context: AioContext

    def __init__(self, context: AioContext, permit: Permit) -> None:
        self._context = context  # here: to call the parent would cost every call
        self._permit = permit
        self._has_begun = False

    def ignore(self, refused: Refused) -> None:
        """End the permits of this guard and those further out, as a guard further in refuses the call."""
        self._permit.exit(refused)
        if isinstance(self._context, HandlerContext):
            self._context.ignore(refused)

    async def write(self, message: Any) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._permit.begin()
        await self._context.write(message)

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Trailers = ()) -> NoReturn:
        leave(self._permit, status_of(code))  # before it is sent: the caller who sees it finds the place free
        await self._context.abort(code, details, tuple(trailing_metadata))

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        await self.abort(status.code, status.details, tuple(status.trailing_metadata or ()))


async def abort(context: AioContext, answer: Answer, refused: Refused) -> NoReturn:
    """Answer with the status of a refusal, and raise what ends the handler."""
    if isinstance(context, HandlerContext):
        context.ignore(refused)
    trailers = (*(context.trailing_metadata() or ()), *answer.trailers)
    try:
        await context.abort(answer.code, answer.text, trailers)
    except Exception as aborted:
        raise aborted from refused  # by which guards further out know it
