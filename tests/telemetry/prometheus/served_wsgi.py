"""A WSGI app whose guard is registered for metrics; workers of a real server run it."""

import os
import time
from pathlib import Path

from guardrail import Guard
from guardrail.telemetry.prometheus import MetricsPage

guard = Guard(
    [
        {"name": "work", "resource": "work", "kind": "limit", "rate": "1000000/s"},
        {"name": "never", "resource": "work", "kind": "limit", "rate": "1/day", "mode": "shadow"},
        {"name": "behind", "resource": "work", "kind": "breaker"},
        {"name": "places", "resource": "hold", "kind": "bulkhead", "max_concurrent": 5},
    ]
)
page = MetricsPage(guard)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/metrics":
        status, fields, body = page.answer(environ.get("HTTP_ACCEPT"))
        start_response(f"{status} -", fields)
        return [body]
    if path == "/hold":
        hold(environ["QUERY_STRING"])
    else:
        with guard.enter("work"):
            pass
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]


def hold(told):
    """Stay inside of the bulkhead, say so in a file, until that is taken away."""
    with guard.enter("hold"):
        flag = Path(told)
        flag.write_text(str(os.getpid()))
        while flag.exists():
            time.sleep(0.01)
