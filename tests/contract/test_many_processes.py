"""Many processes on one key never get more than the law, on the server's time, whatever happens to scripts and calls."""

import os
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

ROOT = Path(__file__).parents[2]
MEMBER = Path(__file__).with_name("crowd_member.py")
PROCESSES, SECONDS = 8, 2.0
BURST, RATE = 50, 2000  # of the rule of the members


def now_us(server):
    seconds, rest = server.command("TIME")
    return int(seconds) * 1_000_000 + int(rest)


def test_eight_processes_get_what_one_would_get(redis_server):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    begun_us = now_us(redis_server)
    members = [
        subprocess.Popen(
            [sys.executable, "-W", "error", MEMBER, redis_server.url, ["threads", "tasks"][place % 2], str(SECONDS)],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        for place in range(PROCESSES)
    ]
    until = monotonic() + 60
    flushed = 0
    while any(member.poll() is None for member in members):
        assert monotonic() < until
        redis_server.command("SCRIPT", "FLUSH")
        flushed += 1
        sleep(0.02)  # a disturbance now and then, and not a storm
    span_us = now_us(redis_server) - begun_us
    admitted = [int(member.communicate()[0]) for member in members]
    assert [0] * PROCESSES == [member.returncode for member in members]
    assert flushed > 10
    assert all(admitted)
    assert sum(admitted) <= BURST + span_us * RATE // 1_000_000
    assert all(redis_server.command("PTTL", key) > 0 for key in redis_server.command("KEYS", "*"))
