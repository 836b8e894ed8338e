"""httpx: transports that let requests out by the rules.

    client = httpx.Client(transport=GuardTransport(guard=guard))

Law: a refusal is raised from the request before anything is sent. Every request that goes out counts, redirects and
those of an authentication too. A permit lives until the answer's stream is closed.
"""

from __future__ import annotations

import httpx

from guardrail.adapters.clients.transports import AsyncTransport, GuardedAsyncStream, GuardedStream, SyncTransport

__all__ = ["AsyncGuardTransport", "GuardTransport"]


class _Stream(GuardedStream, httpx.SyncByteStream):
    """Be a stream for the library, which looks at the class."""


class _AsyncStream(GuardedAsyncStream, httpx.AsyncByteStream):
    """Be a stream for the library, which looks at the class."""


class GuardTransport(SyncTransport[httpx.BaseTransport], httpx.BaseTransport):
    """Limit, break and bulkhead the requests of a `httpx.Client`. Safe from any thread.

    Args:
        transport: What sends the requests; default: `httpx.HTTPTransport()`. It and the guard may change places.
        guard: Whose rules count; default: the default guard, looked up at each call.
        options: Those of `guardrail.adapters.clients.options.ClientOptions`: `resource`, `user`, `hold`, `max_hold`.

    Raises:
        TypeError: An option is of a wrong kind; so ValueError where its value is wrong.
    """

    makes = httpx.HTTPTransport
    streams = _Stream


class AsyncGuardTransport(AsyncTransport[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport):
    """Limit, break and bulkhead the requests of a `httpx.AsyncClient` under asyncio. The options are GuardTransport's."""

    makes = httpx.AsyncHTTPTransport
    streams = _AsyncStream
