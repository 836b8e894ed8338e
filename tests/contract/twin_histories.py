"""Random histories, played to a script and to the model at once: batches of calls, whose clock goes where it likes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, Protocol

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.limit import LARGEST, Limit, ceil_div
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket
from guardrail.stores.frames import Frames, Order
from guardrail.stores.protocol import Check, Refund, Reply
from tests.contract.twin_model import Model

CLOCKS = (0, 7, 100, 1_795_215_276_123_456)
COSTS = (1, 1, 1, 1, 2, 2, 3, 5, 12, 0, LARGEST)
OWED = (1, 2, 5, 30, 2_000, 0, LARGEST)
LEAST_MS = 60_000  # with a clock that is given
FARTHEST_US = 10**9  # nobody waits until a debt of 2^53 has drained
PREFIX = "p"

Then = Callable[[Model, int, Reply | None], None]


class Target(Protocol):
    """Run frames, and say how many keys there are and how long each of these still lives, in ms.

    Attributes:
        passed_ms: How long it may be from a write to a look at it.
    """

    passed_ms: int

    def run(self, frame: bytes) -> bytes: ...

    def lifetimes(self, keys: list[str]) -> tuple[int, list[int]]: ...

    def clear(self) -> None: ...


def some_limit(random: Random, kind: int | None = None) -> Limit[Any]:
    few, window = random.randint(1, 8), random.choice([1, 7, 10, 20, 100, random.randint(1, 130)])
    amount, period = random.randint(1, 12), random.randint(1, 60)
    match random.randrange(6) if kind is None else kind:
        case 0:
            return TokenBucket(amount, period, few)
        case 1:
            return TokenBucket(amount, period, few, random.randint(1, 100))
        case 2:
            return LeakyBucket(amount, period, random.randint(1, 100))
        case 3:
            return SlidingWindow(few, window)
        case 4:
            return FixedWindow(few, window)
        case _:
            return SlidingLog(few, window)


class History:
    """Play one history. Each key has a limit, whose numbers change now and then, and seldom its algorithm."""

    def __init__(self, seed: int, target: Target) -> None:
        self.random = Random(seed)
        self.target = target
        self.frames = Frames(PREFIX)
        self.model = Model()
        self.now_us = self.random.choice(CLOCKS)
        self.retry_after_us = 0
        self.granted: list[Refund] = []
        self.kinds = {f"{{k{i}}}:rule": self.random.randrange(6) for i in range(self.random.choice([1, 1, 2, 3]))}
        self.limits = {key: some_limit(self.random, kind) for key, kind in self.kinds.items()}
        self.calm = self.random.random() < 0.4  # small steps, and much is given back

    def play(self, batches: int) -> None:
        self.target.clear()
        for _ in range(batches):
            self.tick()
            steps = [self.step() for _ in range(self.random.choice([1, 1, 2, 3, 5, 8]))]
            orders = [order for order, _ in steps]
            replies = self.frames.replies(self.target.run(self.frames.frame(orders, self.now_us)), orders)
            for (_, then), reply in zip(steps, replies, strict=True):
                then(self.model, self.now_us, reply)
            self.look(self.model.end_batch(self.now_us))

    def look(self, written: set[str]) -> None:
        """Whatever is kept has a lifetime; what was just written: until it is idle."""
        lives = self.model.lives
        count, lifetimes = self.target.lifetimes([f"{PREFIX}:{key}" for key in lives])
        assert len(lives) == count
        assert all(lifetime_ms > 0 for lifetime_ms in lifetimes)
        for (key, life), lifetime_ms in zip(lives.items(), lifetimes, strict=True):
            if key in written:
                _, idle_us = life.limit.view(life.limit.at(life.state, self.now_us), self.now_us)
                until_idle_ms = max(LEAST_MS, ceil_div(idle_us, 1_000))
                assert until_idle_ms - self.target.passed_ms <= lifetime_ms <= until_idle_ms

    def tick(self) -> None:
        random = self.random
        if self.calm:
            self.now_us += random.choice([0, 1, random.randint(0, 12), min(self.retry_after_us, 20)])
            return
        steps = [0, 0, 1, self.retry_after_us, self.retry_after_us, max(0, self.retry_after_us - 1)]
        steps += [random.randint(0, 30), random.randint(0, 150), -random.randint(1, 30), -random.randint(1, 400)]
        self.now_us += random.choice(steps)
        for key in self.limits:
            if random.random() < 0.08:
                self.limits[key] = some_limit(random, None if random.random() < 0.2 else self.kinds[key])

    def step(self) -> tuple[Order, Then]:
        random, frames = self.random, self.frames
        draw = random.random()
        if draw < (0.35 if self.calm else 0.12) and self.granted:
            refunds = [self.some_refund() for _ in range(min(len(self.granted), random.choice([1, 1, 2])))]
            return frames.refund_order(refunds), lambda model, now_us, _: [model.give_back(x, now_us) for x in refunds]
        if draw < 0.18 and not self.calm:
            owed = self.check(random.choice(OWED))
            return frames.owe_order([owed]), lambda model, now_us, _: model.owe(owed, now_us)
        if draw < 0.21 and not self.calm:
            key = random.choice([*self.limits])
            return frames.forget_order([key]), lambda model, _, __: model.forget(key)
        checks = [self.check(random.choice(COSTS)) for _ in range(random.choice([1, 1, 1, 2, 3]))]
        peek = draw > 0.92

        def then(model: Model, now_us: int, reply: Reply | None) -> None:
            assert reply is not None
            self.granted += model.admit(checks, peek, now_us, reply)
            for check, state in zip(checks, reply.states, strict=True):
                ruling = check.limit.ask(state, now_us, check.cost, check.max_wait_us)
                if 0 < (ruling.retry_after_us or 0) < FARTHEST_US:
                    self.retry_after_us = ruling.retry_after_us or 0

        return frames.admit_order(checks, peek=peek), then

    def check(self, cost: int) -> Check:
        random = self.random
        key = random.choice([*self.limits])
        limit = self.limits[key]
        longest = limit.max_wait_us
        max_wait_us = random.choice([longest, longest, random.randint(0, longest)])
        return Check(key, limit, cost, max_wait_us, random.random() < 0.15)

    def some_refund(self) -> Refund:
        """A late charge more often than an early one; all of it, or a part, the rest being left for another time."""
        place = max(self.random.randrange(len(self.granted)) for _ in range(3))
        refund = self.granted[place]
        if refund.charge.cost > 1 and self.random.random() < 0.4:
            part = self.random.randint(1, refund.charge.cost - 1)
            rest = replace(refund.charge, cost=refund.charge.cost - part)
            self.granted[place] = refund._replace(cost=rest.cost, charge=rest)
            return refund._replace(cost=part)
        if isinstance(refund.limit, TokenBucket) and self.random.random() < 0.05:
            return refund._replace(charge=replace(refund.charge, state=(LARGEST, refund.charge.at_us)))
        return self.granted.pop(place)


def play(seed: int, target: Target, batches: int | None = None) -> None:
    """Play the history of this seed."""
    try:
        History(seed, target).play(Random(seed).randint(2, 6) if batches is None else batches)
    except Exception as exc:
        exc.add_note(f"history {seed}")
        raise
