"""Event loops that end while their tasks are inside or wait: what they were handed goes on to others."""

import gc
import inspect
import os

import pytest

from tests.storms.callers import Crowd
from tests.storms.scenarios import breaker, bulkhead, spaced
from tests.storms.scene import METER, Scene, ruleset
from tests.storms.scheduler import SeededLoop

SEEDS = int(os.environ.get("STORM_SEEDS", "10000")) // 20
CALLERS = ("coroutine", "entry", "by_hand", "with_fallback")


class Leaving(SeededLoop):
    """A loop that runs so many steps and no more."""

    def run_steps(self, steps, callers):
        tasks = [self.create_task(caller) for caller in callers]
        last = self.steps + steps
        self.looks.append(lambda: self.stop() if self.steps >= last else None)
        self.run_forever()
        self.abandon()
        for task in tasks:
            if inspect.getcoroutinestate(task.get_coro()) == inspect.CORO_CREATED:
                task.get_coro().close()  # it has not begun
        return [task for task in tasks if not task.done()]


def lost(seed):
    """A loop is closed over its tasks; another one goes on with the same guard, and at some moment they are collected."""
    first = Leaving(seed)
    chance = first.random
    scene = Scene(seed, ruleset(METER, bulkhead(chance), spaced(chance), breaker(chance)), loop=first)
    crowd = Crowd(scene)
    with scene.told(seed):
        left = first.run_steps(chance.randint(5, 40), [crowd.call(chance.choice(CALLERS)) for _ in range(6)])
        number = len(left)
        scene.go_on_in(SeededLoop(f"{seed}, then"), left)

        async def forget():
            await crowd.nap()
            await crowd.nap()
            left.clear()
            gc.collect()

        scene.run([forget(), *(crowd.call(chance.choice(CALLERS)) for _ in range(4))])
    return number


@pytest.mark.parametrize("part", range(2))
def test_the_tasks_of_a_loop_that_is_gone_hold_nothing(part):
    left = [lost(f"lost loops {seed}") for seed in range(part, SEEDS, 2)]
    assert sum(left) > len(left)  # it was a storm: more than one task was left, one loop with another
