"""The seeded loop: time that costs nothing, every order, cancellations anywhere, and the same again for the same seed."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from itertools import count, permutations
from pathlib import Path

import pytest

from guardrail.admission.bulkhead_gate import AskedBulkhead
from guardrail.admission.quick_stack import StackPermit
from tests.storms.scenarios import SCENARIOS
from tests.storms.scheduler import SeededLoop, Stuck

ROOT = Path(__file__).parents[2]


def run(loop, *callers):
    """Run them to the end and close the loop."""
    try:
        loop.run_to_the_end(callers)
    except Stuck:
        loop.abandon()
        raise
    loop.close()


def test_a_day_passes_at_once():
    async def sleep():
        await asyncio.sleep(86_400)
        assert 86_400 <= asyncio.get_running_loop().time() < 86_401

    loop = SeededLoop(1)
    run(loop, sleep())
    assert 86_400_000_000 <= loop.passed_us


def test_tasks_run_in_every_order():
    def order(seed):
        said = []

        async def say(name):
            said.append(name)

        run(SeededLoop(seed), *(say(name) for name in "abc"))
        return "".join(said)

    assert {"".join(row) for row in permutations("abc")} == {order(seed) for seed in range(100)}


def test_a_timer_may_come_late_and_never_early():
    late = Counter()

    async def sleep():
        loop = asyncio.get_running_loop()
        due_us = loop.passed_us + 5_000
        await asyncio.sleep(0.005)
        late[loop.passed_us - due_us] += 1

    for seed in range(50):
        run(SeededLoop(seed), sleep())
    assert min(late) == 0
    assert len(late) > 3


def test_cancellations_hit_every_step():
    """Before it begins, at each wait, and not at all."""
    ended = Counter()

    async def steps():
        begun = []
        try:
            for step in range(3):
                begun.append(step)
                await asyncio.sleep(0)
        finally:
            ended[len(begun)] += 1

    async def caller():
        await steps()
        ended["whole"] += 1

    for seed in range(200):
        run(SeededLoop(seed, cancelling=0.2), caller())
    assert {1, 2, 3, "whole"} == set(ended)
    assert sum(number for step, number in ended.items() if step != "whole") < 200  # some never began


def test_who_waits_for_ever_is_found():
    async def wait():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck, match="for ever"):
        run(SeededLoop(1), wait())


def test_who_runs_for_ever_is_found():
    async def spin():
        for _ in count():
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="no end"):
        run(SeededLoop(1), spin())


def test_what_a_loop_would_log_is_kept():
    async def fail():
        raise ValueError("said by nobody")

    loop = SeededLoop(1)
    run(loop, fail())
    [complaint] = loop.complaints
    assert "said by nobody" in complaint


def test_asynchronous_generators_are_closed_in_the_loop():
    closed = []

    async def items():
        try:
            yield 1
        finally:
            await asyncio.sleep(1)
            closed.append(asyncio.get_running_loop().time())

    async def caller():
        await anext(items())

    run(SeededLoop(1), caller())
    assert 1 == len(closed)


def history(seed):
    """All that a seed decides."""
    scene = SCENARIOS[seed.rsplit(" ", 1)[0]].storm(seed)
    return scene.loop.steps, scene.loop.cancelled, scene.loop.passed_us, scene.story, scene.random.getstate()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_seed_is_the_same_again(name):
    histories = [history(f"{name} {seed}") for seed in range(10)]
    assert histories == [history(f"{name} {seed}") for seed in range(10)]
    assert len(histories) == len({str(one) for one in histories})


def test_a_seed_is_the_same_in_another_process():
    """Whatever order its sets and addresses have there."""
    seeds = [f"{name} 3" for name in SCENARIOS]
    code = f"import gc; gc.disable(); from tests.storms.test_scheduler import history\nfor seed in {seeds}: print(history(seed))"
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": path}
    there = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, check=True, capture_output=True, text=True)
    assert [str(history(seed)) for seed in seeds] == there.stdout.splitlines()


def loses_the_place(permit):
    permit._is_over = True
    return True


def test_a_failure_says_its_seed_and_its_story(monkeypatch):
    monkeypatch.setattr(AskedBulkhead, "leave", lambda asked: None)
    monkeypatch.setattr(StackPermit, "_left", loses_the_place)
    with pytest.raises(AssertionError) as first:
        SCENARIOS["bulkheads"].storm("bulkheads 5")
    with pytest.raises(AssertionError) as again:
        SCENARIOS["bulkheads"].storm("bulkheads 5")
    [note] = first.value.__notes__
    assert note.startswith("seed bulkheads 5, after ")
    assert "inside r" in note
    assert (str(first.value), [note]) == (str(again.value), again.value.__notes__)
