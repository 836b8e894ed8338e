"""What guarding adds to a request: one limit per client, with headers, ours and the peers' in the same run.

The app is a route that answers `hello`; scopes are made by hand, so there is no server and no network in it. Every request
is admitted. Subjects take turns in short rounds and the best round of each counts; from it, that of the bare app counts off.
A round begins with requests that do not count, so that nobody pays for what the subject before has left in the caches.

    python bench/asgi.py [--rounds N] [--write]      --write puts the table into bench/RESULTS.md
"""

import argparse
import asyncio
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi_limiter.depends import RateLimiter
from pyrate_limiter import Duration, Limiter, Rate
from slowapi import Limiter as SlowLimiter
from slowapi.middleware import SlowAPIASGIMiddleware, SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from guardrail import Guard
from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.fastapi import install

REQUESTS = 60
WARMING_UP = 20
HEADING = "## ASGI"
RESULTS = Path(__file__).with_name("RESULTS.md")
PLENTY = 1_000_000
BUDGET_US = 8
SHARE = 3  # of the best peer, at most one third
OURS = ("starlette", "guardrail")
PEERS = ("slowapi", "fastapi-limiter")
RULE = {
    "name": "per-client",
    "resource": "GET /hello/{name}",
    "kind": "limit",
    "rate": f"{PLENTY}/s",
    "key": "client.ip",
}


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"hello {request.path_params['name']}")


def starlette(*middleware, limiter=None):
    app = Starlette(routes=[Route("/hello/{name}", hello)])
    app.state.limiter = limiter
    for one in middleware:
        app.add_middleware(one)
    return app


def fastapi(*dependencies):
    app = FastAPI()
    app.get("/hello/{name}", dependencies=list(dependencies), response_model=None)(hello)
    return app


def slow_limiter():
    return SlowLimiter(key_func=get_remote_address, default_limits=[f"{PLENTY}/second"], headers_enabled=True)


def subjects():
    """Return each app by its base and name."""
    guarded = fastapi()
    install(guarded, Guard([RULE]))
    pyrate = Limiter(Rate(PLENTY, Duration.SECOND))
    return {
        ("starlette", "bare"): starlette(),
        ("starlette", "guardrail"): GuardMiddleware(starlette(), Guard([RULE])),
        ("starlette", "guardrail, headers off"): GuardMiddleware(starlette(), Guard([RULE]), headers="off"),
        ("starlette", "slowapi, SlowAPIMiddleware"): starlette(SlowAPIMiddleware, limiter=slow_limiter()),
        ("starlette", "slowapi, SlowAPIASGIMiddleware"): starlette(SlowAPIASGIMiddleware, limiter=slow_limiter()),
        ("fastapi", "bare"): fastapi(),
        ("fastapi", "guardrail"): guarded,
        ("fastapi", "fastapi-limiter"): fastapi(Depends(RateLimiter(limiter=pyrate))),
    }


def scope():
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/hello/world",
        "raw_path": b"/hello/world",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example"), (b"user-agent", b"bench"), (b"accept", b"*/*"), (b"x-user", b"u1")],
        "client": ("203.0.113.9", 50_000),
        "server": ("127.0.0.1", 80),
    }


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


async def ignore(message):
    pass


async def check(app):
    sent = []

    async def send(message):
        sent.append(message)

    await app(scope(), receive, send)
    assert sent[0]["status"] == 200, sent


async def timed(apps, rounds):
    """Return the best seconds for one request of each subject."""
    for app in apps.values():
        await check(app)
    best = dict.fromkeys(apps, float("inf"))
    for _ in range(rounds):
        for name, app in apps.items():
            for _ in range(WARMING_UP):
                await app(scope(), receive, ignore)
            scopes = [scope() for _ in range(REQUESTS)]
            start = time.perf_counter()
            for one in scopes:
                await app(one, receive, ignore)
            best[name] = min(best[name], (time.perf_counter() - start) / REQUESTS)
    return best


def table(best):
    """Return a row for each subject, as Markdown."""
    lines = ["| app | guarded by | us added | us for a request | budget |", "|---|---|---:|---:|---|"]
    budget = f"{BUDGET_US}, and a third of the best peer"
    for (base, who), seconds in best.items():
        us = "" if who == "bare" else f"{added(best, base, who):.1f}"
        most = budget if (base, who) == OURS else ""
        name = f"**{who}**" if who.startswith("guardrail") else who
        lines.append(f"| {base} | {name} | {us} | {seconds * 1e6:.1f} | {most} |")
    return "\n".join(lines)


def added(best, base, who):
    """Return the microseconds that guarding adds to a request."""
    return (best[base, who] - best[base, "bare"]) * 1e6


def write(text):
    """Put the text into the file of results, in the place of what was measured before."""
    before, _, after = RESULTS.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")
    _, mark, others = after.partition("\n## ")
    body = f"\n{HEADING}\n\n`make bench`: {__doc__.splitlines()[0]}\n\n{text}\n"
    RESULTS.write_text(f"{before.rstrip()}\n{body}{mark}{others}", encoding="utf-8")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    best = asyncio.run(timed(subjects(), chosen.rounds))
    names = ("starlette", "fastapi", "slowapi", "fastapi-limiter")
    against = ", ".join(f"{name} {version(name)}" for name in names)
    measured = f"Python {platform.python_version()}, {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}"
    text = f"{table(best)}\n\n{measured}; best of {chosen.rounds} rounds of {REQUESTS} requests; {against}."
    print(text)
    if chosen.write:
        write(text)
    ours = added(best, *OURS)
    least = min(added(best, *one) for one in best if one[1].startswith(PEERS))
    if ours > BUDGET_US:
        print(f"over budget: {ours:.1f} us, not {BUDGET_US}", file=sys.stderr)
    if ours > least / SHARE:
        print(f"more than a third of the best peer: {ours:.1f} us of {least:.1f}", file=sys.stderr)
    return int(ours > BUDGET_US or ours > least / SHARE)


if __name__ == "__main__":
    sys.exit(main())
