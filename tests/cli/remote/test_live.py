"""`guardrail top` on a terminal: it follows the process, and gives the terminal back whatever ends it."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager

import pytest

from tests.cli.remote.scene import service
from tests.cli.shell import ROOT
from tests.control.scene import TOKEN
from tests.ports import free_port

PATIENCE = 30
ESCAPE = re.compile(r"\x1b[\[\]()][0-9;?]*[ -/]*[@-~]")
IN, OUT = "\x1b[?1049h", "\x1b[?1049l"  # the other screen of the terminal


class Watched:
    """A command on a terminal of 80 by 24, and what it has shown so far."""

    def __init__(self, running, terminal):
        self.running = running
        self._terminal = terminal
        self.shown = ""

    def until(self, text):
        """Read on until this is shown."""
        begun, end = len(self.shown), time.monotonic() + PATIENCE
        while text not in ESCAPE.sub("", self.shown[begun:]):
            assert time.monotonic() < end, f"{text!r} was not shown, but:\n{ESCAPE.sub('', self.shown[begun:])[-3000:]}"
            if select.select([self._terminal], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self._terminal, 65_536).decode(errors="replace")
                except OSError:  # it has ended
                    assert text in ESCAPE.sub("", self.shown[begun:])
        return ESCAPE.sub("", self.shown[begun:])

    def press(self, keys):
        os.write(self._terminal, keys)

    def ended(self):
        """Wait for its end, and return its code."""
        while select.select([self._terminal], [], [], PATIENCE)[0]:
            try:
                more = os.read(self._terminal, 65_536)
            except OSError:
                break
            self.shown += more.decode(errors="replace")
            if OUT in self.shown:
                break
        return self.running.wait(PATIENCE)

    def is_as_before(self):
        """Tell whether the terminal echoes and reads lines, as at first."""
        return bool(termios.tcgetattr(self._terminal)[3] & termios.ECHO & 0xFFFF) and bool(
            termios.tcgetattr(self._terminal)[3] & termios.ICANON
        )


@contextmanager
def top(url, *words):
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "GUARDRAIL_CONTROL_TOKEN": TOKEN, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        env.pop(name, None)
    command = [sys.executable, "-m", "guardrail", "top", "--url", url, "--interval", "0.1", *words]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen(command, env=env, start_new_session=True, **streams) as running:
        try:
            yield Watched(running, ours)
        finally:
            running.kill()
            os.close(theirs)
            os.close(ours)


@pytest.fixture(scope="module")
def running():
    with service() as running:
        yield running


@pytest.mark.parametrize("key", [b"q", b"Q", b"xq"])
def test_q_ends_it_and_gives_the_terminal_back(running, key):
    with top(running.url) as watched:
        watched.until("per-user")
        assert not watched.is_as_before()
        watched.press(key)
        assert 0 == watched.ended()
        assert watched.is_as_before()
    assert IN in watched.shown
    assert OUT in watched.shown
    assert "Traceback" not in watched.shown


def test_other_keys_are_passed_over(running):
    with top(running.url) as watched:
        watched.until("per-user")
        for keys in (b"x", b"\r", b"\x1b[A", b"\x1bOQ"):
            watched.press(keys)
            watched.until("per-user")
        watched.press(b"q")
        assert 0 == watched.ended()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_as_cleanly(running, number, code):
    with top(running.url) as watched:
        watched.until("per-user")
        watched.running.send_signal(number)
        assert code == watched.ended()
        assert watched.is_as_before()
    assert OUT in watched.shown
    assert "Traceback" not in watched.shown


def test_it_follows_what_happens(running):
    with top(running.url) as watched:
        assert "q ends" in watched.until("q ends")
        running.call(20)
        watched.until("watched           3 of 5 calls (60%); all by key ")
        watched.press(b"q")
        assert 0 == watched.ended()


def test_a_process_may_go_away_and_come_back():
    with service(f"127.0.0.1:{free_port()}") as first:
        url = first.url
        with top(url) as watched:
            watched.until(f"(pid {first.pid})")
            first.kill()
            watched.until("nobody answers")
            watched.until("nobody listens at 127.0.0.1:")
            with service(url) as second:
                assert second.url == url
                watched.until(f"(pid {second.pid})")
                second.call(20)
                watched.until("3 of 5 calls (60%)")
                watched.press(b"q")
                assert 0 == watched.ended()
    assert "Traceback" not in watched.shown


def test_nothing_that_answers_at_the_start_is_an_error_and_leaves_the_screen_alone():
    with service(f"127.0.0.1:{free_port()}") as running:
        url = running.url
        running.kill()
    with top(url) as watched:
        watched.until("is the service running")
        assert 1 == watched.running.wait(PATIENCE)
    assert IN not in watched.shown


def test_where_there_is_no_keyboard_ctrl_c_is_left():
    """As with `guardrail top < /dev/null`."""
    with service() as running:
        ours, theirs = os.openpty()
        command = [sys.executable, "-m", "guardrail", "top", "--url", running.url, "--interval", "0.1"]
        env = {"PYTHONPATH": str(ROOT / "src"), "GUARDRAIL_CONTROL_TOKEN": TOKEN, "TERM": "xterm"}
        with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as asked:
            watched = Watched(asked, ours)
            watched.until("per-user")
            asked.send_signal(signal.SIGINT)
            assert 130 == watched.ended()
        os.close(theirs)
        os.close(ours)
