"""Cost per decision over one Redis, ours and the peers' in the same run on the same server, over loopback TCP.

Rounds take turns among the subjects. A ratio is taken within a round, against what stood beside it, and the median over
the rounds counts, so that whatever else the machine does cannot favour one of them. A fault of the store would show: a
decision that was not what the limit says ends the run.

    python bench/redis.py [--rounds N] [--scale F] [--write]      --write puts the tables into bench/RESULTS.md
"""

import argparse
import asyncio
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.remove(str(Path(__file__).parent))  # this file is not the `redis` that others import
sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.redis_subjects import ASYNC, OURS, SYNC, Rate, Take
from tests.servers import Server, builds, running

RESULTS = Path(__file__).with_name("RESULTS.md")
HEADING = "## Over Redis"
PLENTY = Rate(1_000_000, 1)
SCARCE = Rate(1, 3600)
THREADS = 16
MANY = [f"user-{number}" for number in range(1000)]
SPENT = [f"spent-{number}" for number in range(1000)]  # have nothing left
BARE = "bare EVALSHA"


class Job(NamedTuple):
    """What is measured, how often in a round, and what it may cost: as a multiple of the one it is held against."""

    name: str
    calls: int
    budget: float
    least: bool  # the budget is the least multiple of the rate of the fastest peer, not the most of the bare cost


JOBS = {
    "thread": Job("1 thread", 600, 1.25, least=False),
    "task": Job("1 task", 400, 1.4, least=False),
    "100 tasks": Job("100 tasks, 1,000 keys", 5_000, 5, least=True),
    "500 tasks": Job("500 tasks, 1,000 keys", 5_000, 0, least=True),
    "threads": Job(f"{THREADS} threads, 1,000 keys", 3_200, 2.5, least=True),
    "storm": Job("refusal storm, 1 thread, 1 key", 400, 20, least=True),
    "storm, many": Job("refusal storm, 1 thread, 1,000 keys", 1_000, 20, least=True),
    "async storm": Job("refusal storm, 100 tasks, 1 key", 2_000, 20, least=True),
    "async storm, many": Job("refusal storm, 100 tasks, 1,000 keys", 2_000, 20, least=True),
}
Rates = dict[str, dict[str, list[float]]]  # job, subject: decisions a second, one for each round


def called(take: Take, users: Iterable[str], expected: bool) -> None:
    for user in users:
        assert take(user) is expected, user


async def acalled(take: Callable[[str], Awaitable[bool]], users: Iterable[str], expected: bool) -> None:
    for user in users:
        assert await take(user) is expected, user


