"""A program that ends while permits are held ends at once, with its own exit code and without a word."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.untraced import untraced

ROOT = Path(__file__).parents[2]

BEGINNING = """
import asyncio, sys, threading
from guardrail import Guard
guard = Guard([{"kind": "bulkhead", "resource": "r", "name": "places", "max_concurrent": 1, "max_wait": "1h"},
               {"kind": "breaker", "resource": "r", "name": "health"},
               {"kind": "limit", "resource": "r", "rate": "10/s", "name": "rate", "max_wait": "1h"}])

@guard.guarded("r")
def items():
    try:
        yield 1
        yield 2
    finally:
        pass

@guard.guarded("r")
async def aitems():
    yield 1
    yield 2
"""

PROGRAMS = {
    "a permit in a global": """
        permit = guard.try_enter("r")
    """,
    "a permit in a cycle": """
        ring = [guard.try_enter("r")]
        ring.append(ring)
        del ring
    """,
    "a permit of a module that outlives others": """
        sys.permit = guard.try_enter("r")
    """,
    "inside a block": """
        with guard.enter("r"):
            sys.exit(0)
    """,
    "inside a block of a daemon": """
        inside, never = threading.Event(), threading.Event()

        def stay():
            with guard.enter("r"):
                inside.set()
                never.wait()

        threading.Thread(target=stay, daemon=True).start()
        inside.wait()
    """,
    "a daemon in the queue": """
        permit = guard.try_enter("r")
        waiting = threading.Thread(target=guard.try_enter, args=("r",), daemon=True)
        waiting.start()
        while not guard.ledger.waiting:
            pass
    """,
    "a daemon that has the lock": """
        held, never = threading.Event(), threading.Event()

        def stay():
            with guard.ledger:
                held.set()
                never.wait()

        permit = guard.try_enter("r")
        threading.Thread(target=stay, daemon=True).start()
        held.wait()
    """,
    "a generator half-way": """
        stream = items()
        next(stream)
    """,
    "a generator half-way in a cycle": """
        stream = items()
        next(stream)
        ring = [stream]
        ring.append(ring)
        del stream, ring
    """,
    "an async generator half-way": """
        async def main():
            global stream
            stream = aitems()
            await anext(stream)

        asyncio.run(main())
    """,
    "an async generator half-way, its loop never shut down": """
        loop = asyncio.new_event_loop()
        stream = aitems()
        loop.run_until_complete(anext(stream))
        loop.close()
    """,
    "tasks inside and in the queue": """
        async def stay():
            async with guard.enter("r"):
                await asyncio.get_running_loop().create_future()

        async def main():
            tasks = [asyncio.create_task(stay()) for _ in range(3)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        asyncio.run(main())
    """,
    "a call from an exit handler": """
        import atexit
        permit = guard.try_enter("r")

        @atexit.register
        def at_exit():
            with guard.enter("other"):
                pass
            permit.exit()
    """,
}


@pytest.mark.parametrize("held", PROGRAMS)
def test_it_ends_silently(held):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = [sys.executable, "-c", BEGINNING + dedent(PROGRAMS[held])]
    env = untraced(PYTHONPATH=path)
    ended = subprocess.run(program, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert (0, "", "") == (ended.returncode, ended.stdout, ended.stderr)
