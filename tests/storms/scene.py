"""A guard in a seeded loop, and the books of what becomes of its calls.

Law, checked after every step and at the end of every storm:

- never more inside than there are places, and nobody waits beside a free one;
- when nothing is left to run, whoever was handed a place has been woken;
- at the end nothing is held, nobody waits, no probe is out, and every charge of a call that did not go ahead is back.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from json import dumps, loads
from typing import Any

from guardrail import Guard, RuleSet
from guardrail.admission.attempt import Attempt
from guardrail.core.bulkhead import BulkheadState
from guardrail.core.token_bucket import TokenBucket
from tests.locks import is_locked
from tests.storms.scheduler import START_US, LoopClock, SeededLoop

SHOWN = 40  # events of a story
GUARDS = {"places": "r", "rooms": "r", "r/bulkhead": "r", "inner": "s", "desk": "q"}  # bulkheads and their resources
METER = {"kind": "limit", "resource": "r", "name": "meter", "rate": "1000 per 365d"}  # refuses nobody and hardly drains


class Broken(Exception):
    """What guarded code fails with."""


@cache
def _parsed(rules: str) -> RuleSet:
    parsed = RuleSet.parse(loads(rules))
    gc.collect()
    gc.freeze()  # the collector need not look at it in every storm
    return parsed


def ruleset(*rules: dict[str, Any]) -> RuleSet:
    """The rules, parsed once for all seeds; while nothing of a storm is there."""
    return _parsed(dumps(rules))


class Visit:
    """Be inside of a resource. No generator, which the collector would close before its time."""

    def __init__(self, scene: Scene, resource: str) -> None:
        self._scene = scene
        self._resource = resource

    def __enter__(self) -> None:
        self._step(1)

    def __exit__(self, *_: object) -> None:
        self._step(-1)

    def _step(self, change: int) -> None:
        inside = self._scene.inside
        inside[self._resource] += change
        self._scene.left[self._resource] += change < 0
        self._scene.tell(f"{'in' if change > 0 else 'out'}, {inside[self._resource]} inside {self._resource}")


class Scene:
    """Hold one storm: its loop, its guard and its books.

    Attributes:
        places: The bulkheads' states, and how many were inside after the step before, by the state's identity.
        inside: How many are inside, by resource.
        left: How many have left since the step before, by resource.
        starts: When calls were due to start, and what they cost in the end, by the limit's name.
        spent: The tokens of all calls that went ahead.
        story: What happened, to be told when something is wrong.
    """

    def __init__(self, seed: object, rules: RuleSet, cancelling: float = 0.0, loop: SeededLoop | None = None) -> None:
        self.loop = SeededLoop(seed, cancelling) if loop is None else loop
        self.random = self.loop.random
        self.clock = LoopClock(self.loop)
        self.guard = Guard(rules, clock=self.clock)
        self.ledger = self.guard.ledger
        self.places: dict[int, tuple[BulkheadState[Any], int]] = {}
        self.inside: dict[str, int] = defaultdict(int)
        self.left: dict[str, int] = defaultdict(int)
        self.starts: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.spent = 0
        self.story: list[tuple[int, str]] = []
        self.kept: list[Any] = []  # what nobody drops until the loop is shut down
        self.lost: list[Any] = []  # tasks of a loop that is gone, which nobody has collected so far
        self.are_gone = False  # rules come and go, and a call keeps to those there were when it came
        self._admitted: Attempt | None = None
        self.look_at(self.loop)

    def look_at(self, loop: SeededLoop) -> None:
        loop.looks.append(self.look)
        loop.idle_looks.append(self.look_idle)

    def go_on_in(self, loop: SeededLoop, lost: list[Any]) -> None:
        """Leave the loop that was, and its tasks; time goes on."""
        self.lost = lost
        loop.passed_us = self.loop.passed_us
        self.loop = self.clock.loop = loop
        self.look_at(loop)

    def tell(self, event: str) -> None:
        self.story.append((self.loop.passed_us, event))

    # -- the books

    def starts_now(self, cost: int, settled: int | None = None) -> None:
        """Write down that the guarded code of a call begins, in the very step in which it was admitted.

        Args:
            settled: What it turns out to cost. What that is more than *cost* may pass every limit.
        """
        attempt, self._admitted = self._admitted, None
        self.spent += cost if settled is None else settled
        counted = cost if settled is None else min(cost, settled)
        for states in () if self.are_gone else self.ledger.breakers.values():
            for health in states.states.values():
                assert health.phase not in ("open", "forced_open"), f"let in by a breaker that is {health.phase}"
        if attempt is None:  # decided by a closure, which lets nobody wait
            for name in self.ledger.limits:
                self.starts[name].append((self.loop.passed_us, counted))
            return
        for asked in attempt.limits:
            assert asked.row is not None
            for charge in asked.charges:
                due_us = charge.at_us + self.clock.behind_us - START_US + asked.row.wait_us
                self.starts[asked.gate.name].append((due_us, counted))

    def call(self, cost: int = 1, settled: int | None = None) -> Visit:
        """Stand for the guarded code of a call to `r`, which begins here."""
        self.starts_now(cost, settled)
        return self.visit("r")

    def visit(self, resource: str) -> Visit:
        """Let one more be inside for as long as the block lasts."""
        return Visit(self, resource)

    # -- what must always hold

    def look(self) -> None:
        for name, states in self.ledger.bulkheads.items():
            size, resource = states.bulkhead.max_concurrent, GUARDS[name]
            for state in states.states.values():
                _, before = self.places.get(id(state), (state, 0))
                most = max(
                    size, before - self.left[resource]
                )  # one that has shrunk lets nobody in before it is not full
                assert self.are_gone or state.in_use <= most, f"{state.in_use} in {name}, where {most} may be"
                assert self.are_gone or self.inside[resource] <= state.in_use, f"{state.in_use} in {name}, more inside"
                assert not state.waiting or state.in_use >= size, f"{state.waiting} wait for {name} beside a free place"
                self.places[id(state)] = state, state.in_use
        self.left.clear()

    def look_idle(self) -> None:
        assert not self.ledger.deferred, "what was put off is not done"
        if (
            self.clock.behind_us or self.lost
        ):  # whoever is told to wait on, as the clock stepped back, sleeps until then
            return
        sleeping = sum(waiter.granted for waiter in self.ledger.waiting)
        assert not sleeping, f"{sleeping} were handed a place and not woken"
        if self.places and not self.are_gone and "rooms" not in self.ledger.bulkheads:
            held = sum(state.in_use for state, _ in self.places.values())
            assert held == sum(self.inside.values()), f"{held} places are held, {dict(self.inside)} are inside"

    def look_at_the_end(self) -> None:
        assert not self.loop.complaints, self.loop.complaints
        self.look_idle()
        assert not is_locked(self.ledger.lock)
        assert not self.ledger.waiting, "somebody waits"
        assert not any(self.inside.values())
        for state, _ in self.places.values():
            assert (0, 0) == (state.in_use, state.waiting), f"{state} is held, or waited for"
        for states in self.ledger.breakers.values():
            for health in states.states.values():
                assert health.trial is None or not health.trial.out, f"probes are out: {health.trial}"
        self._look_at_the_meter()
        self._look_at_the_laws()

    def _look_at_the_meter(self) -> None:
        meter = self.ledger.limits.get("meter")
        if meter is None:
            return
        written = meter.written("")
        assert written is not None
        limit, state = written
        assert isinstance(limit, TokenBucket)
        counted = round(state[0] / limit.p)
        if self.clock.behind_us:  # charges from before a step stay
            assert self.spent <= counted
        else:
            assert self.spent == counted, f"{counted} tokens are charged, calls that went ahead took {self.spent}"

    def _look_at_the_laws(self) -> None:
        """In any span of T us: at most burst + (T + 1) * amount // period tokens."""
        for name, states in self.ledger.limits.items():
            limit = states.limit
            if not isinstance(limit, TokenBucket) or self.clock.behind_us:
                continue
            starts = sorted(self.starts[name])
            for first, (begin_us, _) in enumerate(starts):
                spent = 0
                for due_us, cost in starts[first:]:
                    spent += cost
                    most = limit.burst + (due_us - begin_us + 1) * limit.amount // limit.period_us
                    assert spent <= most, f"{name} let {spent} start in {due_us - begin_us} us, at most {most} may"

    # -- the storm

    @contextmanager
    def told(self, seed: object) -> Iterator[None]:
        """Add the seed and the story to whatever goes wrong."""
        admit = Attempt.admit

        def noted(attempt: Attempt, now_us: int) -> None:
            admit(attempt, now_us)
            if attempt.call.resource == "r":
                self._admitted = attempt

        Attempt.admit = noted
        try:
            yield
        except BaseException as error:
            story = "\n".join(f"  {at_us / 1000:9.3f} ms  {event}" for at_us, event in self.story[-SHOWN:])
            error.add_note(
                f"seed {seed}, after {self.loop.steps} steps and {self.loop.cancelled} cancellations\n{story}"
            )
            self.loop.abandon()
            raise
        finally:
            Attempt.admit = admit

    def run(self, callers: Any) -> None:
        """Run *callers* to the end, shut the loop down as `asyncio.run` does, and look at what is left."""
        loop = self.loop
        loop.run_to_the_end(callers)
        gc.collect()  # what only its own cycle holds
        loop.run_to_the_end()
        loop.run_to_the_end([loop.shutdown_asyncgens()])
        self.kept.clear()
        gc.collect()
        loop.run_to_the_end()
        loop.close()
        self.look_at_the_end()
