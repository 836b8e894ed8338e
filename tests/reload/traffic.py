"""Threads and tasks that keep calling guarded functions, and look at every decision they get.

The rules of revision n carry the number 1,000,000 + n in their texts, so that a decision shows which revision each of its
verdicts is from.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Condition, Event, Lock, Thread
from typing import Any

from guardrail import Decision, Guard, Refused
from guardrail.telemetry.events import RulesRejected, RulesReloaded

BASE = 1_000_000
BUDGET = 100  # calls a day, whatever happens to the rules
UNNUMBERED = ("budget", "busy")
PATIENCE = 20  # real seconds until a test that hangs fails


def rules(number: int) -> str:
    """The rules of one revision, as the content of a file.

    No beginning of it is valid by itself: a machine may stop who writes for longer than two looks take.
    """
    many = BASE + number
    return f"""\
{{version: 1, rules: [
  {{name: all, resource: "**", kind: limit, rate: {many}/s}},
  {{resource: r, kind: limit, rate: {many}/s}},
  {{resource: r, kind: bulkhead, max_concurrent: {many}}},
  {{name: never, resource: refused, kind: limit, rate: {many}/s, burst: 1, cost: 2}},
  {{name: budget, resource: budget, kind: limit, rate: {BUDGET}/d}},
  {{name: broken, resource: broken, kind: breaker, min_calls: {number + 1}}},
  {{name: busy, resource: busy, kind: bulkhead, max_concurrent: {2 + number % 3}, max_wait: 20s}}]}}"""


MOST_INSIDE = 4  # of `busy`, in any revision


def number_of(guard: Guard) -> int | None:
    """The number of the revision in force."""
    rule = guard.rules.get("all")
    return None if rule is None else rule.rate.amount - BASE


def numbers_in(decision: Decision) -> set[int]:
    """The numbers of the revisions that a decision is made of: one, if all is well."""
    texts = [verdict.text for verdict in decision.verdicts if verdict.text and verdict.rule not in UNNUMBERED]
    return {int(text.partition("/")[0]) - BASE for text in texts}


class Heard:
    """Listen for changes of the rules, and let a test wait for one."""

    def __init__(self) -> None:
        self.events: SimpleQueue[RulesReloaded | RulesRejected] = SimpleQueue()

    def __call__(self, event: object) -> None:
        if isinstance(event, RulesReloaded | RulesRejected):
            self.events.put(event)

    def hears(self, kind: type[Any], until: Callable[[], bool] = lambda: True) -> bool:
        """Wait for an event of this kind after which something is so."""
        try:
            while not (isinstance(self.events.get(timeout=PATIENCE), kind) and until()):
                pass
        except Empty:
            return False
        return True


class Traffic:
    """Call by every way there is, until told to stop.

    Attributes:
        errors: Whatever was raised that is not Refused.
        torn: Decisions made of more than one revision.
        stuck: Decisions on calls that nobody served, although nobody stays inside for long.
        seen: The numbers of the revisions that decided calls.
        admitted: Calls that the budget let through.
    """

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.errors: list[BaseException] = []
        self.torn: list[Decision] = []
        self.stuck: list[Decision] = []
        self.seen: set[int] = set()
        self.admitted: list[int] = []
        self.inside = self.most_inside = 0
        self._lock = Lock()
        self._look_up = Condition()
        self._stopped = Event()
        self._make_functions()

    @contextmanager
    def flowing(self, threads: int = 4, tasks: int = 20) -> Iterator[Traffic]:
        """Keep calling inside the block."""
        self.guard.breakers["broken"].force_open()
        running = [Thread(target=self._keep_calling) for _ in range(threads)]
        running.append(Thread(target=lambda: asyncio.run(self._keep_awaiting(tasks))))
        for thread in running:
            thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            for thread in running:
                thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in running)

    def sees(self, number: int) -> bool:
        """Wait until a call was decided by this revision."""
        with self._look_up:
            return self._look_up.wait_for(lambda: number in self.seen, PATIENCE)

    def _make_functions(self) -> None:
        guard = self.guard

        @guard.limit("1/d", name="r")
        def function() -> None:
            pass

        @guard.bulkhead(1, name="r")
        async def coroutine() -> None:
            await asyncio.sleep(0)

        @guard.guarded("r")
        def generator() -> Iterator[int]:
            yield 1
            yield 2

        @guard.guarded("r")
        async def async_generator() -> Any:
            yield 1
            yield 2

        @guard.guarded("refused", fallback=None, fallback_on=OSError)
        def answered() -> None:
            raise AssertionError("never let in")

        @guard.guarded("refused")
        def refused() -> None:
            raise AssertionError("never let in")

        @guard.guarded("refused")
        async def arefused() -> None:
            raise AssertionError("never let in")

        @guard.guarded("budget")
        def budget() -> None:
            self.admitted.append(1)

        @guard.guarded("broken")
        def broken() -> None:
            raise AssertionError("forced open")

        @guard.guarded("busy")
        def busy() -> None:
            self._enter()
            self._leave()

        @guard.guarded("busy")
        async def abusy() -> None:
            self._enter()
            await asyncio.sleep(0)
            self._leave()

        self.budget = budget
        self.calls: list[Callable[[], object]] = [
            function, lambda: list(generator()), answered, refused, budget, broken, busy, self._enter_by_hand, self._peek,
        ]  # fmt: skip
        self.awaited: list[Callable[[], Any]] = [
            coroutine, lambda: self._read(async_generator()), arefused, abusy, self._aenter_by_hand,
        ]  # fmt: skip

    def _keep_calling(self) -> None:
        for call in itertools.cycle(self.calls):
            if self._stopped.is_set():
                return
            try:
                call()
            except Refused as refused:
                self._look(refused.decision)
            except BaseException as error:  # noqa: BLE001  that none comes is what is tested
                self.errors.append(error)
                return

    async def _keep_awaiting(self, tasks: int) -> None:
        async def keep_awaiting(first: int) -> None:
            for call in itertools.islice(itertools.cycle(self.awaited), first, None):
                if self._stopped.is_set():
                    return
                try:
                    await call()
                except Refused as refused:
                    self._look(refused.decision)
                except BaseException as error:  # noqa: BLE001  that none comes is what is tested
                    self.errors.append(error)
                    return
                await asyncio.sleep(0)

        await asyncio.gather(*(keep_awaiting(number) for number in range(tasks)))

    def exhaust(self) -> None:
        """Use up what is left of the budget."""
        while self.guard.peek("budget").allowed:
            self.budget()

    def _look(self, decision: Decision) -> None:
        if decision.reason == "bulkhead_timeout":
            self.stuck.append(decision)
        numbers = numbers_in(decision)
        if len(numbers) > 1:
            self.torn.append(decision)
        if not numbers <= self.seen:
            with self._look_up:
                self.seen |= numbers
                self._look_up.notify_all()

    def _peek(self) -> None:
        self._look(self.guard.peek("r"))

    def _enter_by_hand(self) -> None:
        with self.guard.enter("r") as permit:
            self._look(permit.decision)

    async def _aenter_by_hand(self) -> None:
        async with self.guard.enter("r") as permit:
            await asyncio.sleep(0)
            self._look(permit.decision)

    async def _read(self, stream: Any) -> None:
        async for _ in stream:
            pass

    def _enter(self) -> None:
        with self._lock:
            self.inside += 1
            self.most_inside = max(self.inside, self.most_inside)

    def _leave(self) -> None:
        with self._lock:
            self.inside -= 1