def shared_out(users: list[str], calls: int, callers: int) -> list[list[str]]:
    """Return whom each caller calls for: its own users again and again, all the only one if there is one."""
    own = [users[start::callers] or users for start in range(callers)]
    each = max(calls // callers, 1)
    return [(mine * (each // len(mine) + 1))[:each] for mine in own]


def sync_rounds(url: str, rounds: int, scale: float, rates: Rates) -> None:
    """Measure what blocks: one thread, several, and a storm of refusals."""

    def timed(
        job: str, name: str, take: Take, users: list[str], expected: bool, pool: ThreadPoolExecutor | None
    ) -> None:
        parts = shared_out(users, int(JOBS[job].calls * scale), THREADS if pool else 1)
        began = time.perf_counter()
        run = pool.map if pool else map
        list(run(lambda part: called(take, part, expected), parts))
        rates[job][name].append(sum(map(len, parts)) / (time.perf_counter() - began))

    plenty = {name: make(url, PLENTY) for name, make in SYNC.items()}
    scarce = {name: make(url, SCARCE) for name, make in SYNC.items() if name != BARE}
    for take in scarce.values():
        called(take, SPENT, expected=True)  # takes the only one there is
        called(take, SPENT, expected=False)  # a storm is what comes after the first refusal
    with ThreadPoolExecutor(THREADS) as pool:
        for take in plenty.values():
            list(pool.map(lambda part, take=take: called(take, part, expected=True), shared_out(MANY, 200, THREADS)))
        for _ in range(rounds):
            for name, take in plenty.items():
                timed("thread", name, take, MANY, True, None)
            for name, take in plenty.items():
                timed("threads", name, take, MANY, True, pool)
            for name, take in scarce.items():
                timed("storm", name, take, SPENT[:1], False, None)
                timed("storm, many", name, take, SPENT, False, None)


async def async_rounds(url: str, rounds: int, scale: float, rates: Rates) -> None:
    """Measure tasks of one event loop: one, a hundred, five hundred, and a storm of refusals."""

    async def timed(job: str, name: str, take: object, users: list[str], expected: bool, tasks: int) -> None:
        parts = shared_out(users, int(JOBS[job].calls * scale), tasks)
        began = time.perf_counter()
        await asyncio.gather(*[acalled(take, part, expected) for part in parts])
        rates[job][name].append(sum(map(len, parts)) / (time.perf_counter() - began))

    plenty = {name: make(url, PLENTY) for name, make in ASYNC.items()}
    scarce = {name: make(url, SCARCE) for name, make in ASYNC.items() if name != BARE}
    for take in scarce.values():
        for expected in (True, False):
            await asyncio.gather(*[acalled(take, part, expected) for part in shared_out(SPENT, 1000, 500)])
    for take in plenty.values():
        await asyncio.gather(*[acalled(take, part, expected=True) for part in shared_out(MANY, 1000, 500)])
    for _ in range(rounds):
        for job, tasks in (("task", 1), ("100 tasks", 100), ("500 tasks", 500)):
            for name, take in plenty.items():
                await timed(job, name, take, MANY, True, tasks)
        for name, take in scarce.items():
            await timed("async storm", name, take, SPENT[:1], False, 100)
            await timed("async storm, many", name, take, SPENT, False, 100)


def is_ours(name: str) -> bool:
    return name.startswith(OURS)


def has_budget(job: str, name: str) -> bool:
    """Tell whether a row is held to the budget: in a storm the one that says no as peers do, without raising."""
    return JOBS[job].budget > 0 and is_ours(name) and ("storm" not in job or name.startswith("guard."))


def measured(server: Server, rounds: int, scale: float) -> Rates:
    """Return the decisions a second of each job, subject, and round."""
    rates: Rates = {job: defaultdict(list) for job in JOBS}
    sync_rounds(server.url, rounds, scale, rates)
    server.clear()
    asyncio.run(async_rounds(server.url, rounds, scale, rates))
    return rates


def times(job: str, name: str, rates: Rates) -> float:
    """Return the median multiple: of the bare cost, of our one thread's rate, or of the fastest peer's rate."""
    own = rates[job][name]
    if not JOBS[job].least:
        return median(bare / mine for bare, mine in zip(rates[job][BARE], own, strict=True))
    if job == "threads":
        return median(many / one for many, one in zip(own, rates["thread"][name], strict=True))
    peers = [rates[job][peer] for peer in rates[job] if not is_ours(peer) and peer != BARE]
    return median(mine / max(others) for mine, *others in zip(own, *peers, strict=True))


def held(job: str, name: str, rates: Rates) -> bool:
    found, budget = times(job, name, rates), JOBS[job].budget
    return found >= budget if JOBS[job].least else found <= budget


def row(job: str, name: str, rates: Rates) -> str:
    what, rate = JOBS[job], median(rates[job][name])
    of = "the bare call" if not what.least else "its 1 thread" if job == "threads" else "the fastest peer"
    budget = f"{'>=' if what.least else '<='} {what.budget}" if has_budget(job, name) else ""
    shown = f"**{name}**" if is_ours(name) else name
    return (
        f"| {what.name} | {shown} | {rate:,.0f} | {1e6 / rate:.1f} | {times(job, name, rates):.2f} | {of} | {budget} |"
    )


def table(rates: Rates) -> str:
    lines = ["| job | | decisions/s | us | times | of | budget |", "|---|---|---:|---:|---:|---|---:|"]
    for job, found in rates.items():
        lines += [row(job, name, rates) for name in sorted(found, key=lambda name: -median(found[name]))]
    return "\n".join(lines)


def write(text: str) -> None:
    """Replace this section of the results, and leave the others as they are."""
    before, _, after = RESULTS.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")
    _, mark, others = after.partition("\n## ")
    body = f"\n{HEADING}\n\n`make bench`: {__doc__.splitlines()[0]}\n\n{text}\n"
    RESULTS.write_text(before + body + mark + others, encoding="utf-8")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--scale", type=float, default=1.0, help="of the calls in a round")
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    with running(builds()[0]) as server:
        rates = measured(server, chosen.rounds, chosen.scale)
    against_whom = ", ".join(
        f"{name} {version(name)}" for name in ("redis", "limits", "throttled-py", "pyrate-limiter")
    )
    machine = f"Python {platform.python_version()}, {platform.machine()}, Redis {server.version}"
    text = (
        f"{table(rates)}\n\n{machine}, {time.strftime('%Y-%m-%d')}; median of {chosen.rounds} rounds; {against_whom}."
    )
    print(text)
    if chosen.write:
        write(text)
    over = [(job, name) for job in JOBS for name in rates[job] if has_budget(job, name) and not held(job, name, rates)]
    for job, name in over:
        print(f"over budget: {JOBS[job].name}, {name}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
