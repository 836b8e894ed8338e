"""One request on its way through Django, and its response on the way out.

Law: the call ends once: when the view has answered, or where it streams, when the stream is over or closed. A stream that
is closed in the middle casts no vote: the client went away.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from guardrail.adapters.escapes import refusal_of
from guardrail.adapters.http.answers import fields_of
from guardrail.adapters.http.outcome import SERVER_ERROR, leave
from guardrail.admission.ambient import publish, withdraw

if TYPE_CHECKING:
    from guardrail.adapters.django.request import DjangoRequest
    from guardrail.admission.permit import Permit
    from guardrail.errors import Refused
    from guardrail.guard import Guard


class Exchange:
    """Carry one request.

    Attributes:
        permit: What it got from the gates; None: nothing, or it has ended.
        refusal: Why the answer is guardrail's own.
        escaped: A refusal that another middleware raised, and for which Django has made a page.
        error: What the view, or another middleware, raised.
        is_waiting: Nobody has looked yet whether rules are to be entered.
    """

    permit: Permit | None = None
    refusal: Refused | None = None
    escaped: Refused | None = None
    error: BaseException | None = None
    is_waiting = True
    _status = SERVER_ERROR

    def __init__(self, guard: Guard, request: DjangoRequest) -> None:
        self.guard = guard
        self.request = request

    def note(self, error: BaseException) -> None:
        """Take note of what a view or another middleware has raised."""
        self.escaped = refusal_of(error)
        self.error = None if self.escaped is not None else error

    def unanswered(self, response: Any) -> Refused | None:
        """Return the refusal for which *response* is nothing but the page that Django makes for any error."""
        if self.escaped is not None and response.status_code != SERVER_ERROR:
            self.refusal = self.escaped  # another middleware has an answer of its own
            return None
        return self.escaped

    def take(self, response: Any) -> Any:
        """Take the response on its way out."""
        self._status = response.status_code
        for name, value in fields_of(self.request.options.style, self.guard, self.permit, self.refusal):
            response.headers.setdefault(name, value)
        if self.permit is None:
            return response
        self.permit.begin()
        if not response.streaming:
            self.end()
        elif response.is_async:
            response.streaming_content = AsyncStream(self, response.streaming_content)
        else:
            response.streaming_content = Stream(self, response.streaming_content)
        return response

    def end(self, error: BaseException | None = None) -> None:
        """End the call, unless it has ended."""
        permit, self.permit = self.permit, None
        if permit is None:
            return
        if error is None and self._status >= SERVER_ERROR:
            error = self.error  # a page for an error
        leave(permit, self._status, self.refusal, error)


class _Passing:
    """Hold the call of a response that streams, until that is over, closed or dropped."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def close(self) -> None:
        self._exchange.end(CancelledError())

    def __del__(self) -> None:
        self.close()


class Stream(_Passing, Iterator[Any]):
    """Pass the chunks of a response on."""

    def __init__(self, exchange: Exchange, chunks: Iterator[Any]) -> None:
        super().__init__(exchange)
        self._chunks = iter(chunks)

    def __next__(self) -> Any:
        published = publish(self._exchange.request)
        try:
            return next(self._chunks)
        except StopIteration:
            self._exchange.end()
            raise
        except BaseException as error:
            self._exchange.end(error)
            raise
        finally:
            withdraw(published)


class AsyncStream(_Passing, AsyncIterator[Any]):
    """Pass the chunks of an async response on."""

    def __init__(self, exchange: Exchange, chunks: AsyncIterator[Any]) -> None:
        super().__init__(exchange)
        self._chunks = aiter(chunks)

    async def __anext__(self) -> Any:
        published = publish(self._exchange.request)
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            self._exchange.end()
            raise
        except BaseException as error:
            self._exchange.end(error)
            raise
        finally:
            withdraw(published)
