"""Ask one process through its control endpoint.

Law: an answer is read in bounded room and time, nothing is followed elsewhere, and no token is in what goes wrong. The
token is sent only to who has proved to know it, on the connection on which that was done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from guardrail.cli.words import plainly
from guardrail.control.proof import ASKED, fresh_nonce, proof_of

if TYPE_CHECKING:
    from guardrail.cli.remote.places import Place

PATIENCE_S = 3.0
LARGEST = 64 << 20
LARGEST_PROOF = 4096


class Unanswered(Exception):
    """Say, for a person, why a process did not do what it was asked.

    Attributes:
        status: What the endpoint said; None: nobody was there to say anything.
        meant: The name that was probably meant.
        free: Nobody listens there.
    """

    def __init__(
        self, sentence: str, status: int | None = None, meant: str | None = None, *, free: bool = False
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.meant = meant
        self.free = free


class Client:
    """Ask one process."""

    def __init__(self, place: Place, token: str) -> None:
        self.place = place
        self._token = token
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def get(self, *path: str, query: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """Look at something.

        Raises:
            Unanswered: It was not possible.
        """
        return self._ask("GET", path, query)

    def post(self, *path: str, query: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """Change something.

        Raises:
            Unanswered: It was not possible.
        """
        return self._ask("POST", path, query)

    def _ask(self, method: str, path: Sequence[str], query: Sequence[tuple[str, str]]) -> dict[str, Any]:
        target = "/v1/" + "/".join(quote(part, safe="") for part in path)
        if query:
            target += f"?{urlencode(query)}"
        connection = HTTPConnection(self.place.host, self.place.port, timeout=PATIENCE_S)
        try:
            self._see_proof(connection)
            connection.auto_open = 0  # another one might be somebody else's
            return self._exchange(connection, method, target, self._headers)
        except ConnectionRefusedError:
            raise Unanswered(f"nobody listens at {self.place}", free=True) from None
        except TimeoutError:
            raise Unanswered(f"{self.place} does not answer within {PATIENCE_S:.0f} s") from None
        except (OSError, HTTPException) as wrong:
            why = getattr(wrong, "strerror", None) or type(wrong).__name__
            raise Unanswered(f"{self.place} does not answer as a control endpoint does: {why}") from None
        finally:
            connection.close()

    def _see_proof(self, connection: HTTPConnection) -> None:
        nonce = fresh_nonce()
        unknown = f"whoever listens at {self.place} does not know the token; it was not sent"
        try:
            said = self._exchange(connection, "GET", f"{ASKED}{nonce}", {}, LARGEST_PROOF).get("proof")
        except Unanswered as wrong:
            raise Unanswered(f"{unknown}: {wrong}", wrong.status) from None
        expected = proof_of(self._token, nonce, str(self.place))
        if not isinstance(said, str) or not compare_digest(said.encode(errors="replace"), expected.encode()):
            raise Unanswered(f"{unknown}: it is GUARDRAIL_CONTROL_TOKEN of the service that runs there", 401)

    def _exchange(
        self, connection: HTTPConnection, method: str, target: str, headers: Mapping[str, str], largest: int = LARGEST
    ) -> dict[str, Any]:
        connection.request(method, target, headers=dict(headers))
        response = connection.getresponse()
        if response.length is None or response.length > largest:
            raise self._stranger(response.status)
        try:
            content = json.loads(response.read())
        except (ValueError, RecursionError):  # the latter of brackets within brackets
            content = None
        if not isinstance(content, dict):
            raise self._stranger(response.status)
        if "detail" in content and response.status >= 400:
            raise self._problem(response.status, content)
        return content

    def _stranger(self, status: int) -> Unanswered:
        return Unanswered(f"what listens at {self.place} is no control endpoint of guardrail", status)

    def _problem(self, status: int, content: Mapping[str, Any]) -> Unanswered:
        meant = content.get("did_you_mean")
        detail = plainly(str(content["detail"]))
        if status == 401:
            detail = (
                f"the token is wrong for {self.place}: it is GUARDRAIL_CONTROL_TOKEN of the service that runs there"
            )
        return Unanswered(detail, status, plainly(meant) if isinstance(meant, str) else None)
