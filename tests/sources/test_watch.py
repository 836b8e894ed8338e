"""A thread watches: promptly, whatever it meets, and no longer than anybody wants to know."""

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from threading import Event

from guardrail.sources import watch
from tests.sources.followed import Followed, open_files, put, watching

ROOT = Path(__file__).parents[2]
SRC = Path(watch.__file__).parents[2]


def test_a_change_is_in_force_within_a_second_of_the_write_by_default(path):
    """The best of several: whatever else the machine does can only add to a time."""
    followed, spent = Followed(path, interval_s=0.25), []
    followed.live.start()
    for text in ("second", "third", "fourth"):
        written = time.monotonic()
        put(path, text)
        assert followed.hears()
        spent.append(time.monotonic() - written)
        assert text == followed.taken[-1]
    followed.live.stop()
    assert min(spent) < 1, spent


def test_watching_goes_on_after_every_kind_of_trouble(followed, path):
    followed.live.start()
    for trouble in ("bad", "bug", None):
        path.unlink() if trouble is None else put(path, trouble)
        assert followed.hears()
        put(path, f"good again {len(followed.problems)}")
        assert followed.hears()
    assert ["good again 1", "good again 2", "good again 3"] == followed.taken
    assert ["RuleError", "ZeroDivisionError", "FileNotFoundError"] == [
        type(problem).__name__ for problem in followed.problems
    ]


def test_watching_goes_on_when_the_one_who_hears_of_problems_fails(path, caplog):
    logged = Event()

    def fail(problem):
        logged.set()
        raise KeyError("not my problem")

    followed = Followed(path, on_problem=fail)
    followed.live.start()
    put(path, "bad")
    assert logged.wait(20)
    put(path, "second")
    assert followed.hears()
    followed.live.stop()
    assert ["a look at the rules failed; watching goes on"] == caplog.messages
    assert "KeyError: 'not my problem'" in caplog.text


def test_starting_again_does_nothing(followed):
    starting = [threading.Thread(target=followed.live.start) for _ in range(20)]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    assert 1 == len(watching())


def test_of_two_who_start_at_the_same_moment_one_does(followed, monkeypatch):
    in_time = watch.WatchingThread

    class Late(in_time):
        def __init__(self, *options):
            super().__init__(*options)
            monkeypatch.setattr(watch, "WatchingThread", in_time)
            followed.live.start()  # the other one

    monkeypatch.setattr(watch, "WatchingThread", Late)
    followed.live.start()
    assert ["WatchingThread"] == [type(thread).__name__ for thread in watching()]


def test_it_may_be_stopped_before_it_starts_and_twice_and_started_again(followed, path):
    followed.live.stop()
    followed.live.start()
    followed.live.stop()
    followed.live.stop()
    assert [] == watching()
    followed.live.start()
    put(path, "second")
    assert followed.hears()


def test_stopping_is_prompt_however_long_the_interval(path):
    followed = Followed(path, interval_s=3600)
    followed.live.start()
    before = time.monotonic()
    followed.live.stop()
    assert time.monotonic() - before < 10
    assert [] == watching()


def test_what_is_told_may_stop_the_watch(path):
    followed = Followed(path, on_problem=lambda _: (followed.live.stop(), followed.heard.set()))
    followed.live.start()
    [thread] = watching()
    put(path, "bad")
    assert followed.hears()
    thread.join(20)
    assert [] == watching()


def test_stopping_does_not_wait_for_a_source_that_hangs(followed, monkeypatch):
    hangs, release = Event(), Event()
    monkeypatch.setattr("guardrail.sources.watch.LONGEST_GOODBYE_S", 0.01)
    monkeypatch.setattr("guardrail.rules.folder._content", lambda _: hangs.set() or release.wait(60) or b"")
    followed.live.start()
    assert hangs.wait(20)
    followed.live.stop()
    assert 1 == len(watching())
    release.set()


def test_the_thread_ends_with_its_owner(path):
    followed = Followed(path)
    followed.live.start()
    [thread] = watching()
    owner = weakref.ref(followed.live)
    del followed
    until = time.monotonic() + 20
    while thread.is_alive() and time.monotonic() < until:  # it may be holding its owner for one look
        gc.collect()
        thread.join(0.05)
    assert not thread.is_alive()
    assert owner() is None


def test_nothing_remembers_a_thread_that_has_ended(followed):
    followed.live.start()
    thread = weakref.ref(watching()[0])
    followed.live.stop()
    gc.collect()
    assert thread() is None


def test_a_daemon_thread_keeps_no_program_alive(followed):
    followed.live.start()
    assert [True] == [thread.daemon for thread in watching()]


def test_200_watches_leave_nothing_behind(path):
    gc.collect()
    before = open_files(), threading.active_count()
    again = Followed(path)
    for _ in range(100):
        again.live.start()
        again.live.stop()
        other = Followed(path)
        other.live.start()
        other.live.stop()
    assert before == (open_files(), threading.active_count())


def test_the_interpreter_ends_the_thread_before_it_ends_itself(path):
    """`watchfiles` up to 1.1 would abort the process."""
    code = """
import atexit, sys
from pathlib import Path
from tests.sources.followed import Followed, watching

atexit.register(lambda: print("still watching:", watching()))
followed = Followed(sys.argv[1])
followed.live.start()
path = Path(sys.argv[1])
path.with_name("new").write_text("second")
path.with_name("new").replace(path)
assert followed.hears()  # it runs
print("watching:", len(watching()))
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{SRC}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "watching: 1\nstill watching: []\n", "") == (run.returncode, run.stdout, run.stderr)
