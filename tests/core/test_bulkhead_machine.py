"""Whatever happens in whatever order, a bulkhead does what a plain list of people in a row would."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guardrail.core.bulkhead import Bulkhead, BulkheadState

SIZES = st.builds(Bulkhead, st.integers(1, 4), st.none() | st.integers(1, 3))
WHICH = st.integers(0, 100)


class BulkheadMachine(RuleBasedStateMachine):
    """Keep everybody in one list, oldest first, and find out who is next by looking at all of them."""

    @initialize(bulkhead=SIZES)
    def start(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.state: BulkheadState[int] = BulkheadState()
        self.inside = 0
        self.most_inside = 0  # since the last time it shrank
        self.row: list[tuple[int, bool]] = []  # who, and whether it has been in before
        self.granted: list[int] = []  # were handed a place and have not looked yet
        self.names = 0

    def next_in_row(self) -> int | None:
        if not self.row or self.inside >= self.bulkhead.max_concurrent:
            return None
        first = min(self.row, key=lambda waiter: (not waiter[1], self.row.index(waiter)))
        self.row.remove(first)
        self.inside += 1
        self.granted.append(first[0])
        return first[0]

    @rule(returning=st.booleans(), waits=st.booleans())
    def enter(self, returning: bool, waits: bool) -> None:
        free = self.inside < self.bulkhead.max_concurrent and not self.row
        assert free == self.bulkhead.take(self.state)
        if free:
            self.inside += 1
        elif waits:
            self.names += 1
            limit = self.bulkhead.max_queue
            room = returning or limit is None or len(self.row) < limit
            assert room == self.bulkhead.queue(self.state, self.names, returning)
            if room:
                self.row.append((self.names, returning))

    @rule(returning=st.lists(st.booleans(), min_size=2, max_size=6))
    def crowd(self, returning: list[bool]) -> None:
        for one in returning:
            self.enter(returning=one, waits=True)

    @precondition(lambda self: self.inside > len(self.granted))
    @rule()
    def leave_the_inside(self) -> None:
        self.inside -= 1
        assert self.next_in_row() == self.bulkhead.release(self.state)

    @precondition(lambda self: self.granted)
    @rule(which=WHICH)
    def start_work(self, which: int) -> None:
        self.granted.pop(which % len(self.granted))

    @precondition(lambda self: self.granted)
    @rule(which=WHICH)
    def give_up_too_late(self, which: int) -> None:
        waiter = self.granted.pop(which % len(self.granted))
        assert not self.bulkhead.leave(self.state, waiter)
        self.inside -= 1
        assert self.next_in_row() == self.bulkhead.release(self.state)

    @precondition(lambda self: self.row)
    @rule(which=WHICH)
    def give_up(self, which: int) -> None:
        waiter, _ = self.row.pop(which % len(self.row))
        assert self.bulkhead.leave(self.state, waiter)

    @rule(bulkhead=SIZES)
    def resize(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        expected = []
        while (waiter := self.next_in_row()) is not None:
            expected.append(waiter)
        assert expected == bulkhead.resize(self.state)
        self.most_inside = max(self.inside, bulkhead.max_concurrent)

    @invariant()
    def nobody_waits_for_a_free_place_and_nobody_is_lost(self) -> None:
        state, most = self.state, self.bulkhead.max_concurrent
        assert self.inside == state.in_use
        assert [waiter for waiter, returning in self.row if returning] == list(state.returning)
        assert [waiter for waiter, returning in self.row if not returning] == list(state.arriving)
        assert len(self.row) == state.waiting
        assert not state.waiting or state.in_use >= most
        assert max(0, most - state.in_use) == self.bulkhead.view(state)
        self.most_inside = max(min(self.most_inside, self.inside), most)
        assert state.in_use <= self.most_inside

    def teardown(self) -> None:
        """When everybody has left, nothing is held and nobody waits."""
        if not hasattr(self, "state"):
            return
        self.granted.clear()
        while self.inside:
            self.leave_the_inside()
            self.granted.clear()
        assert (self.state.in_use, self.state.waiting) == (0, 0)


TestBulkhead = BulkheadMachine.TestCase
TestBulkhead.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
