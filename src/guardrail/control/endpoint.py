"""Control: the endpoint of one guard, from open to close.

Law: it belongs to the process that opened it: a forked child lets go of it at once. Neither the token nor a key is in its
repr, its log lines or its errors.
"""

from __future__ import annotations

import os
from http import HTTPStatus
from logging import getLogger
from threading import Thread
from typing import TYPE_CHECKING, Self

from guardrail.admission.forks import follow_forks
from guardrail.control.address import Address, read_address
from guardrail.control.answers import Answer, problem
from guardrail.control.connections import TICK_S
from guardrail.control.exchange import Endpoint
from guardrail.control.routes import answered
from guardrail.control.tokens import checked_token, fresh_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from guardrail.control.routes import Served

logger = getLogger("guardrail.control")


class Control:
    """Hold an open endpoint. A context manager: leaving it closes the endpoint. `serve` makes one.

    Args:
        guard: Returns the guard to answer for; None: there is none any more.

    Attributes:
        url: Where it is, such as `http://127.0.0.1:9911`.
        token: What opens it. Whoever has it can reset limits and force breakers.

    Raises:
        OSError: No port is free.
    """

    def __init__(self, guard: Callable[[], Served | None], address: Address, token: str) -> None:
        self.token = token
        self._guard = guard
        self._endpoint = _listening(address, token, self._answer)
        self.url = f"http://{self._endpoint.location}"
        follow_forks(self)
        Thread(target=self._endpoint.serve_forever, args=(TICK_S,), name="guardrail-control", daemon=True).start()
        logger.info("the control endpoint listens at %s", self.url)

    def __repr__(self) -> str:
        return f"<Control {self.url}>"

    def close(self) -> None:
        """Close the endpoint, and the connections to it. In a forked child there is nothing to close."""
        if self._endpoint.socket.fileno() >= 0:
            self._endpoint.shutdown()
            self._endpoint.server_close()
            self._endpoint.end_all()
            logger.info("the control endpoint at %s is closed", self.url)

    def after_fork(self) -> None:
        """Let go of the parent's endpoint in a forked child."""
        self._endpoint.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, method: str, target: str) -> Answer:
        guard = self._guard()
        if guard is None:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "this process has no guard any more")
        return answered(method, target, guard)


def serve(guard: Served | None = None, *, address: str = "127.0.0.1:0", token: str | None = None) -> Control:
    """Open an endpoint for *guard*, at the first free port of *address*, and return it. It answers from threads of its own.

    Args:
        guard: None: the default guard, whichever it is at the time of a request.
        address: On loopback: `127.0.0.1:9911`, or with a range of ports `127.0.0.1:9911-9918`. Port 0: any that is free.
        token: At least 16 visible characters. None: that in GUARDRAIL_CONTROL_TOKEN; if there is none, a new one.

    Raises:
        ValueError: The address is not on loopback, or the token cannot be one.
        OSError: No port is free.
    """
    try:
        where = read_address(address)
    except ValueError as wrong:
        raise ValueError(f"address {wrong}") from None
    if token is None and not (token := os.environ.get("GUARDRAIL_CONTROL_TOKEN")):
        token = fresh_token()
    return Control(_default if guard is None else lambda: guard, where, checked_token(token, "token"))


def _default() -> Served:
    from guardrail.default import default_guard

    return default_guard()


def _listening(address: Address, token: str, answer: Callable[[str, str], Answer]) -> Endpoint:
    busy: OSError | None = None
    for port in address.ports:
        try:
            return Endpoint(address.host, port, token, answer)
        except OSError as error:
            busy = error
    assert busy is not None
    raise OSError(busy.errno, f"no endpoint at {address}: {busy.strerror}") from busy
