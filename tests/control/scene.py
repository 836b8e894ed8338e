"""A guard with an open endpoint, and ways to talk to it: as a client does, and byte by byte."""

import json
import socket
import time
from contextlib import contextmanager
from threading import Event
from typing import NamedTuple

from guardrail import Guard
from guardrail.control import serve
from guardrail.testing import FakeClock

START_US = 1_700_000_000_000_000
PATIENCE = 20  # real seconds until a test that hangs fails
TOKEN = "canary-token-0123456789"
CANARY = "canary@example.com"  # a key that nobody asked for

RULES = [
    {"name": "per-user", "resource": "orders", "kind": "limit", "rate": "5/min", "key": "user"},
    {"name": "two parts", "resource": "orders", "kind": "limit", "rate": "9/min", "key": ["user", "client.ip"]},
    {"resource": "GET /v1/orders/{id}", "kind": "limit", "rate": "5/min"},
    {"name": "payments", "resource": "payments.charge", "kind": "breaker", "key": []},
    {"name": "per-bank", "resource": "payments.charge", "kind": "breaker", "key": "bank"},
]


class Said(NamedTuple):
    """Hold one answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def content(self):
        return json.loads(self.text)


def guard_of(*rules, clock=None):
    return Guard(list(rules or RULES), clock=clock or FakeClock(START_US))


@contextmanager
def served(guard=None, **options):
    """An endpoint that is open inside the block."""
    with serve(guard or guard_of(), **{"token": TOKEN} | options) as control:
        yield control


def connected(control):
    """A connection to the endpoint."""
    host, _, port = control.url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE)


def head(control, method="GET", path="/v1/health", token=TOKEN, **headers):
    """The bytes of a request. A header that is None is left out."""
    usual = {"host": control.url.removeprefix("http://"), "authorization": f"Bearer {token}"}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in (usual | headers).items() if value is not None]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def ask(control, method="GET", path="/v1/health", token=TOKEN, **headers):
    """Send a request, and return the answer."""
    return send(control, head(control, method, path, token, **headers))


def send(control, *pieces):
    """Send bytes, and return the answer; None: there was none."""
    with connected(control) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return heard(connection)


def heard(connection):
    """Read an answer up to its end."""
    said = b"".join(iter(lambda: received(connection), b""))
    if not said:
        return None
    top, _, text = said.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Said(int(first.split()[1]), headers, text.decode())


def received(connection):
    try:
        return connection.recv(65_536)
    except ConnectionError:  # it was ended rather than closed
        return b""


def until_closed(connection):
    """Wait until the other side has ended the connection. A test that waits for ever fails by its timeout."""
    while received(connection):
        pass
    return True


def wait_until(true, what):
    """Wait until something another thread does is so."""
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, what
        Event().wait(0.005)


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
