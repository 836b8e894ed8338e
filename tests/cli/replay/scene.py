"""Calls and rules for replays, drawn at random."""

import random
from itertools import accumulate

from guardrail.cli.replay.call import Call
from guardrail.cli.replay.rehearsal import Rehearsal

START_US = 1_700_000_000_000_000
PATHS = ["/v1/orders", "/v1/orders/7", "/v1/orders/8", "/v1/search?q=1", "/static/app.js", "/healthz", "/"]
RESOURCES = ["* /**", "GET /v1/**", "* /v1/orders", "GET /v1/orders/{id}", "POST /v1/*", "GET /v1/search", "**"]


def call(number=1, at_us=START_US, **fields):
    """Make one call."""
    usual = {
        "method": "GET",
        "target": "/",
        "client": "10.0.0.1",
        "user": None,
        "agent": None,
        "referer": None,
        "status": 200,
        "duration_us": None,
        "coarse": False,
        "more": None,
    }
    return Call(at_us=at_us, number=number, **(usual | fields))


def trace(seed, count=400, *, timed=True, mean_us=50_000):
    """Draw calls whose times, ends included, are all different."""
    draw = random.Random(seed)
    gaps = (1 + 7 * round(draw.expovariate(1 / mean_us) / 7) for _ in range(count))
    return [
        call(
            number,
            at_us,
            method=draw.choice(["GET", "GET", "POST", "HEAD", "BREW"]),
            target=draw.choice(PATHS),
            client=draw.choice(["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "::ffff:10.0.0.2"]),
            user=draw.choice([None, "ann", "bob"]),
            agent=draw.choice(["curl/8", None]),
            status=draw.choice([200] * 5 + [404, 500, 503]),
            duration_us=draw.randrange(1_000, 900_000) if timed else None,
        )
        for number, at_us in enumerate(accumulate(gaps, initial=START_US), start=1)
    ]


def rules(seed, *, waiting):
    """Draw some rules."""
    draw = random.Random(seed)
    drawn = [draw.choice([_limit, _limit, _breaker, _bulkhead])(draw, waiting) for _ in range(draw.randrange(1, 6))]
    return [
        {"name": f"rule {number}", "resource": draw.choice(RESOURCES), **_mode(draw), **fields}
        for number, fields in enumerate(drawn)
    ]


def decisions(rule_set, calls):
    """Replay calls; return what was decided of each, by its number, and the rehearsal."""
    found = {}
    rehearsal = Rehearsal(rule_set, lambda decided: found.update({decided.call.number: decided.allowed}))
    for one in calls:
        rehearsal.take(one)
    rehearsal.finish()
    return found, rehearsal


def _limit(draw, waiting):
    algorithm = draw.choice(["token_bucket", "token_bucket", "sliding_window", "fixed_window", "sliding_log"])
    fields = {"kind": "limit", "rate": draw.choice(["5/s", "20 per 7s", "2/500ms", "1/s"]), "algorithm": algorithm}
    if algorithm == "token_bucket":
        fields |= {"burst": draw.randrange(1, 8)}
        if waiting and draw.random() < 0.6:
            fields |= {"max_wait": draw.choice(["200ms", "1s"])}
    if draw.random() < 0.3:
        fields |= {"charge": "failure"}
    key = draw.choice([None, "client.ip", ["client.ip", "method"], "user|client.ip", "header.user-agent", "path.id"])
    return fields | ({"key": key} if key else {})


def _breaker(draw, waiting):
    fields = {"kind": "breaker", "min_calls": draw.randrange(1, 6), "open_for": draw.choice(["300ms", "1s"])}
    if draw.random() < 0.5:
        fields |= {"slow_call": "600ms"}
    return fields | draw.choice([{}, {"failure_rate": "30%"}, {"consecutive_failures": 2}, {"failures": ["http.503"]}])


def _bulkhead(draw, waiting):
    fields = {"kind": "bulkhead", "max_concurrent": draw.randrange(1, 5)}
    if waiting and draw.random() < 0.7:
        fields |= {"max_wait": draw.choice(["150ms", "700ms"])}
        if draw.random() < 0.5:
            fields |= {"max_queue": 2}
    return fields | draw.choice([{}, {"key": "client.ip"}])


def _mode(draw):
    return draw.choice([{}] * 5 + [{"mode": "shadow"}, {"enforce": "50%"}, {"when": {"user": ["ann", "bob"]}}])
