"""httpx2, the fork of httpx that pydantic keeps: transports that let requests out by the rules.

    client = httpx2.Client(transport=GuardTransport(guard=guard))

Law: a refusal is raised from the request before anything is sent. Every request that goes out counts, redirects and
those of an authentication too. A permit lives until the answer's stream is closed.
"""

from __future__ import annotations

import httpx2

from guardrail.adapters.clients.transports import (
    GuardedAsyncStream,
    GuardedAsyncTransport,
    GuardedStream,
    GuardedTransport,
)

__all__ = ["AsyncGuardTransport", "GuardTransport"]


class _Stream(GuardedStream, httpx2.SyncByteStream):
    """Be a stream for the library, which looks at the class."""


class _AsyncStream(GuardedAsyncStream, httpx2.AsyncByteStream):
    """Be a stream for the library, which looks at the class."""


class GuardTransport(GuardedTransport[httpx2.BaseTransport], httpx2.BaseTransport):
    """Limit, break and bulkhead the requests of a `httpx2.Client`. Safe from any thread.

    Args:
        transport: What sends the requests; default: `httpx2.HTTPTransport()`. It and the guard may change places.
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

    makes = httpx2.HTTPTransport
    streams = _Stream


class AsyncGuardTransport(GuardedAsyncTransport[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport):
    """Limit, break and bulkhead the requests of a `httpx2.AsyncClient` under asyncio. The options are GuardTransport's."""

    makes = httpx2.AsyncHTTPTransport
    streams = _AsyncStream
