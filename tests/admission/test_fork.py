"""A child starts with the rules and limits of its parent, and with none of its threads, locks and places."""

import asyncio
import gc
import os
from contextlib import suppress
from threading import Event

import pytest

from guardrail.admission import forks
from tests.admission.scene import (
    PATIENCE,
    ByHand,
    breaker,
    bulkhead,
    decided,
    ended,
    guard_of,
    held,
    in_child,
    inside,
    left,
    limit,
    queued,
    started,
)


@pytest.fixture(autouse=True)
def forking_is_what_is_tested(recwarn):
    """From 3.12 on, Python warns of a fork while other threads run."""


def test_a_child_starts_with_no_places_held_and_nobody_waiting(clock):
    guard = guard_of(clock, bulkhead(2, max_wait="1h"))
    _, second, _waiting = held(guard), held(guard), ByHand(guard)

    def child():
        before = inside(guard), queued(guard), len(guard.ledger.waiting)
        mine = [guard.try_enter("r") for _ in range(2)]
        second.exit()  # it is the parent's
        full = guard.try_enter("r", max_wait=0)
        counts = inside(guard), bool(full)
        for permit in mine:
            permit.exit()
        return before, all(mine), counts, inside(guard)

    assert repr(((0, 0, 0), True, (2, False), 0)) == in_child(child)
    assert (2, 1) == (inside(guard), queued(guard))


@pytest.mark.parametrize("busy", ["ledger", "swap"])
def test_a_lock_that_another_thread_holds_is_free_in_a_child(clock, busy):
    guard = guard_of(clock, limit("3/min"), bulkhead())
    decided(guard)
    inner, release = Event(), Event()

    def hold():
        with guard.ledger if busy == "ledger" else guard._swapping:
            inner.set()
            release.wait(PATIENCE)

    thread = started(hold)
    assert inner.wait(PATIENCE)

    def child():
        used = decided(guard).remaining, left(guard)
        guard.apply([limit("9/min"), bulkhead()])
        return used, left(guard)

    assert repr(((0, 1), 7)) == in_child(child)
    release.set()
    assert ended(thread)


def test_limits_and_breakers_go_on_where_the_parent_was(clock):
    guard = guard_of(clock, limit("3/min", name="limit"), breaker(consecutive_failures=1, name="breaker"))
    held(guard).exit(OSError())

    def child():
        return guard.breakers["breaker"].state, left(guard, "limit"), decided(guard).reason

    assert repr(("open", 2, "breaker_open")) == in_child(child)


def test_a_probe_that_is_out_stays_with_the_parent(clock):
    """Nobody in the child will bring it back; there the next call is the probe."""
    guard = guard_of(clock, breaker(consecutive_failures=1, open_for="1s", half_open_calls=1, name="breaker"))
    held(guard).exit(OSError())
    clock.advance(1)
    probe = held(guard)

    def child():
        before = guard.breakers["breaker"].snapshot().probes_out
        probe.exit(OSError())
        return before, guard.breakers["breaker"].state, decided(guard).allowed, guard.breakers["breaker"].state

    assert repr((0, "half_open", True, "closed")) == in_child(child)
    assert "breaker_probing" == decided(guard).reason
    probe.exit()
    assert "closed" == guard.breakers["breaker"].state


def test_what_was_put_off_in_the_parent_is_not_done_in_a_child(clock):
    """The lock was held: the exit waits for whoever holds it, and that one is in the parent."""
    guard = guard_of(clock, bulkhead())
    permit = held(guard)
    with guard.ledger:
        permit.exit()
        answer = in_child(lambda: (len(guard.ledger.deferred), inside(guard), decided(guard).allowed))
    assert repr((0, 0, True)) == answer
    assert 0 == inside(guard)


def test_decorated_functions_are_as_free_in_a_child(clock):
    """Also those on the compiled path, called while the parent was inside of them and held the lock."""
    guard = guard_of(clock)

    @guard.bulkhead(1, name="b")
    @guard.breaker(name="b")
    def call(act):
        return act()

    def child():
        return call(lambda: inside(guard, "b/bulkhead")), inside(guard, "b/bulkhead")

    call(lambda: None)
    assert repr((1, 0)) == call(lambda: in_child(child))
    assert 0 == inside(guard, "b/bulkhead")


@pytest.mark.parametrize("way", ["return", "raise"])
def test_a_call_of_the_parent_that_ends_in_the_child_frees_no_place_there(clock, way):
    guard = guard_of(clock)
    reading, writing = os.pipe()
    child = None

    @guard.bulkhead(2, name="b")
    def call():
        nonlocal child
        child = os.fork()  # parent and child both end the call
        if way == "raise":
            raise OSError

    try:
        with suppress(OSError):
            call()
    finally:
        if child == 0:
            os.write(writing, str(inside(guard, "b/bulkhead")).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert "0" == pipe.read()
    os.waitpid(child, 0)
    assert 0 == inside(guard, "b/bulkhead")


def test_a_task_that_waits_at_the_fork_goes_on_waiting_in_the_parent(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    holder = held(guard)

    async def main():
        call = asyncio.create_task(guard.atry_enter("r"))
        await asyncio.sleep(0)
        assert repr((0, True)) == in_child(lambda: (queued(guard), decided(guard).allowed))
        holder.exit()
        permit = await call
        permit.exit()

    asyncio.run(main())
    assert 0 == inside(guard)


def test_a_guard_is_not_kept_alive_to_be_told_of_forks(clock):
    gc.collect()
    guard = guard_of(clock)
    before = len(forks._followers)
    del guard
    gc.collect()
    assert before - 1 == len(forks._followers)


def test_where_nothing_can_fork_nothing_is_registered(clock, monkeypatch):
    monkeypatch.delattr(os, "register_at_fork")
    monkeypatch.setattr(forks, "_registered", [])
    guard_of(clock)
    assert not forks._registered


def test_forks_are_followed_from_the_first_guard_on_and_once(clock, monkeypatch):
    registered = []
    monkeypatch.setattr(os, "register_at_fork", lambda **hooks: registered.append(hooks))
    monkeypatch.setattr(forks, "_registered", [])
    _guards = guard_of(clock), guard_of(clock)
    assert [["after_in_child"]] == [list(hooks) for hooks in registered]
