"""One request on its way through an app: what is sent passes at once, and what it means for the permit is noted.

Law: a message goes on as it came, but for headers added to the start of a response. The permit ends exactly once: when
the response is complete, or else when the app has returned. A client that goes away before that casts no vote, and neither
does an answer that is guardrail's own.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, MutableMapping
from inspect import isawaitable
from logging import getLogger
from typing import TYPE_CHECKING, Any, cast

from guardrail.adapters.http.answers import answer_to, shown
from guardrail.adapters.http.attributes import aasked
from guardrail.adapters.http.headers import RawFields, raw, retry_after
from guardrail.errors import Refused

if TYPE_CHECKING:
    from guardrail.adapters.http.options import HttpOptions
    from guardrail.admission.permit import Permit
    from guardrail.guard import Guard

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SERVER_ERROR = 500
_BODIES = frozenset(["http.response.body", "http.response.pathsend", "http.response.zerocopysend"])
CODES = {status: f"http.{status}" for status in range(100, 1000)}


class Exchange:
    """Carry one HTTP request.

    Attributes:
        permit: What it got from the gates; None: nothing, or it has ended.
        refusal: Why the answer is guardrail's own, whoever writes it.
        error: What the app raised.
        begun: An answer has started.
        complete: Nothing of it is left to send.
        gone: The client went away, or cannot be reached. After a complete answer it may.
        held: The app's page for a refusal that it does not know, until that is raised to us.
    """

    permit: Permit | None = None
    refusal: Refused | None = None
    error: BaseException | None = None
    begun = complete = gone = False
    _status = 0
    _trailers = False
    held: list[Message] | None = None

    def __init__(self, guard: Guard, options: HttpOptions, scope: Scope, receive: Receive, send: Send) -> None:
        self.guard = guard
        self._options = options
        self.scope = scope
        self._receive = receive
        self._send = send
        self._outer_error = sys.exc_info()[1]

    async def receive(self) -> Message:
        """Return the next message for the app."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message of the app on."""
        kind = message["type"]
        if kind == "http.response.start":
            if message["status"] >= 200:
                if message["status"] >= 400 and self._is_held(message):
                    return
                message = self._begin(message)
        elif self.held is not None:
            self.held.append(message)
            return
        try:
            await self._send(message)
        except OSError:
            self.gone = True
            raise
        if kind in _BODIES:
            if not self._trailers and not message.get("more_body"):
                self.complete = True
                self.end()
        elif kind == "http.response.trailers" and not message.get("more_trailers"):
            self.complete = True
            self.end()

    async def refuse(self, refused: Refused) -> bool:
        """Answer with a refusal; False: it is too late, an answer of the app is on its way."""
        if self.begun:
            return False
        self.held = None
        self.refusal = refused
        custom = await self._custom(refused)
        if custom is not None:
            try:
                await custom(self.scope, self._receive, self._add)
            except Exception:
                if self.begun:
                    raise
                getLogger("guardrail.http").exception("the answer of on_refused raised, so it is the usual one")
        if not self.begun:
            await self._answer(refused)
        return True

    async def flush(self) -> None:
        """Send what was held back: no refusal came after it."""
        held, self.held = self.held, None
        for message in held or ():
            if message["type"] == "http.response.start":
                await self._send(self._begin(message))
            else:
                await self.send(message)

    def end(self, error: BaseException | None = None) -> None:
        """End the call, unless it has ended: its answer is complete, or the app has returned or raised *error*."""
        permit = self.permit
        if permit is None:
            return
        self.permit = None
        status = self._status
        error = error or self.error
        if self.refusal is not None:
            permit.exit(self.refusal)
        elif self.gone:
            permit.exit(CancelledError())
        elif error is not None:
            permit.exit(error, failed=True, code=CODES.get(status))
        elif status:
            permit.exit(failed=status >= SERVER_ERROR, code=CODES.get(status))
        else:
            permit.exit(failed=True, code=CODES[SERVER_ERROR])  # the server makes up an answer for an app without one

    def _is_held(self, message: Message) -> bool:
        """Tell whether this is the app's page for a refusal that it does not know: that will be raised in a moment."""
        error = sys.exc_info()[1]  # a page for an error is written while the error is handled
        if error is self._outer_error:
            return False
        if not isinstance(error, Refused):
            self.error = error if message["status"] >= SERVER_ERROR else None
            return False
        if message["status"] != SERVER_ERROR:
            self.refusal = error
            return False
        self.held = [message]
        return True

    def _begin(self, message: Message) -> Message:
        """Note that the answer starts, and return the start with our headers."""
        self.begun = True
        self._status = message["status"]
        self._trailers = bool(message.get("trailers"))
        if self.permit is not None:
            self.permit.begin()
        fields = self._fields()
        if not fields:
            return message
        headers: RawFields = list(message.get("headers") or ())  # they may be there but once
        return {**message, "headers": headers + (fields if self._options.style.repeats else _lacking(headers, fields))}

    def _fields(self) -> RawFields:
        """Return the headers that say what is left of the client's limits."""
        style, permit, refused = self._options.style, self.permit, self.refusal
        if not style.shows or (permit is None and refused is None):
            return []
        standings = shown(permit, refused)
        return style.raw_fields(standings, self.guard.ledger.clock.now_us) if standings else []

    async def _custom(self, refused: Refused) -> App | None:
        """Return the answer that the service has for a refusal, as an app; None: it has none."""
        made = self._options.answer(self.scope, refused)
        if isawaitable(made):
            made = await aasked(_awaited, made)
        if made is None or callable(made):
            return cast("App | None", made)
        getLogger("guardrail.http").error("on_refused must return an ASGI app (a response) or None, got %r", made)
        return None

    async def _add(self, message: Message) -> None:
        """Pass a message of the service's own answer on, with the headers it lacks."""
        if message["type"] == "http.response.start":
            assert self.refusal is not None
            fields = [*raw(retry_after(self.refusal.retry_after)), *self._fields()]
            headers: RawFields = list(message.get("headers") or ())
            message = {**message, "headers": headers + _lacking(headers, fields)}
            self.begun = True
        await self._send(message)

    async def _answer(self, refused: Refused, kind: str = "http.response") -> None:
        answer = answer_to(refused)
        fields = [*raw(answer.fields), *self._fields()]
        self.begun = True
        await self._send({"type": f"{kind}.start", "status": answer.status, "headers": fields})
        body = b"" if self.scope.get("method") == "HEAD" else answer.body
        await self._send({"type": f"{kind}.body", "body": body})


def _lacking(headers: RawFields, fields: RawFields) -> RawFields:
    """Return those of *fields* that *headers* do not have."""
    has = {bytes(name).lower() for name, _ in headers}
    return [field for field in fields if field[0] not in has]


async def _awaited(made: Awaitable[Any]) -> Any:
    return await made
