"""One WebSocket: limited when it connects, and inside until it is closed.

Law: a refused connection is never accepted. It is told 429 or 503 where the server can say so, else it is closed before
the handshake is complete (servers answer 403 then).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.adapters.asgi.exchange import Exchange

if TYPE_CHECKING:
    from guardrail.adapters.asgi.exchange import Message
    from guardrail.errors import Refused

ACCEPTED = 101
TRY_AGAIN_LATER = 1013
DENIAL = "websocket.http.response"


class WebSocketExchange(Exchange):
    """Carry one WebSocket connection."""

    _is_connecting = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.connect":
            self._is_connecting = True
        elif message["type"] == "websocket.disconnect":
            self.gone = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if not self.begun:
            if kind == "websocket.accept":
                message = self._begin({**message, "status": ACCEPTED})
                message = {key: value for key, value in message.items() if key != "status"}
            elif kind == f"{DENIAL}.start":
                message = self._begin(message)
            elif kind == "websocket.close":
                self.begun = True
        try:
            await self._send(message)
        except OSError:
            self.gone = True
            raise

    async def refuse(self, refused: Refused) -> bool:
        if not self.begun and not self._is_connecting:
            message = await self.receive()
            if message["type"] != "websocket.connect":
                self.refusal = refused
                return True
        return await super().refuse(refused)

    def end(self, error: BaseException | None = None) -> None:
        if error is None and self.error is None:
            self.gone = False  # the app is done with it, whoever closed it
            self._status = self._status or ACCEPTED
        super().end(error)

    async def _custom(self, refused: Refused) -> None:
        """Have no other answer: what answers HTTP does not answer a WebSocket."""

    async def _answer(self, refused: Refused, kind: str = DENIAL) -> None:
        if DENIAL in (self.request.scope.get("extensions") or {}):
            await super()._answer(refused, kind)
        else:
            self.begun = True
            await self._send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
