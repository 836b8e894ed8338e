"""The door: who is let in.

Law: a browser is never let in, whatever page it shows: it would send an Origin, or the Host of a name that was bound to
loopback behind its back. Who has not shown the token learns nothing but that, and that we know it.
"""

from __future__ import annotations

import time
from hmac import compare_digest
from http import HTTPStatus
from logging import getLogger
from typing import TYPE_CHECKING

from guardrail.control.answers import Answer, problem
from guardrail.control.proof import proof_of

if TYPE_CHECKING:
    from email.message import Message

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SELDOM_S = 10.0  # between two lines that say somebody was turned away

logger = getLogger("guardrail.control")


class Door:
    """Let in whoever has the token and came the right way."""

    def __init__(self, location: str, token: str) -> None:
        port = location.rpartition(":")[2]
        self._hosts = {location, *(f"{name}:{port}" for name in LOOPBACK)}
        self._location, self._token = location, token
        self._silent_until = 0.0
        self._unsaid = 0

    def refusal(self, headers: Message, *, with_token: bool = True) -> Answer | None:
        """Return the answer to who is not let in.

        Args:
            with_token: The token has to be shown.
        """
        if headers.defects:
            return problem(HTTPStatus.BAD_REQUEST, "the headers cannot be read")
        if (answer := self._stranger(headers, with_token=with_token)) is not None:
            self._note(str(answer.content["detail"]))
            return answer
        if headers.get("Transfer-Encoding") is not None or headers.get_all("Content-Length", ["0"]) != ["0"]:
            return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a request has no body here: the query says it all")
        return None

    def proof(self, nonce: str) -> Answer:
        """Prove that we know the token, to who has not shown it."""
        return Answer(HTTPStatus.OK, {"proof": proof_of(self._token, nonce, self._location)})

    def _stranger(self, headers: Message, *, with_token: bool) -> Answer | None:
        hosts = headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].strip().lower() not in self._hosts:
            return problem(
                HTTPStatus.FORBIDDEN,
                "the Host header must be the loopback address and the port; a forwarded port must keep its number",
            )
        if headers.get("Origin") is not None:
            return problem(HTTPStatus.FORBIDDEN, "browsers are not let in: leave out the Origin header")
        if with_token and not self._knows_token(headers.get_all("Authorization", [])):
            return problem(
                HTTPStatus.UNAUTHORIZED,
                "the token is wrong or missing: it is GUARDRAIL_CONTROL_TOKEN of the service, as Authorization: Bearer",
                ("WWW-Authenticate", "Bearer"),
            )
        return None

    def _knows_token(self, shown: list[str]) -> bool:
        scheme, _, token = shown[0].partition(" ") if len(shown) == 1 else ("", "", "")
        same = compare_digest(token.strip().encode("utf-8", "surrogateescape"), self._token.encode())
        return same and scheme.lower() == "bearer"

    def _note(self, why: str) -> None:
        now = time.monotonic()
        if now < self._silent_until:
            self._unsaid += 1
            return
        unsaid, self._unsaid, self._silent_until = self._unsaid, 0, now + SELDOM_S
        more = f" (and {unsaid} before it)" if unsaid else ""
        logger.warning("a request to the control endpoint was turned away%s: %s", more, why)
