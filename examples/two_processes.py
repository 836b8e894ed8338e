"""Two processes share one limit through Redis: together they get what the rule allows, and not each.

Needs a Redis, by default the one on this machine: GUARDRAIL_STORE=redis://host:6379/0 python examples/two_processes.py

Prints:
    90 calls by 2 processes: 60 admitted, 30 refused
"""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from guardrail import Guard

RULES = [{"name": "mails", "resource": "mail.send", "kind": "limit", "rate": "60/h", "on_store_error": "deny"}]
URL = os.environ.get("GUARDRAIL_STORE", "redis://localhost:6379/0")
PATIENCE = "timeout=2s"  # a service takes the default of 50 ms; an example is to show the same on a busy machine


def send(calls: int, prefix: str) -> int:
    """Make some calls, and return how many were admitted."""
    with Guard(RULES, store=f"{URL}?prefix={prefix}&{PATIENCE}") as guard:
        return sum(bool(guard.try_enter("mail.send")) for _ in range(calls))


def main() -> None:
    """Let two processes call, each as fast as it can."""
    prefix = f"example-{os.getpid()}"  # so that each run begins with nothing used
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        admitted = sum(processes.map(send, [45, 45], [prefix, prefix]))
    print(f"90 calls by 2 processes: {admitted} admitted, {90 - admitted} refused")
    with Guard(RULES, store=f"{URL}?prefix={prefix}&{PATIENCE}") as guard:
        guard.reset("mails")


if __name__ == "__main__":
    main()
