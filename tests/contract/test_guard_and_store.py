"""One truth: the same histories get the same decisions from the ledger and from a real Redis, by threads and by tasks."""

import asyncio
import os
from random import Random

import pytest
from hypothesis import given, settings

from guardrail import Guard, RedisStore
from guardrail.testing import FakeClock
from tests import servers
from tests.admission.scene import START_US
from tests.admission.test_shared_twins import OTHER_RATES, SETTLING, SINGLE, STEPPING, Side, in_tasks, in_threads

BUILDS = servers.builds()
HISTORIES = int(os.environ.get("HISTORIES", "10000"))
CHANGES = 20  # of the rates, on the way through all histories
KINDS = [
    {"rate": "3/s", "burst": 4},
    {"rate": "3/s", "burst": 2, "max_wait": "700ms"},
    {"rate": "4/s", "algorithm": "leaky_bucket", "max_wait": "2s"},
    {"rate": "4/2s", "algorithm": "sliding_window"},
    {"rate": "5/s", "algorithm": "fixed_window"},
    {"rate": "6/s", "algorithm": "sliding_log"},
]
FORWARD = [0, 1, 1, 50_000, 333_333, 1_000_000, 3_000_000]
BOTH_WAYS = [*FORWARD, -1, -50_000, -300_000, -2_000_000]


def rules(changes):
    """All kinds of limits, each of its own resource, by key, after so many changes of their rates."""
    rates = [None, *OTHER_RATES]
    return [
        {**kind, "kind": "limit", "name": f"rule {place}", "resource": f"r{place}", "key": "user"}
        | ({} if changes == 0 else {"rate": rates[1 + changes % len(OTHER_RATES)]})
        for place, kind in enumerate(KINDS)
    ]


def histories(seed, count, steps_us, acts):
    """Return (act, resource, user, cost, step of the clock) in a row; each history has a key of its own."""
    draw = Random(seed)
    for number in range(count):
        resource = f"r{draw.randrange(len(KINDS))}"
        if number % (1 + count // CHANGES) == 0:
            yield "apply", resource, "", number, 0
        for _ in range(draw.randint(3, 9)):
            cost = draw.choice([1, 1, 1, 2, 3, 0, 7])
            yield draw.choice(acts), resource, f"{seed} {number}", cost, draw.choice(steps_us)


class Mouth:
    """One guard, and everything it said."""

    def __init__(self, store=None, clock=None):
        self.clock = clock or FakeClock(START_US)
        self.guard = Guard(rules(0), clock=self.clock, store=store or "memory://")
        self.said = []
        self.changes = 0

    def prepared(self, act, user, cost, step_us):
        self.clock.set_us(self.clock.now_us() + step_us)
        if act == "apply":
            self.changes += 1
            self.guard.apply(rules(self.changes))
        return {"attributes": {"user": user}, "cost": cost}

    def heard(self, act, permit, cost):
        self.said.append((permit.decision, self.clock.now_us()))
        if act == "settle":
            permit.settle(cost // 2)
        permit.exit()

    def thread(self, steps):
        for act, resource, user, cost, step_us in steps:
            call = self.prepared(act, user, cost, step_us)
            if act == "peek":
                self.said.append((self.guard.peek(resource, **call), self.clock.now_us()))
            elif act != "apply":
                self.heard(act, self.guard.try_enter(resource, **call), cost)
        return self.said

    async def task(self, steps):
        for act, resource, user, cost, step_us in steps:
            call = self.prepared(act, user, cost, step_us)
            if act == "peek":
                self.said.append((await self.guard.apeek(resource, **call), self.clock.now_us()))
            elif act != "apply":
                self.heard(act, await self.guard.atry_enter(resource, **call), cost)
                await asyncio.sleep(0)  # what is given back travels at the end of the tick, at the time it is then
        return self.said


@pytest.mark.parametrize(
    ("steps_us", "acts"),
    [(FORWARD, ["call", "call", "call", "peek", "settle"]), (BOTH_WAYS, ["call", "call", "call", "peek"])],
    ids=["with what is given back", "with a clock that steps back"],
)
def test_ten_thousand_histories(redis_server, steps_us, acts):
    """In both ways, and on every version of the server, an equal part of them."""
    count = HISTORIES // 2 // len(BUILDS)

    def steps():
        return histories(f"{redis_server.version} {len(acts)}", count, steps_us, acts)

    def mouth(prefix):
        clock = FakeClock(START_US)
        return Mouth(RedisStore(redis_server.url, timeout="20s", prefix=prefix, clock=clock), clock)

    said = Mouth().thread(steps())
    assert said == asyncio.run(Mouth().task(steps()))

    threads = mouth("threads")
    assert said == threads.thread(steps())
    threads.guard._stock.store.close()

    async def by_tasks():
        tasks = mouth("tasks")
        heard = await tasks.task(steps())
        await tasks.guard._stock.store.aclose()
        return heard

    assert said == asyncio.run(by_tasks())
    assert [] == redis_server.keys_for_ever()


# -- rules of every sort, in short histories that shrink ----------------------------------------------------------------

prefixes = iter(range(10**9))


class Stored(Side):
    """A side whose limits are in a Redis."""

    def __init__(self, rule, url):
        super().__init__([rule], stored=False)
        self.store = RedisStore(url, timeout="20s", prefix=f"c{next(prefixes)}", clock=self.clock)
        self.guard = Guard([rule], clock=self.clock, overrides=self.guard_overrides(), store=self.store)

    @staticmethod
    def guard_overrides():
        return {"looked up": {"u1": "1/s", "u2": "5/s"}.get}


@pytest.mark.parametrize("rule", SINGLE, ids=str)
@settings(max_examples=10)
@given(settling=SETTLING, stepping=STEPPING)
def test_rules_of_every_sort(newest_redis, rule, settling, stepping):
    plain = {name: value for name, value in rule.items() if name != "charge"}
    for fields, history, played in [
        (rule, settling, in_threads),
        (plain, stepping, in_threads),
        (plain, stepping, in_tasks),
    ]:
        side = Stored(fields, newest_redis.url)
        assert played(Side([fields], stored=False), history) == played(side, history)
        side.store.close()
