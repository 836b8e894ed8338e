"""Requests that enter late: after routing, once it is known who the user is.

Law: rules are entered exactly once. Where the app is about to answer and nobody has entered (its own check of the user
failed), they are entered then, without a user: a stranger who knocks a thousand times is limited too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.adapters.asgi.exchange import Exchange
from guardrail.adapters.asgi.websocket import DENIAL, WebSocketExchange
from guardrail.errors import Refused

if TYPE_CHECKING:
    from guardrail.adapters.asgi.exchange import Message

STARTS = frozenset(["http.response.start", "websocket.accept", "websocket.close", f"{DENIAL}.start"])


class LateExchange(Exchange):
    """Carry one request that enters late.

    Attributes:
        is_waiting: Nobody has entered the rules yet.
    """

    is_waiting = False
    _is_answered = False

    async def enter(self, user: object) -> None:
        """Ask the rules.

        Raises:
            Refused: They refused.
        """
        if self.is_waiting:
            self.is_waiting = False
            request = self.request
            request.know_user(user)
            permit = await self.guard.atry_enter(request.resource, request)
            if not permit:
                raise permit.refusal()
            self.permit = permit

    async def send(self, message: Message) -> None:
        if self._is_answered:
            return
        if self.is_waiting and message["type"] in STARTS and message.get("status", 200) >= 200:
            try:
                await self.enter(None)
            except Refused as refused:
                self._is_answered = True
                await self.refuse(refused)
                return
        await super().send(message)


class LateWebSocketExchange(LateExchange, WebSocketExchange):
    """Carry one WebSocket that enters late."""
