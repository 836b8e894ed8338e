"""Finalizers and signal handlers call the guard at any moment, also while it makes gates: nobody waits for himself."""

import gc

import pytest

from guardrail.admission.stock import Stock
from tests.admission.scene import decided, ended, guard_of, limit, started


@pytest.fixture
def meanwhile(monkeypatch):
    """What does something in the middle of making gates, once."""

    def plant(act):
        gates, once = Stock.gates, [act]

        def interrupted(stock, *args, **kwargs):
            while once:
                once.pop()()
            return gates(stock, *args, **kwargs)

        monkeypatch.setattr(Stock, "gates", interrupted)

    return plant


def test_a_finalizer_may_call_while_gates_are_made(clock, meanwhile):
    class Last:
        """Say goodbye, in a cycle that only the collector finds."""

        def __init__(self):
            self.me = self

        def __del__(self):
            said.append(decided(guard, "goodbye").allowed)

    said, guard = [], guard_of(clock, limit(resource="*"))
    Last()
    meanwhile(gc.collect)
    thread = started(lambda: said.append(decided(guard, "hello").allowed))
    assert ended(thread)
    assert [True, False] == said  # one token for both


def test_a_handler_may_change_the_rules_while_gates_are_made(clock, meanwhile):
    """The call in the middle is decided by the rules as they were, the next by those that are in force."""
    guard, limits = guard_of(clock, limit()), []
    meanwhile(lambda: guard.apply([limit("5/min")]))
    assert ended(started(lambda: limits.extend(decided(guard).verdicts[0].limit for _ in range(2))))
    assert [1, 5] == limits


def test_a_host_may_be_asked_while_somebody_takes_a_seat(clock):
    guard = guard_of(clock, limit())

    def seated():
        with guard._host.seating:
            guard.take_seat()

    assert ended(started(seated))
