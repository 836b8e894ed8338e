"""A thread watches: promptly, whatever it meets, and no longer than anybody wants to know."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from threading import Event

import pytest

from guardrail.sources import watch
from tests.sources.followed import Followed, Shown, watching

ROOT = Path(__file__).parents[2]
SRC = Path(watch.__file__).parents[2]


def put(path, text):
    """Change a file in one step: on a busy machine, a thread that looks every 10 ms could see an empty one twice."""
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


def open_files():
    return len([*Path("/proc/self/fd").iterdir()])


def test_a_change_is_in_force_within_a_second_of_the_write_by_default(path):
    followed = Followed(path, interval_s=0.25)
    followed.live.start()
    for text in ("second", "third"):
        written = time.monotonic()
        put(path, text)
        assert followed.hears()
        assert time.monotonic() - written < 1
        assert text == followed.taken[-1]
    followed.live.stop()


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
    assert logged.wait(5)
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
    assert time.monotonic() - before < 0.5
    assert [] == watching()


def test_what_is_told_may_stop_the_watch(path):
    followed = Followed(path, on_problem=lambda _: (followed.live.stop(), followed.heard.set()))
    followed.live.start()
    [thread] = watching()
    put(path, "bad")
    assert followed.hears()
    thread.join(5)
    assert [] == watching()


def test_stopping_does_not_wait_for_a_source_that_hangs(followed, monkeypatch):
    hangs, release = Event(), Event()
    monkeypatch.setattr("guardrail.sources.watch.LONGEST_GOODBYE_S", 0.01)
    monkeypatch.setattr("guardrail.sources.file._content", lambda _: hangs.set() or release.wait(10) or b"")
    followed.live.start()
    assert hangs.wait(5)
    followed.live.stop()
    assert 1 == len(watching())
    release.set()


def test_the_thread_ends_with_its_owner(path):
    followed = Followed(path)
    followed.live.start()
    [thread] = watching()
    owner = weakref.ref(followed.live)
    del followed
    gc.collect()
    thread.join(5)
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


class TestFork:
    @pytest.fixture(autouse=True)
    def forking_is_what_is_tested(self, recwarn):
        """From 3.12 on, Python warns of a fork while other threads run."""

    def in_child(self, act):
        """Fork, and return a function that waits for what *act* returns in the child."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # rather than to hang
            try:
                os.write(writing, repr(act()).encode())
            finally:
                os._exit(0)
        os.close(writing)

        def answer():
            with os.fdopen(reading) as pipe:
                said = pipe.read()
            os.waitpid(child, 0)
            return said

        return answer

    @pytest.mark.parametrize("how", ["start", "after_fork"])
    def test_a_child_sees_later_changes(self, followed, path, how):
        followed.live.start()

        def child():
            followed.heard = Event()
            getattr(followed.live, how)()
            return followed.hears(), followed.live.current, len(watching())

        answer = self.in_child(child)
        put(path, "second")
        assert repr((True, "second", 1)) == answer()
        assert followed.hears()

    def test_a_child_watches_only_where_the_parent_did(self, followed):
        followed.live.start()
        followed.live.stop()

        def child():
            followed.live.after_fork()
            return len(watching())

        assert "0" == self.in_child(child)()

    def test_a_child_that_stops_does_not_watch_again_and_leaves_the_parent_alone(self, followed, path):
        followed.live.start()

        def child():
            followed.live.stop()
            followed.live.after_fork()
            return len(watching())

        assert "0" == self.in_child(child)()
        put(path, "second")
        assert followed.hears()

    def test_a_child_leaves_the_thread_of_its_parent_alone_when_it_ends(self, followed):
        """Its Event may have been locked at the fork, for ever."""
        followed.live.start()
        [thread] = watching()
        thread.ended._cond.acquire()  # as the thread does, to wait
        answer = self.in_child(thread.end)
        thread.ended._cond.release()
        assert "None" == answer()

    def test_a_change_under_way_in_another_thread_does_not_block_a_child(self, path):
        parent, inside, release = os.getpid(), Event(), Event()

        def take(rules):
            if os.getpid() == parent:
                inside.set()
                release.wait(10)

        live = Followed(path, on_change=take).live
        put(path, "second")
        under_way = threading.Thread(target=live.reload)
        under_way.start()
        assert inside.wait(5)
        answer = self.in_child(live.reload)
        assert "'second'" == answer()
        release.set()
        under_way.join()


