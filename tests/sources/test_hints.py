"""Where `watchfiles` is installed it calls for looks early; polling stays the truth."""

import gc
import sys
import time

import pytest

from tests.sources.followed import Followed, Shown, open_files, put, watching


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


@pytest.fixture
def notices(monkeypatch):
    notices = Notices(*[{(1, "rules.yaml")}, "timeout"] * 3)
    monkeypatch.setitem(sys.modules, "watchfiles._rust_notify", notices)
    return notices


@pytest.fixture
def thread(path, monkeypatch):
    """The thread that would watch *path*, whose ticks the test takes itself."""
    followed = Followed(path, interval_s=0.25)
    monkeypatch.setattr("threading.Thread.start", lambda _: None)
    followed.live.start()
    [thread] = followed.live._watch._threads.values()
    thread.keep = followed
    return thread


def test_the_folder_of_the_file_is_watched_and_not_what_lies_below(notices, thread, path):
    next(thread.ticks())
    folders, *_, recursive, _ = notices.options
    assert ([str(path.parent)], False) == (folders, recursive)


def test_a_notice_is_a_tick_and_so_is_the_interval(notices, thread):
    ticks = thread.ticks()
    for _ in range(6):
        next(ticks)
    assert [250] * 6 == notices.waits_ms


def test_a_change_in_sight_is_looked_at_again_soon(notices, thread, path):
    ticks = thread.ticks()
    for text in ("first", "second", "second", "second"):
        path.write_text(text)
        next(ticks)
        assert thread.looked()
    next(ticks)
    assert [250, 250, 100, 250, 250] == notices.waits_ms
    assert ["second"] == thread.keep.taken


def test_no_interval_is_so_short_that_it_means_for_ever(notices, thread):
    thread.interval_s = 0.0001
    next(thread.ticks())
    assert [1] == notices.waits_ms


def test_the_end_is_an_end(notices, thread):
    ticks = thread.ticks()
    next(ticks)
    thread.ended.set()
    assert [] == list(ticks)
    assert notices.closed


def test_the_watch_is_closed_when_the_owner_is_gone(notices, thread):
    del thread.keep
    gc.collect()
    thread.run()
    assert notices.closed
    assert 1 == len(notices.waits_ms)


@pytest.mark.parametrize("failing", ["at once", "later"])
def test_polling_goes_on_when_it_fails(notices, thread, failing):
    notices.answers = [OSError("too many open files")] if failing == "at once" else ["timeout", OSError("gone")]
    thread.interval_s = 0.001
    ticks = thread.ticks()
    for _ in range(5):
        next(ticks)
    assert notices.closed
    assert [] == notices.answers


def test_a_source_that_is_nowhere_on_disk_is_polled(notices):
    followed = Followed(Shown("1", "2"))
    followed.live.start()
    assert followed.hears()
    followed.live.stop()
    assert [] == notices.waits_ms


def test_with_the_real_one_nobody_waits_for_the_interval(path, monkeypatch):
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
    latest = time.monotonic() + 20
    while open_files() >= before:  # its own thread closes them
        assert time.monotonic() < latest
