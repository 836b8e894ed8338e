"""Abuse: 100,000 connections that end in the middle of a response leave every bulkhead empty, and memory flat."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guardrail.adapters.asgi import GuardMiddleware
from tests.adapters.asgi_storm import BOTH, Storm, growth
from tests.untraced import untraced

ROOT = Path(__file__).parents[2]
MOST_BLOCKS, MOST_MEGABYTES = 3_000, 4


def test_a_hundred_thousand_clients_that_go_in_the_middle_leave_every_bulkhead_empty_and_memory_flat():
    """In a process of its own, which fails where a place stays taken. Tables of a fixed size may fill up meanwhile."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = [sys.executable, "-W", "error", "-m", "tests.adapters.asgi_storm", "10000", "100000"]
    ended = subprocess.run(program, env=untraced(PYTHONPATH=path), capture_output=True, text=True, timeout=240)
    assert (0, "") == (ended.returncode, ended.stderr)
    blocks, megabytes = map(int, ended.stdout.split())
    assert blocks < MOST_BLOCKS
    assert megabytes < MOST_MEGABYTES


def test_the_breakers_heard_the_good_and_the_bad_and_nothing_of_those_who_went():
    storm = Storm()
    storm.rage(600)
    snapshots = [storm.guard.breakers[f"backend/{name}"].snapshot() for name in BOTH]
    assert [(100, 50), (150, 50)] == [(snapshot.calls, snapshot.failures) for snapshot in snapshots]


class Keeping(GuardMiddleware):
    """Keeps something small of each connection."""

    kept = []

    async def __call__(self, scope, receive, send):
        self.kept.append(object())
        await super().__call__(scope, receive, send)


def test_the_storm_finds_what_stays_of_each_connection():
    blocks, _ = growth(Storm(Keeping), 500, 500 + 2 * MOST_BLOCKS)
    assert blocks > MOST_BLOCKS


def test_the_storm_finds_a_place_that_stays_taken():
    storm = Storm()
    storm.rage(100)
    with storm.guard.enter("GET /ws", {"user": "somebody who stays"}), pytest.raises(AssertionError):
        storm.rage(200)
    storm.rage(300)
