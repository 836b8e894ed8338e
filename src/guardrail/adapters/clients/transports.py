"""What the transports of httpx and of httpx2 have in common: all but the classes that each library looks for.

Law: an answer passes chunk by chunk; its permit lives until its stream is closed, has failed or is dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, Unpack

from guardrail.adapters.clients.calls import Egress
from guardrail.adapters.clients.options import options_of
from guardrail.guard import Guard

if TYPE_CHECKING:
    from types import TracebackType

    from guardrail.adapters.clients.calls import ClientCall
    from guardrail.adapters.clients.options import ClientOptions

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


class EitherTransport(Generic[Transport]):
    """Stand before another transport.

    Attributes:
        makes: The library's own transport, which sends where none is given.
        streams: The stream of an answer, of a class that the library knows.
        sends: The method by which a transport sends.
        other: The method of the other kind, and where to go with it.
    """

    makes: ClassVar[type[Any]]
    streams: ClassVar[type[Any]]
    sends: ClassVar[str]
    other: ClassVar[tuple[str, str]]

    def __init__(
        self,
        transport: Transport | Guard | None = None,
        guard: Guard | Transport | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        where = type(self).__name__
        checked = options_of(where, options, ("transport", "guard"))
        inner, rules = self._told_apart(where, transport, guard)
        self._egress = Egress(rules, checked)
        self._transport = self.makes() if inner is None else inner

    def _told_apart(self, where: str, *given: Any) -> tuple[Any, Guard | None]:
        """Return the transport and the guard, in whichever order they came; None for what was not given."""
        rules = [one for one in given if isinstance(one, Guard)]
        inner = [one for one in given if one is not None and not isinstance(one, Guard)]
        wrong = [one for one in inner if not callable(getattr(one, self.sends, None))]
        if wrong or len(rules) > 1 or len(inner) > 1:
            said = " and ".join(repr(one) for one in wrong or given)
            method, other = self.other
            hint = f"; for that there is {other}" if any(hasattr(one, method) for one in wrong) else ""
            raise TypeError(f"{where} takes a transport and a Guard, got {said}{hint}")
        return next(iter(inner), None), next(iter(rules), None)

    def _answer(self, response: Any, call: ClientCall) -> Any:
        """Return *response*, whose stream ends *call*."""
        call.answered(response.status_code, response.headers.get)
        if response.is_closed:  # it was made from bytes, as those of a MockTransport are: nobody will close it
            call.finish()
        else:
            response.stream = self.streams(response.stream, call)
        return response


class SyncTransport(EitherTransport[Transport]):
    """Send each request that is let in through another transport, from threads."""

    sends = "handle_request"
    other = ("handle_async_request", "AsyncGuardTransport")

    def handle_request(self, request: Any) -> Any:
        """Send one request.

        Raises:
            Refused: A rule said no, or the other side has asked to be left alone. Nothing was sent.
        """
        call = self._egress.enter(request, request.method, str(request.url), request.headers)
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


class AsyncTransport(EitherTransport[Transport]):
    """Send each request that is let in through another transport, from tasks."""

    sends = "handle_async_request"
    other = ("handle_request", "GuardTransport")

    async def handle_async_request(self, request: Any) -> Any:
        """Send one request.

        Raises:
            Refused: A rule said no, or the other side has asked to be left alone. Nothing was sent.
        """
        call = await self._egress.aenter(request, request.method, str(request.url), request.headers)
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
