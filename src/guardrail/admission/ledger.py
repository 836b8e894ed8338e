"""Ledger: all state of one guard in this process, under one lock.

Law: state is read and written only inside a turn; a turn holds the lock and reads the clock once, inside it. What must
not happen under the lock (listeners, waking whoever waits, talking to a store) is collected and happens right after it.

A finalizer or a signal handler may run in the middle of a turn, on its thread. What it gives back (`soon`) waits for the
end of the turn; a call it makes is a turn inside of the turn, because waiting for oneself would be for ever. So the lock
is a re-entrant one, and it is always taken inside of the `try` that gives it back: wherever a signal handler raises, the
lock is free afterwards.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from threading import RLock, get_ident
from typing import TYPE_CHECKING

from guardrail.telemetry.counts import Counts
from guardrail.telemetry.events import BreakerMoved, KeysOverflowed
from guardrail.telemetry.log import EventLog
from guardrail.telemetry.notify import notify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from guardrail.admission.limit_states import LimitStates
    from guardrail.admission.object_states import BreakerName, BreakerStates, BulkheadStates
    from guardrail.admission.waiter import Waiter
    from guardrail.clock import Clock
    from guardrail.core.breaker_state import Transition
    from guardrail.telemetry.events import Event, Listener


class Ledger:
    """Hold the states by rule name, and the lock. `with ledger as now_us:` is one turn.

    Attributes:
        now_us: The time of the current or last turn.
        turn: Counts turns: what was learned in this one is still true while the number is the same.
        steps: How often the clock was seen to step back; a charge from before a step is not given back.
        forks: How often this process was forked off; permits from before it are the parent's.
    """

    def __init__(
        self,
        clock: Clock,
        max_keys: int,
        listeners: Sequence[Listener],
        log: EventLog | None = None,
        *,
        measures_latency: bool = False,
    ) -> None:
        self.clock = clock
        self.max_keys = max_keys
        self.limits: dict[str, LimitStates] = {}
        self.breakers: dict[str, BreakerStates] = {}
        self.bulkheads: dict[str, BulkheadStates] = {}
        self.waiting: set[Waiter] = set()
        self.now_us = clock.now_us()
        self.turn = 0
        self.steps = 0
        self.forks = 0
        self.lock = RLock()
        self._depth = 0
        self._owner: int | None = None
        self.deferred: deque[Callable[[], None]] = deque()
        self.listeners = listeners
        self.log = log or EventLog()
        self.counts = Counts(measures_latency=measures_latency)
        self._news: list[Event] = []
        self._woken: list[Waiter] = []
        self._errands: list[Callable[[], None]] = []

    def __enter__(self) -> int:
        try:
            self.lock.acquire()
            return self._begin()
        except BaseException:
            with suppress(RuntimeError):  # it was not ours yet
                self.lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            self._end()
        finally:
            if self.deferred:
                self.drain()

    @contextmanager
    def quietly(self) -> Iterator[int]:
        """Take a turn that tells nobody: its caller holds a lock of its own, and calls `tell` when that is free."""
        try:
            self.lock.acquire()
            now_us = self._begin()
            try:
                yield now_us
            finally:
                self._leave()
        finally:
            self.lock.release()

    def tell(self) -> None:
        """Tell what quiet turns have left untold."""
        with self:
            pass

    def soon(self, step: Callable[[], None]) -> None:
        """Run *step* in a turn: now, or where the lock is held, right after whoever holds it. Never waits."""
        self.deferred.append(step)
        self.drain()

    def drain(self) -> None:
        """Run what was put off. Whoever releases the lock looks here afterwards, so nothing is left behind."""
        while self.deferred and self._owner != get_ident() and self.lock.acquire(blocking=False):
            try:
                self._begin()
            except BaseException:
                self.lock.release()
                raise
            self._end()

    def say(self, event: Event) -> None:
        """Tell the listeners, and the log, once the lock is free."""
        self._news.append(event)

    def announce(self, event: Event, *, logged: bool = True) -> None:
        """Tell the listeners, and the log, now. The lock is not held."""
        notify((self.log, *self.listeners) if logged else self.listeners, [event])

    def afterwards(self, errand: Callable[[], None]) -> None:
        """Run *errand*, which talks to a store or a logger, once the lock is free."""
        self._errands.append(errand)

    def wake(self, waiter: Waiter) -> None:
        """Wake a waiter that has been handed a place, once the lock is free.

        It is forgotten here: if its event loop is gone, it can be collected, and passes the place on as it goes.
        """
        self.waiting.discard(waiter)
        self._woken.append(waiter)

    def moved(self, states: BreakerStates, name: BreakerName, transition: Transition | None) -> None:
        """Count and report what a breaker did, if it did anything."""
        if transition is not None:
            move = transition.from_state, transition.to_state
            states.moves[move] = states.moves.get(move, 0) + 1
            self.say(BreakerMoved(name.breaker, *move, transition.reason, name.rule, name.resource))

    def overflowed(self, rule: str, states: LimitStates | BreakerStates | BulkheadStates) -> None:
        """Report, once, that a rule's keys are all in use and further ones share a state."""
        if states.overflowed_now:
            states.overflowed_now = False
            self.say(KeysOverflowed(rule, states.bound))

    def expire_waiters(self) -> None:
        """Wake every waiter whose time is up by the clock: it was moved by hand."""
        with self as now_us:
            self._woken.extend(waiter for waiter in self.waiting if waiter.deadline_us <= now_us)

    def after_fork(self) -> None:
        """Start again in a forked child: other threads, with their places and probes, stayed with the parent."""
        self.forks += 1
        self.lock = RLock()
        self._depth, self._owner = 0, None
        self.deferred = deque()
        self.waiting = set()
        self._news, self._woken, self._errands = [], [], []
        for bulkheads in self.bulkheads.values():
            bulkheads.clear()
        self.counts.after_fork()
        self.log.after_fork()
        for breakers in self.breakers.values():
            breakers.count_from_here()
            for health in breakers.states.values():
                if health.trial is not None:
                    health.trial.out.clear()

    def _begin(self) -> int:
        now_us = self.clock.now_us()
        if now_us < self.now_us:
            self.steps += 1
        self.now_us = now_us
        self.turn += 1
        self._depth += 1
        self._owner = get_ident()
        try:
            while self.deferred and self._depth == 1:
                self.deferred.popleft()()
        except BaseException:
            self._leave()
            raise
        return now_us

    def _leave(self) -> bool:
        """End this turn; True: it was not inside of another one."""
        self._depth -= 1
        if self._depth:
            return False
        self._owner = None
        return True

    def _end(self) -> None:
        news: Sequence[Event] = ()
        woken: Sequence[Waiter] = ()
        errands: Sequence[Callable[[], None]] = ()
        if self._leave():
            if self._news:
                news, self._news = self._news, []
            if self._woken:
                woken, self._woken = self._woken, []
            if self._errands:
                errands, self._errands = self._errands, []
        self.lock.release()
        for waiter in woken:
            waiter.rouse()
        for errand in errands:
            errand()
        for event in news:
            self.announce(event)
