"""aiohttp: a client middleware that lets requests out by the rules.

    session = aiohttp.ClientSession(middlewares=[GuardMiddleware(guard)])

Law: a refusal is raised from the request before anything is sent. Every request that goes out counts, redirects too. A
permit lives as long as the answer has its connection: until the body is there or the response is released or closed; that
of a WebSocket until it is closed.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Callable
from typing import TYPE_CHECKING, Unpack

from aiohttp import ClientConnectionError

from guardrail.adapters.clients.calls import ClientCall, Egress
from guardrail.adapters.clients.options import options_of
from guardrail.adapters.guards import checked_guard

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, StreamReader

    from guardrail.adapters.clients.options import ClientOptions
    from guardrail.guard import Guard

__all__ = ["GuardMiddleware"]


class GuardMiddleware:
    """Limit, break and bulkhead the requests of a session.

    Args:
        guard: Whose rules count; default: the default guard, looked up at each call.
        options: Those of `guardrail.adapters.clients.options.ClientOptions`: `resource`, `user`, `hold`, `max_hold`.

    Raises:
        TypeError: An option is of a wrong kind; so ValueError where its value is wrong.
    """

    def __init__(
        self,
        guard: Guard | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._egress = Egress(checked_guard(guard), options_of(type(self).__name__, options))

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send one request.

        Raises:
            Refused: A rule said no, or the other side has asked to be left alone. Nothing was sent.
        """
        call = await self._egress.aenter(request, request.method, str(request.url), request.headers)
        try:
            response = await handler(request)
            call.answered(response.status, lambda name: ", ".join(response.headers.getall(name, ())) or None)
        except BaseException as error:
            call.finish(error)
            raise
        connection = response.connection
        if connection is None:  # there is no body, or it has come already
            call.finish()
        else:
            connection.add_callback(ending(call, response.content))
        return response


def ending(call: ClientCall, content: StreamReader) -> Callable[[], None]:
    """Return what ends *call* when the connection of its answer is released, with what broke the body if anything did."""

    def end() -> None:
        broken = content.exception()
        reading = sys.exception()  # a body is closed by the very read that was cancelled or timed out
        if isinstance(reading, CancelledError | TimeoutError):
            call.finish(reading)
        elif (
            isinstance(broken, Exception) and type(broken) is not ClientConnectionError
        ):  # that one: closed by its reader
            call.finish(broken)
        else:
            call.finish()

    return end
