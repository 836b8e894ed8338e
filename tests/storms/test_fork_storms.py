"""Forks in the middle of a storm: a child starts with nothing held, and its parent notices nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guardrail import Guard
from guardrail.testing import FakeClock
from tests.admission.scene import in_child
from tests.untraced import untraced

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio, faulthandler, os, sys, threading
from guardrail import Guard
from tests.storms.crew import CALLS, PATIENCE, Inside, calling, nothing_is_left, storm, tasking
from tests.untraced import untraced

sys.setswitchinterval(1e-6)
guard = Guard([{"kind": "bulkhead", "resource": "r", "name": "places", "max_concurrent": 2, "max_wait": PATIENCE},
               {"kind": "breaker", "resource": "r", "name": "health"},
               {"kind": "limit", "resource": "r", "rate": "1_000_000/d", "name": "rate"}])
inside, tally, children = Inside(), [], []

@guard.guarded("r")
def work():
    with inside:
        pass

@guard.guarded("r")
async def awork():
    with inside:
        await asyncio.sleep(0)

def block():
    with guard.enter("r"), inside:
        pass

def child():
    faulthandler.dump_traceback_later(PATIENCE // 2, exit=True)  # rather than to hang
    permits = [guard.try_enter("r", max_wait=0), guard.try_enter("r", max_wait=0)]
    assert all(permits), permits
    assert not guard.try_enter("r", max_wait=0)
    for permit in permits:
        permit.exit()
    work()
    asyncio.run(awork())
    guard.apply(guard.rules)
    assert nothing_is_left(guard)

def forking():
    for _ in range(FORKS):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                child()
                status = 0
            except BaseException as error:
                os.write(2, f"{error!r}".encode())
            finally:
                os._exit(status)
        children.append(os.waitpid(pid, 0)[1])

storm(calling(work, tally), calling(block, tally), tasking(awork, tally), forking)
assert nothing_is_left(guard)
assert max(inside.seen) <= 2
print(sum(children), len(children), tally.count("done") == 3 * CALLS)
"""
FORKS = 25

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing can fork here")


def test_children_enter_at_once_and_the_parent_goes_on():
    """Threads and tasks hold places and the lock, and wait for them, as the process is forked."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM.replace("FORKS", str(FORKS))]
    env = untraced(PYTHONPATH=path)  # a tracer has locks of its own, which a child inherits as they are
    ended = subprocess.run(program, env=env, check=False, capture_output=True, text=True, timeout=120)
    assert not ended.stderr, ended.stderr
    assert (0, f"0 {FORKS} True\n") == (ended.returncode, ended.stdout)


def test_a_probe_that_is_out_is_the_parents(recwarn):
    """It never comes back in the child, which sends one of its own; nor does it vote there."""
    clock = FakeClock()
    rule = {"kind": "breaker", "resource": "r", "name": "health", "consecutive_failures": 1, "open_for": "1s"}
    guard = Guard([{**rule, "half_open_calls": 1}], clock=clock)
    guard.try_enter("r").exit(OSError())
    clock.advance(1)
    probe = guard.try_enter("r")

    def child():
        mine = guard.try_enter("r")
        probe.exit()
        seen = bool(mine), guard.breakers["health"].state
        mine.exit()
        return seen, guard.breakers["health"].state

    assert repr(((True, "half_open"), "closed")) == in_child(child)
    assert (1, "half_open") == (guard.breakers["health"].snapshot().probes_out, guard.breakers["health"].state)
    probe.exit()
    assert "closed" == guard.breakers["health"].state
