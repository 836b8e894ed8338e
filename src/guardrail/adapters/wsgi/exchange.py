"""One request on its way through a WSGI app, and its response on the way to the server.

Law: items are asked for one by one, as the server does it. The call ends exactly once: when the items are over or closed,
or with what the app raised. One that is closed in the middle casts no vote: the client went away.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from guardrail.adapters.escapes import refusal_of
from guardrail.adapters.http.answers import fields_of
from guardrail.adapters.http.outcome import SERVER_ERROR, leave
from guardrail.admission.ambient import publish, withdraw

if TYPE_CHECKING:
    from guardrail.adapters.wsgi.request import WsgiRequest
    from guardrail.admission.permit import Permit
    from guardrail.errors import Refused
    from guardrail.guard import Guard

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Refuse = Callable[["Exchange", "Refused"], Iterable[bytes]]


class Exchange(Iterator[bytes]):
    """Carry one request, and be what the server is given.

    Attributes:
        permit: What the call got from the gates; None: nothing, or it has ended.
        refusal: Why the answer is guardrail's own.
        begun: Bytes have gone out, and the status with them.
    """

    permit: Permit | None = None
    refusal: Refused | None = None
    begun = False
    _status = 0
    _is_started = False
    _instead: Any = None
    _asked = False
    _close: Callable[[], object] | None = None
    _items: Iterator[bytes] = iter(())

    def __init__(self, guard: Guard, request: WsgiRequest, start_response: StartResponse, refuse: Refuse) -> None:
        self._guard = guard
        self.request = request
        self._start_response = start_response
        self._refuse = refuse

    def take(self, items: Iterable[bytes]) -> None:
        """Take what the app has returned, or what stands in for it: what came before cleans up first."""
        before, self._close = self._close, getattr(items, "close", None)
        self._items = iter(items)
        if before is not None:
            before()

    def start(self, status: str, headers: Sequence[tuple[str, str]], exc_info: Any = None) -> Any:
        """Stand in for the server's `start_response`."""
        exc_info, self._instead = exc_info or self._instead, None
        self._is_started = True
        self._status = int(status[:3]) if status[:3].isdecimal() else 0
        raised = exc_info[1] if exc_info else sys.exc_info()[1]
        if self.refusal is None:
            escaped = self.request.escaped or raised
            self.refusal = None if escaped is None else refusal_of(escaped)
        if self.permit is not None:
            self.permit.begin()
        has = {name.lower() for name, _ in headers}
        fields = fields_of(self.request.options.style, self._guard, self.permit, self.refusal)
        headers = [*headers, *(field for field in fields if field[0].lower() not in has)]
        write = self._start_response(status, headers, *([exc_info] if exc_info else []))
        return partial(self._write, write)

    def restart(self, refused: Refused) -> None:
        """Have a refusal answered instead of whatever the app has started with."""
        self.refusal = refused
        if self._is_started:
            self._instead = (type(refused), refused, refused.__traceback__)

    def _write(self, write: Callable[[bytes], object], piece: bytes) -> None:
        self.begun = True
        write(piece)

    def __next__(self) -> bytes:
        self._asked = True
        published = publish(self.request)
        try:
            item = next(self._items)
        except StopIteration:
            self.end()
            raise
        except BaseException as error:
            refused = refusal_of(error)
            if refused is None or self.begun:
                self.end(refused or error)
                raise
            items = self._refuse(self, refused)
            if items is not self:  # it has taken others
                self._items = iter(items)
            return next(self._items, b"")
        else:
            self.begun = self.begun or bool(item)
            return item
        finally:
            withdraw(published)

    def close(self) -> None:
        """Let the app clean up, then end the call."""
        try:
            if self._close is not None:
                self._close()
        finally:
            self.end(CancelledError() if self._asked else None)

    def end(self, error: BaseException | None = None) -> None:
        """End the call, unless it has ended."""
        permit, self.permit = self.permit, None
        if permit is None:
            return
        if error is None and self._status >= SERVER_ERROR:
            error = self.request.error  # a page for an error
        leave(permit, self._status, self.refusal, error)
