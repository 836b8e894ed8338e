"""Where processes can be asked, and with what token.

Law: a token goes to loopback only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import typer

from guardrail.cli.exits import USAGE, stop
from guardrail.control.address import location, read_address
from guardrail.control.tokens import checked_token

ADDRESS, TOKEN = "GUARDRAIL_CONTROL", "GUARDRAIL_CONTROL_TOKEN"


class Place(NamedTuple):
    """Hold where one process may be asked.

    Attributes:
        may_be_free: It is one of a range of ports: perhaps nobody is there.
    """

    host: str
    port: int
    may_be_free: bool = False

    def __str__(self) -> str:
        return location(self.host, self.port)


def read_places(urls: Sequence[str]) -> list[Place]:
    """Read `http://127.0.0.1:9911`, `127.0.0.1:9911`, or a range of ports such as `127.0.0.1:9911-9918`.

    Raises:
        typer.BadParameter: One of them is none of these.
    """
    if not urls:
        stop(f"where? give --url http://127.0.0.1:9911, or set {ADDRESS} as it is set for the service", USAGE)
    places = []
    for url in urls:
        try:
            address = read_address(url.removeprefix("http://").removesuffix("/"))
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong), param_hint="--url") from None
        if address.ports[0] == 0:
            raise typer.BadParameter("port 0 is no port that somebody listens at", param_hint="--url")
        places += [Place(address.host, port, len(address.ports) > 1) for port in address.ports]
    return list(dict.fromkeys(places))


def read_token(token: str | None) -> str:
    """Return the token, or exit with what to do about it."""
    if not token:
        stop(f"no token: set {TOKEN} to that of the service, or give --token", USAGE)
    try:
        return checked_token(token, "the token")
    except ValueError as wrong:
        stop(str(wrong).partition(";")[0], USAGE)
