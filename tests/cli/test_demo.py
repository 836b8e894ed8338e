"""The demo says what is so: it passes as it is, and with a fault planted in what it shows it says no and exits with 1."""

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console

from guardrail.admission import in_force
from guardrail.admission.limit_states import KeyedStates
from guardrail.cli.demo import acts, checks, show, stage
from guardrail.cli.demo.acts import ACTS
from guardrail.cli.demo.checks import Check, Rate
from guardrail.cli.demo.live import LiveScreen, can_draw
from guardrail.cli.demo.screen import PlainScreen
from guardrail.cli.demo.show import run
from guardrail.cli.shipped import shipped
from guardrail.core.breaker import Breaker
from guardrail.core.bulkhead import Bulkhead
from guardrail.core.token_bucket import TokenBucket
from guardrail.decorators.fallback import Fallback
from guardrail.rules.model import BulkheadRule
from guardrail.sources.live import Live
from tests.stores.scene import until

TOO_MANY, EDIT, TYPO, FAILURE, RECOVERY, CROWD = ACTS
COMMAND = [sys.executable, "-m", "guardrail", "demo", "--seconds", "8"]


def started(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "GUARDRAIL_MODE": "off", "PYTHONUNBUFFERED": "1"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(COMMAND, env=environment, text=True, **pipes)


def test_without_a_terminal_it_prints_lines_proves_all_it_claims_and_leaves_nothing_behind(tmp_path):
    began = time.monotonic()
    with started(tmp_path) as process:
        shown, complaints = process.communicate(timeout=60)
    assert (0, "") == (process.returncode, complaints), shown
    assert time.monotonic() - began < 40
    assert "\x1b" not in shown
    assert all(f"{number}/6 {act.title}" in shown for number, act in enumerate(ACTS, 1))
    assert "demo.yaml:21:5: unknown key 'open_fro'; did you mean 'open_for'?" in shown
    summary = shown.partition("claimed, measured")[2]
    assert (13, 0) == (len(re.findall("^  yes  ", summary, re.MULTILINE)), summary.count("NO "))
    assert "13 of 13 claims hold" in summary
    assert [] == list(tmp_path.iterdir())


def test_an_interrupt_ends_it_at_once_with_130_and_leaves_nothing_behind(tmp_path):
    with started(tmp_path) as process:
        for line in process.stdout:
            if line.startswith("1/6"):
                break
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        shown, complaints = process.communicate(timeout=30)
    assert (130, "") == (process.returncode, complaints), shown
    assert shown.endswith("interrupted; everything is put away\n")
    assert time.monotonic() - began < 10
    assert [] == list(tmp_path.iterdir())


# ---- with a fault planted in guardrail, the demo says which claim is not so


def played(*acts):
    """Play acts as briefly as possible, see that no thread is left of it, and return the exit code."""
    threads = set(threading.enumerate())
    code = run(5, True, acts)
    until(lambda: set(threading.enumerate()) <= threads, "the end of all threads")
    return code


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What never comes is not waited for as long as in earnest; and how soon something comes is not what is tested here."""
    monkeypatch.setattr(stage, "DEADLINE_S", 2.0)
    enforced = checks.enforced_in_time
    monkeypatch.setattr(
        checks,
        "enforced_in_time",
        lambda written, first, *more: enforced(getattr(first, "received", written), first, *more),
    )


def refuted(capsys):
    """Return the claims of the summary that did not hold."""
    return re.findall("^  NO   (.*)$", capsys.readouterr().out, re.MULTILINE)


def test_it_notices_that_the_file_does_not_take_over_what_the_code_says(monkeypatch, capsys):
    monkeypatch.setattr(in_force, "_merged", lambda inline, over: inline)
    assert 1 == played(TOO_MANY)
    assert ["mallory is held to the file's 10/s, not the 30/s in the code"] == refuted(capsys)


def test_it_notices_that_an_edited_file_is_ignored(monkeypatch, capsys):
    monkeypatch.setattr(Live, "poll", lambda self: False)
    assert 1 == played(EDIT)
    enforced, used = refuted(capsys)
    assert "enforced within a second" in enforced
    assert used.startswith("used-up tokens stay used")


def test_it_notices_that_an_edit_gives_used_up_tokens_back(monkeypatch, capsys):
    def switch(self, limit):
        self.forget(None)
        self.limit = limit

    monkeypatch.setattr(KeyedStates, "switch", switch)
    assert 1 == played(EDIT)
    assert ["used-up tokens stay used: the edit is no fresh start"] == refuted(capsys)


def test_it_notices_that_nobody_is_told_of_a_mistake_in_the_file(monkeypatch, capsys):
    monkeypatch.setattr(Live, "_tell", lambda self, news: None)
    assert 1 == played(TYPO)
    assert ["a typo in the file: it is shown where, and the last good rules go on"] == refuted(capsys)


def test_it_notices_a_retry_after_that_is_too_short(monkeypatch, capsys):
    ask = TokenBucket.ask

    def hasty(self, state, now_us, cost, max_wait_us):
        ruling = ask(self, state, now_us, cost, max_wait_us)
        return ruling if ruling.allowed else ruling._replace(retry_after_us=ruling.retry_after_us // 10)

    monkeypatch.setattr(TokenBucket, "ask", hasty)
    slowly = Rate(1, 20, "1/20s")  # on any machine, who comes back in a tenth of the time is too early
    monkeypatch.setattr(acts, "SEARCH_EDITED", slowly)
    monkeypatch.setattr(acts, "EDITS", (("rate: 10/s", f"rate: {slowly.text}"), acts.EDITS[1]))
    assert 1 == played(EDIT, TYPO)
    assert "retry_after is exact: a retry then is let in, an earlier one is not" in refuted(capsys)


def test_it_notices_that_the_breaker_never_opens(monkeypatch, capsys):
    monkeypatch.setattr(Breaker, "judge", lambda self, state: None)
    assert 1 == played(FAILURE, RECOVERY)
    opens, fallback, closes = refuted(capsys)
    assert "the supplier fails: its breaker opens" == opens
    assert fallback.startswith("while it is open")
    assert closes.startswith("the supplier is well again")


def test_it_notices_that_callers_do_not_get_the_fallback(monkeypatch, capsys):
    def answer(self, refused, args, kwargs):
        raise refused or ConnectionError

    monkeypatch.setattr(Fallback, "answer", answer)
    assert 1 == played(FAILURE)
    assert any(claim.startswith("while it is open") for claim in refuted(capsys))


def test_it_notices_that_a_bulkhead_lets_everybody_in(monkeypatch, capsys):
    monkeypatch.setattr(BulkheadRule, "bulkhead", lambda self: Bulkhead(1_000))
    assert 1 == played(CROWD)
    assert any(claim.startswith("a bulkhead of 3") for claim in refuted(capsys))


def test_it_notices_that_it_takes_too_long(monkeypatch, capsys):
    monkeypatch.setattr(show, "LONGEST_S", 0.3)
    assert 1 == played(TOO_MANY)
    assert "the demo ends within 40 s" in refuted(capsys)


# ---- on a terminal


def test_on_a_terminal_it_draws_the_rules_the_customers_and_what_was_found(tmp_path):
    rule_file = tmp_path / "demo.yaml"
    rule_file.write_text(shipped("demo.yaml"))
    out = io.StringIO()
    screen = LiveScreen(
        Console(file=out, force_terminal=True, width=100, height=40, color_system=None, highlight=False)
    )
    found = asyncio.run(show.perform(screen, rule_file, 0.4, [EDIT]))
    drawn = out.getvalue()
    for text in [
        "1 of 1   The rule file is edited",
        "2/s per client",
        "closed",
        "0 of 3 places",
        "hammers /search",
        "✔ used-up",
    ]:
        assert text in drawn
    out.truncate(0)
    screen.summary([*found, Check("the moon is made of cheese", "it is not", holds=False)], 3.0)
    summary = out.getvalue()
    assert all(check.claim[:30] in summary for check in found)
    assert "✘" in summary
    assert f"{len(found)} of {len(found) + 1} claims hold" in summary


def test_what_cannot_draw_gets_lines(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "dumb")
    assert not can_draw()
    screen = PlainScreen()
    screen.found(Check("the moon is made of cheese", "it is not", holds=False))
    assert "  0.0 s  NO   the moon is made of cheese: it is not\n" == capsys.readouterr().out
