"""What tests of stores share: a server of our own that answers what it is told to, and calls to ask with."""

import contextlib
import socket
import threading
from collections import deque
from pathlib import Path
from time import monotonic, sleep

from guardrail.core.token_bucket import TokenBucket
from guardrail.stores import scripts
from guardrail.stores.contact import TIMEOUT
from guardrail.stores.health import FAILURES
from guardrail.stores.protocol import Check
from guardrail.stores.resp import Answers

PATIENCE = 20.0
HOST = "127.0.0.1"
HUNDRED = TokenBucket(100, 3_600_000_000, 100)  # per hour: nothing comes back during a test
LATE_S = 0.010  # the law: no call outlives its timeout by more
SLACK_S = 0.050  # ... but where the machine did not run its thread at once
STALLED_S = 2.0  # ... or, now and then, for long


def check(user="u", cost=1):
    """One check of a limit of a hundred, alone in its call."""
    return [Check(f"{{{user}}}:rule", HUNDRED, cost)]


def left_in(reply):
    """How much of a limit of a hundred an answer says is left."""
    return HUNDRED.view(reply.states[0], reply.now_us)[0]


def left(store, user="u"):
    return left_in(store.admit(check(user), peek=True))


async def aleft(store, user="u"):
    return left_in(await store.aadmit(check(user), peek=True))


def until(happened, what="what was waited for"):
    """Return once *happened* says so, in bounded time."""
    end = monotonic() + PATIENCE
    while not (found := happened()):
        assert monotonic() < end, f"{what} did not happen"
        sleep(0.001)
    return found


def in_time(spent, timeout_s):
    """See that calls have not outlived their timeout: not the best of them, to which the machine has added least."""
    assert min(spent) <= timeout_s + LATE_S + SLACK_S, spent
    assert max(spent) <= timeout_s + STALLED_S, spent


class Hand:
    """A monotonic clock that is moved by hand."""

    now = 100.0

    def __call__(self):
        return self.now

    def is_moved(self, seconds):
        self.now += seconds
        return True


def lost_and_found(health):
    """Let the server be away, as another connection has found, and answer a probe."""
    for _ in range(FAILURES):
        health.failed(TIMEOUT)
    health.answered()


def open_files():
    """Return the sockets this process has open."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(entry.readlink())
            if target.startswith("socket:"):
                found.append(target)
    return sorted(found)


def users_of(words):
    """Return whose calls an EVALSHA carries, in order."""
    count = int(words[2])
    return [key.decode().partition("{")[2].partition("}")[0] for key in words[3 : 3 + count]]


ERA = 7
TOLD = {b"a": b"1 %d 0" % ERA, b"p": b"1 %d 0" % ERA, b"c": b"%d 0" % ERA}  # of each step: allowed, its era, its debt


def bulk(text):
    return b"$%d\r\n%b\r\n" % (len(text), text)


def granting(words):
    """Answer as a server does that grants everything and remembers nothing."""
    match words[0].upper():
        case b"EVALSHA" if words[1] == scripts.heartbeat().sha.encode():
            return b":1\r\n"
        case b"EVALSHA":
            steps = words[4 + int(words[2]) :]
            rows = [TOLD[step[:1]] for step in steps if step[:1] in TOLD]
            return bulk(b" ".join([b"1000000", *rows]))
        case b"INFO":
            return b"$0\r\n\r\n"
        case _:
            return b"+OK\r\n"


class FakeServer:
    """Listen on a free port; `answer(words)` gives the bytes for each command, or does worse.

    Attributes:
        heard: The commands, as lists of words.
        accepted: How many connections there were.
        free: While it is not set, nothing is answered.
    """

    def __init__(self, answer=granting, greet=None):
        self.answer, self.greet = answer, greet
        self.heard = deque()
        self.accepted = 0
        self.free = threading.Event()
        self.free.set()
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._open = set()
        self._threads = [threading.Thread(target=self._accept, name="fake-server")]

    @property
    def url(self):
        return f"redis://{HOST}:{self.port}/0"

    def flights(self):
        """Return whose calls travelled together."""
        admit = scripts.admit().sha.encode()
        return [users_of(words) for words in list(self.heard) if words[0] == b"EVALSHA" and words[1] == admit]

    def was_given_back(self):
        """Tell whether anything that was granted has been given back."""
        return any(step.startswith(b"g 1 %d " % ERA) for words in list(self.heard) for step in words)

    def drop(self):
        """Close all connections."""
        for client in list(self._open):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self.free.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.add(client)
            thread = threading.Thread(target=self._serve, args=(client,), name="fake-server")
            self._threads.append(thread)
            thread.start()

    def _serve(self, client):
        commands = Answers()  # commands are arrays of texts, as answers may be
        with client, contextlib.suppress(OSError):
            if self.greet is not None:
                self.greet(client)
            while received := client.recv(65536):
                for words in commands.feed(received):
                    self.heard.append(words)
                    self.free.wait(PATIENCE)
                    answer = self.answer(words)
                    if callable(answer):
                        answer(client)
                    else:
                        client.sendall(answer)
        self._open.discard(client)


def drip(text=b"$1000\r\n" + b"x" * 1000, pause_s=0.005):
    """Answer one byte at a time."""

    def send(client):
        for byte in text:
            client.sendall(bytes([byte]))
            sleep(pause_s)

    return send


# what is answered instead of what a script says
FAULTS = {
    "silent": b"",
    "drip": drip(),
    "close": lambda client: client.shutdown(socket.SHUT_RDWR),
    "garbage": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "other": bulk(b"1 1 x"),
}


def faulty(fault):
    """Answer calls like this, and all else as a server does."""
    return lambda words: FAULTS[fault] if words[0] == b"EVALSHA" else granting(words)
