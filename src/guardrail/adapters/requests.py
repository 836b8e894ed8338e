"""requests: an adapter that lets requests out by the rules.

    session.mount("https://", GuardAdapter(guard))

Law: a refusal is raised from the request before anything is sent. Every request that goes out counts, redirects too; what
`max_retries=` sends again is one call. A permit lives until the body has been read or the response is closed or dropped,
which without `stream=True` is before the session returns; whoever reads `response.raw` closes the response.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Unpack

import requests
from requests.adapters import DEFAULT_POOLSIZE, DEFAULT_RETRIES, HTTPAdapter

from guardrail.adapters.clients.calls import ClientCall, Egress
from guardrail.adapters.clients.options import options_of
from guardrail.adapters.guards import checked_guard

if TYPE_CHECKING:
    from guardrail.adapters.clients.options import ClientOptions
    from guardrail.guard import Guard

__all__ = ["GuardAdapter"]

POOL = ("pool_connections", "pool_maxsize", "max_retries", "pool_block")


class GuardAdapter(HTTPAdapter):
    """Limit, break and bulkhead the requests of a session. Safe from any thread.

    Args:
        guard: Whose rules count; default: the default guard, looked up at each call.
        pool_connections: This and the next three are the options of HTTPAdapter.
        options: Those of `guardrail.adapters.clients.options.ClientOptions`: `resource`, `user`, `hold`, `max_hold`.

    Raises:
        TypeError: An option is of a wrong kind; so ValueError where its value is wrong.
    """

    __attrs__ = [*HTTPAdapter.__attrs__, "_egress"]  # noqa: RUF012  # what a pickled adapter keeps; the library's own name

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: Any = DEFAULT_RETRIES,
        pool_block: bool = False,
        **options: Unpack[ClientOptions],
    ) -> None:
        checked = options_of(type(self).__name__, options, ("guard", *POOL))
        self._egress = Egress(checked_guard(guard), checked)
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send one request.

        Raises:
            Refused: A rule said no, or the other side has asked to be left alone. Nothing was sent.
        """
        call = self._egress.enter(request, request.method or "GET", request.url or "", request.headers)
        try:
            response = super().send(request, *args, **options)
            call.answered(response.status_code, response.headers.get)
            return GuardedResponse.around(response, call)
        except BaseException as error:
            call.finish(error)
            raise


class GuardedResponse(requests.Response):
    """Be a response whose call ends when its body has been read, or when it is closed."""

    _call: ClientCall | None = None  # one that was pickled and comes back has none

    @classmethod
    def around(cls, response: requests.Response, call: ClientCall) -> GuardedResponse:
        """Return what stands for *response* from now on."""
        guarded = cls()
        guarded.__dict__.update(response.__dict__)
        guarded._call = call
        return guarded

    def iter_content(self, *args: Any, **options: Any) -> Iterator[Any]:
        return self._followed(super().iter_content(*args, **options))

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._finish()

    def _followed(self, chunks: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from chunks
        except GeneratorExit:  # who reads has stopped early; the call ends when the response is closed
            raise
        except BaseException as error:
            self._finish(error)
            raise
        self._finish()

    def _finish(self, error: BaseException | None = None) -> None:
        if self._call is not None:
            self._call.finish(error)
