"""A bulkhead lets so many in and no more, and serves those who wait in order."""

from __future__ import annotations

import pytest

from guardrail.core.bulkhead import Bulkhead, BulkheadState


def full(bulkhead: Bulkhead) -> BulkheadState[str]:
    state: BulkheadState[str] = BulkheadState()
    while bulkhead.take(state):
        pass
    return state


def wait(bulkhead: Bulkhead, state: BulkheadState[str], waiters: str, *, returning: bool = False) -> list[bool]:
    return [bulkhead.queue(state, waiter, returning) for waiter in waiters]


def test_lets_in_as_many_as_allowed_and_no_more() -> None:
    bulkhead, state = Bulkhead(2), BulkheadState[str]()
    assert [bulkhead.take(state) for _ in range(3)] == [True, True, False]
    assert (state.in_use, bulkhead.view(state)) == (2, 0)


def test_a_place_given_back_is_free_where_nobody_waits() -> None:
    bulkhead = Bulkhead(2)
    state = full(bulkhead)
    assert bulkhead.release(state) is None
    assert (state.in_use, bulkhead.view(state)) == (1, 1)
    assert bulkhead.take(state)


def test_waiters_are_served_in_order_of_arrival() -> None:
    bulkhead = Bulkhead(2)
    state = full(bulkhead)
    assert wait(bulkhead, state, "abc") == [True, True, True]
    assert [bulkhead.release(state) for _ in range(3)] == ["a", "b", "c"]
    assert state.in_use == 2


def test_those_who_slept_for_a_limit_go_before_those_who_just_arrived() -> None:
    """Among themselves they keep the order in which they came back."""
    bulkhead = Bulkhead(1)
    state = full(bulkhead)
    wait(bulkhead, state, "a")
    wait(bulkhead, state, "xy", returning=True)
    wait(bulkhead, state, "b")
    assert [bulkhead.release(state) for _ in range(5)] == ["x", "y", "a", "b", None]
    assert state.in_use == 0


def test_nobody_slips_in_past_those_who_wait() -> None:
    """A place that is handed over is never free in between."""
    bulkhead = Bulkhead(1)
    state = full(bulkhead)
    wait(bulkhead, state, "a")
    assert bulkhead.release(state) == "a"
    assert not bulkhead.take(state)
    grown = Bulkhead(2)  # not resized yet: there is room, and somebody is waiting for it
    wait(bulkhead, state, "b")
    assert not grown.take(state)


def test_a_waiter_that_cannot_use_its_place_passes_it_on() -> None:
    """It timed out or was cancelled while it was handed the place."""
    bulkhead = Bulkhead(1)
    state = full(bulkhead)
    wait(bulkhead, state, "ab")
    assert bulkhead.release(state) == "a"
    assert not bulkhead.leave(state, "a")
    assert bulkhead.release(state) == "b"
    assert bulkhead.release(state) is None
    assert state.in_use == 0


def test_a_waiter_that_leaves_is_forgotten_from_either_row() -> None:
    bulkhead = Bulkhead(1)
    state = full(bulkhead)
    wait(bulkhead, state, "abc")
    wait(bulkhead, state, "xyz", returning=True)
    assert bulkhead.leave(state, "b")
    assert bulkhead.leave(state, "y")
    assert not bulkhead.leave(state, "y")
    assert state.waiting == 4
    assert [bulkhead.release(state) for _ in range(5)] == ["x", "z", "a", "c", None]


def test_no_more_wait_than_max_queue() -> None:
    bulkhead = Bulkhead(1, max_queue=2)
    state = full(bulkhead)
    assert wait(bulkhead, state, "abc") == [True, True, False]
    bulkhead.release(state)
    assert wait(bulkhead, state, "d") == [True]


def test_those_who_come_back_are_never_refused_but_count() -> None:
    bulkhead = Bulkhead(1, max_queue=2)
    state = full(bulkhead)
    assert wait(bulkhead, state, "xyz", returning=True) == [True, True, True]
    assert wait(bulkhead, state, "a") == [False]


def test_growing_lets_waiters_in_at_once() -> None:
    state = full(Bulkhead(1))
    wait(Bulkhead(1), state, "abc")
    wait(Bulkhead(1), state, "x", returning=True)
    assert Bulkhead(3).resize(state) == ["x", "a"]
    assert state.in_use == 3
    assert Bulkhead(9).resize(state) == ["b", "c"]
    assert state.in_use == 5


def test_shrinking_throws_nobody_out_and_drains() -> None:
    """Places are given again only when fewer are inside than now allowed."""
    state = full(Bulkhead(4))
    wait(Bulkhead(4), state, "ab")
    small = Bulkhead(2)
    assert small.resize(state) == []
    assert (state.in_use, small.view(state)) == (4, 0)
    assert [small.release(state) for _ in range(4)] == [None, None, "a", "b"]
    assert state.in_use == 2


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ({"max_concurrent": 0}, "max_concurrent must be at least 1, got 0"),
        ({"max_concurrent": 1, "max_queue": 0}, "max_queue must be at least 1, got 0; without max_wait nobody waits"),
    ],
)
def test_numbers_below_one_are_refused(numbers: dict[str, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Bulkhead(**numbers)
