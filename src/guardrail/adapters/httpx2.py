"""httpx2, the fork of httpx that pydantic keeps: transports that let requests out by the rules.

    client = httpx2.Client(transport=GuardTransport(guard=guard))

Law: a refusal is raised from the request before anything is sent. Every request that goes out counts, redirects and
those of an authentication too. A permit lives until the answer's stream is closed.
"""

from __future__ import annotations

import httpx2

from guardrail.adapters.clients.transports import AsyncTransport, GuardedAsyncStream, GuardedStream, SyncTransport

__all__ = ["AsyncGuardTransport", "GuardTransport"]


class _Stream(GuardedStream, httpx2.SyncByteStream):
    """Be a stream for the library, which looks at the class."""


class _AsyncStream(GuardedAsyncStream, httpx2.AsyncByteStream):
    """Be a stream for the library, which looks at the class."""


class GuardTransport(SyncTransport[httpx2.BaseTransport], httpx2.BaseTransport):
    """Limit, break and bulkhead the requests of a `httpx2.Client`. Safe from any thread.

    Args:
        transport: What sends the requests; default: `httpx2.HTTPTransport()`. It and the guard may change places.
        guard: Whose rules count; default: the default guard, looked up at each call.
        options: Those of `guardrail.adapters.clients.options.ClientOptions`: `resource`, `user`, `hold`, `max_hold`.

    Raises:
        TypeError: An option is of a wrong kind; so ValueError where its value is wrong.
    """

    makes = httpx2.HTTPTransport
    streams = _Stream


class AsyncGuardTransport(AsyncTransport[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport):
    """Limit, break and bulkhead the requests of a `httpx2.AsyncClient` under asyncio. The options are GuardTransport's."""

    makes = httpx2.AsyncHTTPTransport
    streams = _AsyncStream
