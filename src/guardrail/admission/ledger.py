"""Ledger: all state of one guard in this process, under one lock.

Law: state is read and written only inside a turn; a turn holds the lock and reads the clock once, inside it. What must
not happen under the lock (listeners, waking whoever waits, talking to a store) is collected and happens right after it.

A finalizer or a signal handler may run in the middle of a turn, on its thread. What it gives back (`soon`) and whom it
has to tell waits for the end of the turn; a call it makes is a turn inside of the turn, because waiting for oneself would
be for ever. So the lock is a re-entrant one, and it alone knows who is in a turn.

A signal handler may also raise. Python runs it where a function begins, where a loop begins again and after a call of C:
almost anywhere, but not between one plain store and the next, nor between a store and a call of C. Therefore `run` and
`drain`, by which all calls go, take the lock by a call of C inside of the `try` whose `finally` releases it by another:
wherever a signal strikes, the lock is free afterwards, and what comes after a turn is done after a later one. Of what was
cut short itself, a way out is tried once more, and a waiter is woken again; a listener or a store is not told twice. A
block of `with ledger` cannot promise that: where a signal strikes as its `__exit__` begins, the lock stays taken. It is
for what is not on the way of calls.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

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

G = TypeVar("G")
R = TypeVar("R")

_IS_OWNED = "_is_owned"  # what `threading.Condition` asks of a lock, too
_hearing: ContextVar[tuple[Listener, ...]] = ContextVar("guardrail_hearing", default=())


class Ledger:
    """Hold the states by rule name, and the lock. `ledger.run(step, given)` is one turn, and so is `with ledger as now_us:`.

    Attributes:
        now_us: The time of the current or last turn.
        turn: Counts turns: what was learned in this one is still true while the number is the same.
        steps: How often the clock was seen to step back; a charge from before a step is not given back.
        forks: How often this process was forked off; permits from before it are the parent's.
        woken: Waiters that have been handed a place, to be woken once the lock is free.
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
        self._renew_lock()
        self.deferred: deque[Callable[[], None]] = deque()
        self._cut_short: Callable[[], None] | None = None
        self.listeners = listeners
        self.log = log or EventLog()
        self.counts = Counts(measures_latency=measures_latency)
        self.woken: list[Waiter] = []
        self._errands: list[Callable[[], None]] = []

    def run(self, step: Callable[[G], R], given: G) -> R:
        """Return `step(given)`, called in a turn. Whatever raises, wherever: the lock is free afterwards."""
        lock, is_inner, is_ours = self.lock, self.is_in_turn(), False
        try:
            try:
                lock.acquire()
                is_ours = True
                self._begin(is_inner=is_inner)
                return step(given)
            finally:
                if is_ours:
                    lock.release()
                else:
                    try:
                        lock.release()
                    except RuntimeError:  # the signal struck while this waited for the lock
                        is_ours = False
        finally:
            if self.woken or self._errands or self.deferred:
                self.tell()

    def __enter__(self) -> int:
        lock, is_inner = self.lock, self.is_in_turn()
        try:
            lock.acquire()
            return self._begin(is_inner=is_inner)
        except BaseException:
            with suppress(RuntimeError):  # it was not ours yet
                lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self.lock.release()
        self.tell()

    @contextmanager
    def quietly(self) -> Iterator[int]:
        """Take a turn that tells nobody: its caller holds a lock of its own, and calls `tell` when that is free."""
        is_inner = self.is_in_turn()
        with self.lock:
            yield self._begin(is_inner=is_inner)

    def tell(self) -> None:
        """Do what turns have left for afterwards: wake, tell, talk to stores. In a turn: let its end do it."""
        if self.is_in_turn():
            if not self.deferred and (self.woken or self._errands):
                self.deferred.append(_nothing)  # the quick ways look nowhere else
            return
        try:
            self._tell()
        finally:
            if self.deferred:
                self.drain()

    def soon(self, step: Callable[[], None]) -> None:
        """Run *step* in a turn: now, or where the lock is held, right after whoever holds it. Never waits."""
        self.deferred.append(step)
        self.drain()

    def drain(self) -> None:
        """Run what was put off. Whoever releases the lock looks here afterwards, so nothing is left behind."""
        while self.deferred and not self.is_in_turn():
            try:
                if not self._ran():
                    return
            except BaseException:
                self._ran()  # what was cut short is tried again at once, before the next signal
                raise
            self._tell()

    def say(self, event: Event) -> None:
        """Tell the listeners, and the log, once the lock is free."""
        self._errands.append(partial(self.announce, event))

    def announce(self, event: Event, *, logged: bool = True) -> None:
        """Tell the listeners, and the log, now; in a turn, once the lock is free.

        What comes of a listener's own calls is told to all others: it would go on for ever.
        """
        if self.is_in_turn():  # of a finalizer or a signal handler
            self._errands.append(partial(self.announce, event, logged=logged))
            self.tell()
            return
        hearing = _hearing.get()
        for listener in (self.log, *self.listeners) if logged else self.listeners:
            if not any(listener is one for one in hearing):
                try:
                    _hearing.set((*hearing, listener))
                    notify((listener,), (event,))
                finally:
                    _hearing.set(hearing)

    def afterwards(self, errand: Callable[[], None]) -> None:
        """Run *errand*, which talks to a store or a logger, once the lock is free."""
        self._errands.append(errand)

    def wake(self, waiter: Waiter) -> None:
        """Wake a waiter that has been handed a place, once the lock is free.

        It is forgotten here: if its event loop is gone, it can be collected, and passes the place on as it goes.
        """
        self.woken.append(waiter)
        self.waiting.discard(waiter)

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
            self.woken.extend(waiter for waiter in self.waiting if waiter.deadline_us <= now_us)

    def after_fork(self) -> None:
        """Start again in a forked child: other threads, with their places and probes, stayed with the parent."""
        self.forks += 1
        self._renew_lock()
        self.deferred, self._cut_short = deque(), None
        self.waiting = set()
        self.woken, self._errands = [], []
        for bulkheads in self.bulkheads.values():
            bulkheads.clear()
        self.counts.after_fork()
        self.log.after_fork()
        for breakers in self.breakers.values():
            breakers.count_from_here()
            for health in breakers.states.values():
                if health.trial is not None:
                    health.trial.out.clear()

    def _renew_lock(self) -> None:
        self.lock = RLock()
        self.is_in_turn: Callable[[], bool] = getattr(self.lock, _IS_OWNED)  # this thread, that is

    def _begin(self, *, is_inner: bool) -> int:
        now_us = self.clock.now_us()
        if now_us < self.now_us:
            self.steps += 1
        self.now_us = now_us
        self.turn += 1
        while self.deferred and not is_inner:
            step = self.deferred[0]
            if step is self._cut_short:  # it goes on where it was, or fails once more
                del self.deferred[0]
            self._cut_short = step
            step()
            if self.deferred and self.deferred[0] is step:
                del self.deferred[0]
            self._cut_short = None
        return now_us

    def _ran(self) -> bool:
        """Take a turn, in which is run what was put off; False: somebody else is in one."""
        lock, is_ours = self.lock, None
        try:
            is_ours = lock.acquire(blocking=False)
            if is_ours:
                self._begin(is_inner=False)
            return is_ours
        finally:
            if is_ours:
                lock.release()
            elif is_ours is None:
                try:
                    lock.release()
                except RuntimeError:  # the signal struck before it was known whose the lock is
                    is_ours = False

    def _tell(self) -> None:
        """Wake first: that takes no time. What is cut short leaves the rest to the next turn."""
        woken: list[Waiter] = []
        errands: list[Callable[[], None]] = []
        try:
            with self.lock:
                woken, self.woken = self.woken, woken
                errands, self._errands = self._errands, errands
            while woken:
                woken[0].rouse()
                del woken[0]
            while errands:
                errand = errands[0]
                del errands[0]
                errand()
        finally:
            self.woken[:0] = woken
            self._errands[:0] = errands


def _nothing() -> None:
    """Be put off, so that whoever releases the lock takes a turn, and tells what was left untold."""
