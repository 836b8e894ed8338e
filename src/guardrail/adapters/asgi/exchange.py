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

from guardrail.adapters.escapes import refusal_of
from guardrail.adapters.hooks import aasked
from guardrail.adapters.http.answers import answer_to, shown
from guardrail.adapters.http.attributes import LOG
from guardrail.adapters.http.headers import RawFields, raw, retry_after
from guardrail.adapters.http.outcome import CODES, SERVER_ERROR, leave

if TYPE_CHECKING:
    from guardrail.adapters.asgi.request import AsgiRequest
    from guardrail.admission.permit import Permit
    from guardrail.errors import Refused
    from guardrail.guard import Guard

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_BODIES = frozenset(["http.response.body", "http.response.pathsend", "http.response.zerocopysend"])


class Exchange:
    """Carry one HTTP request.

    Attributes:
        permit: What it got from the gates; None: nothing, or it has ended.
        refusal: Why the answer is guardrail's own, whoever writes it.
        error: What the app raised.
        begun: An answer has started.
        gone: The client went away, or cannot be reached. After a complete answer it may.
        held: The app's page for a refusal that it does not know, until that is raised to us.
    """

    __slots__ = (
        *("_outer_error", "_receive", "_send", "_status", "_trailers", "begun", "error"),
        *("gone", "guard", "held", "permit", "refusal", "request"),
    )

    def __init__(self, guard: Guard, request: AsgiRequest, receive: Receive, send: Send) -> None:
        self.guard = guard
        self.request = request
        self._receive = receive
        self._send = send
        self.error: BaseException | None = None
        self._outer_error = sys.exception()
        self.permit: Permit | None = None
        self.refusal: Refused | None = None
        self.held: list[Message] | None = None
        self.begun = self.gone = self._trailers = False
        self._status = 0

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
            status = message["status"]
            if status >= 200:
                if status >= 400 and self._is_held(message):
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
                self.end()
        elif kind == "http.response.trailers" and not message.get("more_trailers"):
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
                await custom(self.request.scope, self._receive, self._add)
            except Exception:
                if self.begun:
                    raise
                getLogger("guardrail.http").exception("the answer of on_refused raised, so it is the usual one")
        if not self.begun:
            await self._answer(refused)
        return True

    async def fail(self, error: BaseException) -> bool:
        """Answer what the app has raised, if it is a refusal; False: it is to be raised on."""
        refused = refusal_of(error)
        if refused is None and self.held is not None and error.__cause__ is not None:
            refused = refusal_of(error.__cause__)  # it came through two apps
        if refused is None:
            self.error = error
            await self.flush()
            return False
        if await self.refuse(refused):
            return True
        self.end(refused)
        return False

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
        if status and error is None and self.refusal is None and not self.gone:
            permit.exit(
                failed=status >= SERVER_ERROR, code=CODES.get(status)
            )  # as `leave`: a call less for most requests
        else:
            leave(permit, status, self.refusal, CancelledError() if self.gone else error)

    def _is_held(self, message: Message) -> bool:
        """Tell whether this is the app's page for a refusal that it does not know: that will be raised in a moment."""
        error = sys.exception()  # a page for an error is written while the error is handled
        if error is None or error is self._outer_error:
            return False
        refused = refusal_of(error)
        if refused is None:
            self.error = error if message["status"] >= SERVER_ERROR else None
            return False
        if message["status"] != SERVER_ERROR:
            self.refusal = refused
            return False
        self.held = [message]
        return True

    def _begin(self, message: Message) -> Message:
        """Note that the answer starts, and return the start with our headers."""
        self.begun = True
        self._status = message["status"]
        if message.get("trailers"):
            self._trailers = True
        if self.permit is not None:
            self.permit.begin()
        fields = self._fields()
        if not fields:
            return message
        headers: RawFields = [*(message.get("headers") or ())]  # they may be there but once
        headers += fields if self.request.options.style.repeats else _lacking(headers, fields)
        return {**message, "headers": headers}

    def _fields(self) -> RawFields:
        """Return the headers that say what is left of the client's limits."""
        style, permit, refused = self.request.options.style, self.permit, self.refusal
        if not style.shows:
            return []
        standings = shown(permit, refused) if permit is None or refused is not None else permit.standings()
        return style.raw_fields(standings, self.guard.ledger.clock.now_us) if standings else []

    async def _custom(self, refused: Refused) -> App | None:
        """Return the answer that the service has for a refusal, as an app; None: it has none."""
        made = self.request.options.answer(self.request.scope, refused)
        if isawaitable(made):
            made = await aasked(_awaited, made, log=LOG)
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
        body = b"" if self.request.method_text == "HEAD" else answer.body
        await self._send({"type": f"{kind}.body", "body": body})


def _lacking(headers: RawFields, fields: RawFields) -> RawFields:
    """Return those of *fields* that *headers* do not have."""
    has = {bytes(name).lower() for name, _ in headers}
    return [field for field in fields if field[0] not in has]


async def _awaited(made: Awaitable[Any]) -> Any:
    return await made
