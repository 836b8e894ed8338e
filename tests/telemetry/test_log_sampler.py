"""Of many lines few are granted, evenly, and every other one is counted."""

import threading
from collections import Counter

import pytest

from guardrail.telemetry.counts import OTHER
from guardrail.telemetry.sampler import MOST_LINES, Sampler


def asked(sampler, times, name="r"):
    return [sampler.wants(name) for _ in range(times)]


def test_the_first_line_is_granted_at_once_and_the_next_a_second_later(hand):
    sampler = Sampler(1.0, 1, hand)
    assert [True, False, False] == asked(sampler, 3)
    hand.now += 0.999
    assert [False] == asked(sampler, 1)
    hand.now += 0.001
    assert [True, False] == asked(sampler, 2)


def test_each_granted_line_tells_how_many_were_left_out_before_it_and_tells_it_once(hand):
    sampler = Sampler(1.0, 1, hand)
    asked(sampler, 5)
    hand.now += 60
    asked(sampler, 3)
    assert [0, 4, None] == [sampler.left_out("r") for _ in range(3)]
    hand.now += 60
    asked(sampler, 1)
    assert 2 == sampler.left_out("r")


def test_a_line_that_is_granted_late_brings_no_burst_after_it(hand):
    sampler = Sampler(1.0, 1, hand)
    asked(sampler, 1)
    hand.now += 3600
    assert [True, False, False] == asked(sampler, 3)


def test_a_burst_is_granted_at_once_and_then_an_even_pace(hand):
    sampler = Sampler(0.1, 3, hand)
    assert [True, True, True, False] == asked(sampler, 4)
    hand.now += 0.11
    assert [True, False] == asked(sampler, 2)
    hand.now += 60
    assert [True, True, True, False] == asked(sampler, 4)


def test_names_have_nothing_to_do_with_one_another(hand):
    sampler = Sampler(1.0, 1, hand)
    assert [True, True, False] == [sampler.wants("a"), sampler.wants("b"), sampler.wants("a")]
    assert [0, 0] == [sampler.left_out("a"), sampler.left_out("b")]


def test_names_are_bounded_and_those_beyond_share_a_line(hand):
    sampler = Sampler(1.0, 1, hand)
    assert all(sampler.wants(f"r{number}") for number in range(MOST_LINES))
    assert [True, *[False] * 99_000] == [sampler.wants(f"more{number}") for number in range(99_001)]
    assert {*(f"r{number}" for number in range(MOST_LINES)), OTHER} == set(sampler._lines)
    hand.now += 1
    assert sampler.wants("even more")
    assert [0, 99_000] == [sampler.left_out("whatever"), sampler.left_out("even more")]


def test_of_many_threads_one_gets_the_line_and_every_other_is_counted(hand):
    sampler, ready = Sampler(1.0, 1, hand), threading.Barrier(8)
    granted = Counter()

    def ask():
        for turn in range(200):
            ready.wait()
            granted[turn] += sampler.wants("r")
            if ready.wait() == 0:
                hand.now += 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(range(200)) == set(granted)
    assert sampler.wants("r")
    told = [sampler.left_out("r") for _ in range(201)]
    assert 1600 == 200 + sum(told)
    assert sampler.left_out("r") is None


class Late:
    """A lock that somebody else had in the meantime, and the line with it."""

    def __init__(self, line):
        self.line = line

    def acquire(self, blocking):
        self.line.opens += 1
        return True

    def release(self):
        pass


def test_who_comes_to_the_lock_second_finds_the_line_gone(hand):
    sampler = Sampler(1.0, 1, hand)
    asked(sampler, 1)
    line = sampler._lines["r"]
    line.lock = Late(line)
    hand.now += 1
    assert [False] == asked(sampler, 1)
    assert [0, None] == [sampler.left_out("r"), sampler.left_out("r")]


class Interrupted(BaseException):
    """As raised by a signal handler."""


class Interrupting:
    """A lock in whose release a signal handler runs, and raises."""

    def acquire(self, blocking):
        return True

    def release(self):
        raise Interrupted


def test_whoever_is_interrupted_leaves_a_sampler_that_still_grants(hand):
    sampler = Sampler(1.0, 1, hand)
    asked(sampler, 1)
    sampler._lines["r"].lock = Interrupting()
    hand.now += 1
    with pytest.raises(Interrupted):
        sampler.wants("r")
    hand.now += 1
    assert [True, False] == asked(sampler, 2)


def test_nobody_waits_for_a_lock_that_is_taken_further_down_the_stack(hand):
    sampler = Sampler(1.0, 1, hand)
    asked(sampler, 1)
    hand.now += 1
    with sampler._lines["r"].lock:
        assert [False, False] == asked(sampler, 2)
    assert [True] == asked(sampler, 1)
    assert [0, 2] == [sampler.left_out("r"), sampler.left_out("r")]


def test_a_forked_child_grants_whatever_lock_a_thread_of_the_parent_held(hand):
    sampler = Sampler(1.0, 1, hand)
    asked(sampler, 1)
    sampler._lines["r"].lock.acquire()
    sampler.after_fork()
    assert [True, False] == asked(sampler, 2)
