"""Many processes on one key get what the law gives to one, on the server's time, whatever happens to scripts and calls."""

import os
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

ROOT = Path(__file__).parents[2]
MEMBER = Path(__file__).with_name("crowd_member.py")
PROCESSES, SECONDS = 8, 2.0
BURST, RATE = 30, 300  # of the rule of the members


def test_eight_processes_get_what_one_would_get(redis_server):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    members = [
        subprocess.Popen(
            [sys.executable, "-W", "error", MEMBER, redis_server.url, ["threads", "tasks"][place % 2], str(SECONDS)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for place in range(PROCESSES)
    ]
    assert ["ready\n"] * PROCESSES == [member.stdout.readline() for member in members]
    for member in members:
        member.stdin.write("go\n")
        member.stdin.flush()
    until = monotonic() + 60
    flushed = 0
    while any(member.poll() is None for member in members):
        assert monotonic() < until
        redis_server.command("SCRIPT", "FLUSH")
        flushed += 1
        sleep(0.02)  # a disturbance now and then, and not a storm
    rows = [[int(word) for word in member.communicate()[0].split()] for member in members]
    assert [0] * PROCESSES == [member.returncode for member in members]
    begun, ended, admitted, refused = zip(*rows, strict=True)
    law = BURST + (max(ended) - min(begun)) * RATE // 1_000_000
    assert flushed > 10
    assert all(admitted)
    assert all(refused), "nobody wanted more than there was"
    assert law // 2 < sum(admitted) <= law  # near it where the machine is free
    assert [] == redis_server.keys_for_ever()
