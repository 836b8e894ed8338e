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
from typing import TYPE_CHECKING

from aiohttp import ClientConnectionError

from guardrail.adapters.clients.calls import ClientCall, Egress, Holding

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, StreamReader

    from guardrail.adapters.clients.resources import Resource, User
    from guardrail.decorators.options import Duration
    from guardrail.guard import Guard

__all__ = ["GuardMiddleware"]


class GuardMiddleware:
    """Limit, break and bulkhead the requests of a session.

    Args:
        guard: Whose rules count; default: the default guard, looked up at each call.
        resource: Names a request: a callable over it (None: the default), or a mapping such as
            `{"api.example.com/v1/orders/*": "/v1/orders/{id}"}`, whose values are resources or, from `/` on, the path
            behind `client GET api.example.com`. By default a request is `client GET api.example.com`.
        user: Tells the attribute `user` of a request.
        hold: What an answer may say to hold its resource back until then: `all` (`Retry-After` of a 429 or 503, and the
            RateLimit fields), `retry-after` (that field alone) or `off`.
        max_hold: The longest that one answer holds its resource back.

    Raises:
        TypeError: An option is of a wrong kind; so ValueError where its value is wrong.
    """

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        resource: Resource | None = None,
        user: User | None = None,
        hold: Holding = "all",
        max_hold: Duration = "5m",
    ) -> None:
        self._egress = Egress(guard, resource=resource, user=user, hold=hold, max_hold=max_hold)

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send one request.

        Raises:
            Refused: A rule said no, or the other side has asked to be left alone. Nothing was sent.
        """
        call = await self._egress.aenter(request, request.method, str(request.url), request.headers.get)
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
