"""Ports of the loopback, for servers that have to be told one.

Law: they lie below those that outgoing connections are given, as who looks for a server that is down could otherwise find
itself. Each worker of a test run has its own, so that no other one takes a port between the look and the use.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from random import randrange

HOST = "127.0.0.1"
BLOCKS = range(12_000 // 8, 32_000 // 8)  # of 8 ports each
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def free_port() -> int:
    """Return a port that nobody listens on."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """Return the first of so many ports in a row, at most 8, that nobody listens on."""
    while True:
        block = randrange(BLOCKS.start, BLOCKS.stop)
        first = 8 * block + randrange(9 - count)
        if block % WORKERS == WORKER % WORKERS and all(_is_free(port) for port in range(first, first + count)):
            return first


@contextmanager
def refusing_port() -> Iterator[int]:
    """Hold a port that refuses connections until the block ends: nobody listens on it, and nobody else can."""
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
