"""Services to look at: in this process, in one of its own, and snapshots made by hand."""

import os
import subprocess
import sys
from contextlib import contextmanager

from guardrail.cli.remote.following import Sight
from guardrail.core.breaker_state import BreakerSnapshot
from guardrail.telemetry.histogram import Distribution
from guardrail.telemetry.snapshot import (
    BreakerRuleSnapshot,
    BulkheadRuleSnapshot,
    HotKey,
    ReloadSnapshot,
    RuleSnapshot,
    Snapshot,
    StoreSnapshot,
)
from tests.cli.shell import ROOT, guardrail
from tests.control.scene import TOKEN

AT = 1_700_000_000.0
SERVICE = """
import sys
from guardrail import Guard
from guardrail.control import serve

guard = Guard([
    {"name": "per-user", "resource": "orders", "kind": "limit", "rate": "5/h", "key": "user"},
    {"name": "watched", "resource": "orders", "kind": "limit", "rate": "2/h", "key": "user", "mode": "shadow"},
    {"name": "payments", "resource": "pay", "kind": "breaker", "key": []},
])
with serve(guard, address=sys.argv[1]) as control:
    print(control.url, flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            guard.try_enter("orders", {"user": "u1"}).exit()
        print("done", flush=True)
"""


class Service:
    """A service in a process of its own."""

    def __init__(self, running):
        self._running = running
        self.url = running.stdout.readline().strip()
        self.pid = running.pid

    def call(self, times):
        """Let it have calls, and return when they are over."""
        print(times, file=self._running.stdin, flush=True)
        assert "done\n" == self._running.stdout.readline()

    def kill(self):
        self._running.kill()
        self._running.wait()


@contextmanager
def service(address="127.0.0.1:0"):
    """A running service, which ends with the block."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "GUARDRAIL_CONTROL_TOKEN": TOKEN}
    command = [sys.executable, "-c", SERVICE, address.removeprefix("http://")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=env, cwd=ROOT, **pipes) as running:
        yield Service(running)
        running.stdin.close()


def typed(*words, url=None, token=TOKEN):
    """Type a command that asks the processes at *url*."""
    where = [] if url is None else ["--url", url]
    return guardrail(*words, *where, *([] if token is None else ["--token", token]))


def rule(name="r", **fields):
    usual = {"kind": "limit", "resource": ("r",), "text": "5/s", "source": "code", "mode": "enforce", "enforced": 1.0}
    counts = dict.fromkeys(("allowed", "refused", "shadow_refused", "errors"), 0)
    rest = {"on_store_error": None, "keys": None, "would_refuse": None, "waited": None}
    return RuleSnapshot(**(usual | counts | rest | {"name": name} | fields))


def breaker(state="closed", **fields):
    usual = dict.fromkeys(BreakerSnapshot.__match_args__, 0) | dict.fromkeys(
        ("failure_rate", "slow_rate", "opened_at", "retry_after", "reason", "moved_at")
    )
    return BreakerSnapshot(**(usual | {"state": state} | fields))


def breakers(name, states, **notable):
    named = {label.replace("_", "/"): one for label, one in notable.items()}
    return BreakerRuleSnapshot(name, states, {}, 0, 0, 0, 0, named)


def bulkhead(name="b", in_use=0, waiting=0, capacity=10, fullest=None, count=1):
    return BulkheadRuleSnapshot(name, in_use, waiting, capacity, in_use if fullest is None else fullest, count)


def store(**fields):
    usual = {"store": "redis://localhost:6379/0", "available": True, "reason": "", "outages": 0, "errors": {}}
    return StoreSnapshot(**(usual | {"seconds": Distribution(0, 0.0, ())} | fields))


def hot(name, key, calls, refused=0):
    return HotKey(name, key, calls, refused)


def snapshot(*rules, pid=1, at=AT, **fields):
    reload = ReloadSnapshot("rules/", "abc123", at - 60, 0, 0, None)
    empty = dict.fromkeys(("counts", "breakers", "bulkheads", "hot_keys", "latencies"), ())
    usual = {"at": at, "pid": pid, "mode": "enforce", "reload": reload, "store": None}
    return Snapshot(**(empty | usual | {"rules": rules} | fields))


def sight(now, before=None, seconds=1.0, place="127.0.0.1:9911", first=None, **fields):
    return Sight(place, now, before, first or before or now, seconds, **fields)
