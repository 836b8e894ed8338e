"""A call as a server of asyncio sees it: let in or aborted, and ended with its final status.

Law: whoever is refused gets all metadata that was set before and the refusal's besides; a call that ended while it waited
gives back what it took.
"""

from __future__ import annotations

from asyncio import CancelledError
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

import grpc.aio

from guardrail.adapters.grpc.attributes import Metadata, ServedAttributes, withdraw
from guardrail.adapters.grpc.options import SHORT_S, longest_wait
from guardrail.adapters.grpc.served import TOO_LATE, cut_off, give_back
from guardrail.adapters.grpc.status import Answer, Trailers, answer_of, escaped, leave, refusal_in, status_of
from guardrail.admission.ambient import publish
from guardrail.errors import Refused

if TYPE_CHECKING:
    from contextvars import Token

    from guardrail.adapters.grpc.options import Options
    from guardrail.admission.ambient import Layer
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
    """Hold one call that was let in.

    Attributes:
        context: What the handler gets.
        permit: Ended by `finish` or `fail`.
    """

    __slots__ = ("_context", "_published", "context", "permit")

    def __init__(self, context: AioContext, permit: Permit, published: Token[Layer]) -> None:
        self._context = context
        self._published = published
        self.context = HandlerContext(context, permit)
        self.permit = permit

    @classmethod
    async def enter(cls, options: Options, resource: str, context: AioContext) -> Self:
        """Let one call in. Raises what aborts it, if a rule says no."""
        begun = monotonic()
        remaining = context.time_remaining()
        if remaining == 0:
            await context.abort(cut_off(remaining), TOO_LATE)
        attributes = ServedAttributes(resource, context, options.user)
        permit = await options.current().atry_enter(resource, attributes, max_wait=longest_wait(remaining))
        if not permit:
            refused = permit.refusal()
            await abort(context, answer_of(refused), refused)
        permit.is_held = True
        if monotonic() - begun > SHORT_S and context.time_remaining() == 0:
            give_back(permit)
            await context.abort(cut_off(0), TOO_LATE)
        return cls(context, permit, publish(attributes))

    def finish(self) -> None:
        """End a call that was answered."""
        withdraw(self._published)
        remaining = self._context.time_remaining()
        leave(self.permit, cut_off(remaining) if remaining == 0 else status_of(self._context.code()))

    async def fail(self, error: BaseException) -> None:
        """End a call whose handler raised. A refusal among its reasons is the answer, unless that was given already."""
        withdraw(self._published)
        context = self._context
        refused = refusal_in(error)
        if refused is not None:
            self.permit.exit(refused)
            await abort(context, escaped(refused), refused)
        elif isinstance(error.__cause__, Refused):  # aborted further in, by us
            self.permit.exit(error.__cause__)
        elif isinstance(error, CancelledError | GeneratorExit | grpc.aio.InternalError):  # the last: nobody to send to
            leave(self.permit, cut_off(context.time_remaining()))
        else:
            leave(self.permit, status_of(context.code(), error), error if context.code() is None else None)


class HandlerContext:
    """Stand before the context of a call, to see when its stream begins and when the handler aborts it."""

    __slots__ = ("_context", "_has_begun", "_permit")

    def __init__(self, context: AioContext, permit: Permit) -> None:
        self._context = context
        self._permit = permit
        self._has_begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

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
