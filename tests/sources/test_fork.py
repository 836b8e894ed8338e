"""Rules are followed across a fork: a child has its own thread and locks, and leaves those of its parent alone."""

import os
import signal
import threading
from threading import Event

import pytest

from tests.sources.followed import Followed, put, watching


@pytest.fixture(autouse=True)
def forking_is_what_is_tested(recwarn):
    """From 3.12 on, Python warns of a fork while other threads run."""


def in_child(act):
    """Fork, and return a function that waits for what *act* returns in the child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # rather than to hang
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
def test_a_child_sees_later_changes(followed, path, how):
    followed.live.start()

    def child():
        followed.heard = Event()
        getattr(followed.live, how)()
        return followed.hears(), followed.live.current, len(watching())

    answer = in_child(child)
    put(path, "second")
    assert repr((True, "second", 1)) == answer()
    assert followed.hears()


def test_a_child_watches_only_where_the_parent_did(followed):
    followed.live.start()
    followed.live.stop()

    def child():
        followed.live.after_fork()
        return len(watching())

    assert "0" == in_child(child)()


def test_a_child_that_stops_does_not_watch_again_and_leaves_the_parent_alone(followed, path):
    followed.live.start()

    def child():
        followed.live.stop()
        followed.live.after_fork()
        return len(watching())

    assert "0" == in_child(child)()
    put(path, "second")
    assert followed.hears()


def test_a_child_leaves_the_thread_of_its_parent_alone_when_it_ends(followed):
    """Its Event may have been locked at the fork, for ever."""
    followed.live.start()
    [thread] = watching()
    thread.ended._cond.acquire()  # as the thread does, to wait
    answer = in_child(thread.end)
    thread.ended._cond.release()
    assert "None" == answer()


def test_a_change_under_way_in_another_thread_does_not_block_a_child(path):
    parent, inside, release = os.getpid(), Event(), Event()

    def take(rules):
        if os.getpid() == parent:
            inside.set()
            release.wait(60)

    live = Followed(path, on_change=take).live
    put(path, "second")
    under_way = threading.Thread(target=live.reload)
    under_way.start()
    assert inside.wait(20)
    answer = in_child(live.reload)
    assert "'second'" == answer()
    release.set()
    under_way.join()
