"""What the transports of httpx and of httpx2 have in common: all but the classes that each library looks for.

Law: an answer passes chunk by chunk; its permit lives until its stream is closed, has failed or is dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from guardrail.adapters.clients.calls import Egress, Holding
from guardrail.guard import Guard

if TYPE_CHECKING:
    from types import TracebackType

    from guardrail.adapters.clients.calls import ClientCall
    from guardrail.adapters.clients.resources import Resource, User
    from guardrail.decorators.options import Duration

Transport = TypeVar("Transport")  # the library's own class


class GuardedStream:
    """Pass a body on, and end its call when it is closed."""

    def __init__(self, stream: Any, call: ClientCall) -> None:
        self._stream = stream
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except GeneratorExit:  # who reads has stopped early; the call ends when the stream is closed
            raise
        except BaseException as error:
            self._call.finish(error)
            raise

    def close(self) -> None:
        try:
            self._stream.close()
        except BaseException as error:
            self._call.finish(error)
            raise
        self._call.finish()


class GuardedAsyncStream:
    """Pass a body on, and end its call when it is closed."""

    def __init__(self, stream: Any, call: ClientCall) -> None:
        self._stream = stream
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
        except GeneratorExit:  # who reads has stopped early; the call ends when the stream is closed
            raise
        except BaseException as error:
            self._call.finish(error)
            raise

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        except BaseException as error:
            self._call.finish(error)
            raise
        self._call.finish()


class Guarded(Generic[Transport]):
    """Stand before another transport.

    Attributes:
        makes: The library's own transport, which sends where none is given.
        streams: The stream of an answer, of a class that the library knows.
        sends: The method by which a transport sends.
        other: Where to go with a transport of the other kind.
    """

    makes: ClassVar[type[Any]]
    streams: ClassVar[type[Any]]
    sends: ClassVar[str]
    other: ClassVar[str]

    def __init__(
        self,
        transport: Transport | Guard | None = None,
        guard: Guard | Transport | None = None,
        *,
        resource: Resource | None = None,
        user: User | None = None,
        hold: Holding = "all",
        max_hold: Duration = "5m",
    ) -> None:
        inner, rules = told_apart(transport, guard, self.sends, self.other)
        self._egress = Egress(rules, resource=resource, user=user, hold=hold, max_hold=max_hold)
        self._transport = self.makes() if inner is None else inner

    def _answer(self, response: Any, call: ClientCall) -> Any:
        """Return *response*, whose stream ends *call*."""
        call.answered(response.status_code, response.headers.get)
        if response.is_closed:  # it was made from bytes, as those of a MockTransport are: nobody will close it
            call.finish()
        else:
            response.stream = self.streams(response.stream, call)
        return response


class GuardedTransport(Guarded[Transport]):
    """Send each request that is let in through another transport, from threads."""

    sends = "handle_request"
    other = "AsyncGuardTransport"

    def handle_request(self, request: Any) -> Any:
        """Send one request.

        Raises:
            Refused: A rule said no, or the other side has asked to be left alone. Nothing was sent.
        """
        call = self._egress.enter(request, request.method, str(request.url), request.headers.get)
        try:
            return self._answer(self._transport.handle_request(request), call)
        except BaseException as error:
            call.finish(error)
            raise

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        self._transport.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._transport.__exit__(kind, error, trace)


class GuardedAsyncTransport(Guarded[Transport]):
    """Send each request that is let in through another transport, from tasks."""

    sends = "handle_async_request"
    other = "GuardTransport"

    async def handle_async_request(self, request: Any) -> Any:
        """Send one request.

        Raises:
            Refused: A rule said no, or the other side has asked to be left alone. Nothing was sent.
        """
        call = await self._egress.aenter(request, request.method, str(request.url), request.headers.get)
        try:
            return self._answer(await self._transport.handle_async_request(request), call)
        except BaseException as error:
            call.finish(error)
            raise

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)


def told_apart(transport: Any, guard: Any, method: str, other: str) -> tuple[Any, Guard | None]:
    """Return the transport, None for the library's own, and the guard, whichever of them came first.

    Raises:
        TypeError: There is no transport among them that has the method.
    """
    if isinstance(transport, Guard):
        transport, guard = guard, transport
    if transport is not None and not callable(getattr(transport, method, None)):
        raise TypeError(f"transport must have {method}, got {transport!r}; for the other kind there is {other}")
    return transport, guard
