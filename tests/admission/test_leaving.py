"""Leaving never waits: where another thread holds the lock, it is put off until that one is done."""

from threading import Event, Thread

import pytest

from guardrail import Guard
from guardrail.admission import single


class Holder(Thread):
    """Hold a lock in a thread of its own."""

    def __init__(self, lock):
        super().__init__()
        self.lock, self.has_it, self.may_go = lock, Event(), Event()

    def run(self):
        with self.lock:
            self.has_it.set()
            self.may_go.wait(10)


@pytest.mark.parametrize(
    ("shape", "decorate"),
    [
        (single.watched, lambda guard: guard.breaker(name="r")),
        (single.placed, lambda guard: guard.bulkhead(1, name="r")),
        (None, lambda guard: lambda work: guard.breaker(name="r")(guard.bulkhead(1, name="r")(work))),
    ],
)
def test_a_call_that_ends_while_another_thread_holds_the_lock(shape, decorate):
    guard = Guard()
    holders = []

    @decorate(guard)
    def work(hold: bool) -> None:
        if hold:
            holders.append(Holder(guard.ledger.lock))
            holders[0].start()
            assert holders[0].has_it.wait(10)

    work(False)
    assert work.__guardrail__.plan.shape is shape
    work(True)
    assert len(guard.ledger.deferred) == 1
    holders[0].may_go.set()
    holders[0].join()
    guard.ledger.drain()
    for bulkheads in guard.ledger.bulkheads.values():
        assert [0] == [state.in_use for state in bulkheads.states.values()]
    for name in guard.breakers:
        assert guard.breakers[name].snapshot().total_successes == 2