class Notices:
    """Stands in for watchfiles: answers in turn as the test says."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.waits_ms = []
        self.closed = False

    def RustNotify(self, *options):
        self.options = options
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def watch(self, longest_ms, quiet_ms, wait_ms, ended):
        self.waits_ms.append(wait_ms)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return "stop" if ended.is_set() else answer


class TestHints:
    @pytest.fixture
    def notices(self, monkeypatch):
        notices = Notices(*[{(1, "rules.yaml")}, "timeout"] * 3)
        monkeypatch.setitem(sys.modules, "watchfiles._rust_notify", notices)
        return notices

    @pytest.fixture
    def thread(self, path, monkeypatch):
        """The thread that would watch *path*, whose ticks the test takes itself."""
        followed = Followed(path, interval_s=0.25)
        monkeypatch.setattr("threading.Thread.start", lambda _: None)
        followed.live.start()
        [thread] = followed.live._watch._threads.values()
        thread.keep = followed
        return thread

    def test_the_folder_of_the_file_is_watched_and_not_what_lies_below(self, notices, thread, path):
        next(thread.ticks())
        folders, *_, recursive, _ = notices.options
        assert ([str(path.parent)], False) == (folders, recursive)

    def test_a_notice_is_a_tick_and_so_is_the_interval(self, notices, thread):
        ticks = thread.ticks()
        for _ in range(6):
            next(ticks)
        assert [250] * 6 == notices.waits_ms

    def test_a_change_in_sight_is_looked_at_again_soon(self, notices, thread, path):
        ticks = thread.ticks()
        for text in ("first", "second", "second", "second"):
            path.write_text(text)
            next(ticks)
            assert thread.looked()
        next(ticks)
        assert [250, 250, 100, 250, 250] == notices.waits_ms
        assert ["second"] == thread.keep.taken

    def test_no_interval_is_so_short_that_it_means_for_ever(self, notices, thread):
        thread.interval_s = 0.0001
        next(thread.ticks())
        assert [1] == notices.waits_ms

    def test_the_end_is_an_end(self, notices, thread):
        ticks = thread.ticks()
        next(ticks)
        thread.ended.set()
        assert [] == list(ticks)
        assert notices.closed

    def test_the_watch_is_closed_when_the_owner_is_gone(self, notices, thread):
        del thread.keep
        gc.collect()
        thread.run()
        assert notices.closed
        assert 1 == len(notices.waits_ms)

    @pytest.mark.parametrize("failing", ["at once", "later"])
    def test_polling_goes_on_when_it_fails(self, notices, thread, failing):
        notices.answers = [OSError("too many open files")] if failing == "at once" else ["timeout", OSError("gone")]
        thread.interval_s = 0.001
        ticks = thread.ticks()
        for _ in range(5):
            next(ticks)
        assert notices.closed
        assert [] == notices.answers

    def test_a_source_that_is_nowhere_on_disk_is_polled(self, notices):
        followed = Followed(Shown("1", "2"))
        followed.live.start()
        assert followed.hears()
        followed.live.stop()
        assert [] == notices.waits_ms

    def test_with_the_real_one_nobody_waits_for_the_interval(self, path, monkeypatch):
        monkeypatch.delitem(sys.modules, "watchfiles._rust_notify")
        pytest.importorskip("watchfiles")
        followed = Followed(path, interval_s=3600)
        followed.live.start()
        for number in range(200):  # the first may come before anybody listens
            put(path, f"rules {number}")
            if followed.hears(0.3):
                break
        assert followed.taken
        before = open_files()
        followed.live.stop()
        assert [] == watching()
        assert open_files() < before


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
