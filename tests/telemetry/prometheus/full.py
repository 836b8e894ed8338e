"""A snapshot with something of everything, what a scrape of it shows, and processes that show it."""

import os
import signal

from tests.telemetry.prometheus.scene import (
    Seen,
    breaker,
    bulkhead,
    distribution,
    latency,
    rule,
    scraped,
    snapshot,
    store,
)

ALLOWED = "guardrail_decisions_total{outcome=allow,resource=a,rule=r}"
FULL = snapshot(
    ("a", "r", 5, 1, 0, 0),
    rules=[rule("r", distribution(100, 5_000, 99_000_000))],
    breakers=[breaker("b", closed=1, successes=4, transitions={("closed", "open"): 1})],
    bulkheads=[bulkhead("p", in_use=2, capacity=3)],
    store=store(available=False, errors={"timeout": 1}, seconds=distribution(300)),
    latencies=[latency("a", distribution(2_000))],
)
ALONE = scraped(Seen(FULL))
NAMED = scraped(Seen(FULL), name="out")


def counted(count, **more):
    return snapshot(("a", "r", count, 0, 0, 0), **more)


def in_child(act):
    """Call *act* in a forked child, and return what the child exits with once it has ended."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # rather than to hang
        code = 99
        try:
            code = act() or 0
        finally:
            os._exit(code)
    return child, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
