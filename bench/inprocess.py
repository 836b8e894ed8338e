"""Cost per call in one process, as a multiple of a bare `functools.wraps` wrapper, ours and the peers' in the same run.

Every call is admitted: what is measured is the price of asking. Each subject is timed in short rounds that take turns, and
its best round counts, so that whatever else the machine does cannot favour one of them.

    python bench/inprocess.py [--rounds N] [--write]      --write puts the table into bench/RESULTS.md
"""

import argparse
import functools
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from timeit import Timer

from prometheus_client import CollectorRegistry
from uncounted import guarded

from guardrail import Guard
from guardrail.telemetry.prometheus import register

CALLS = 5_000
PLENTY = 10**9
RESULTS = Path(__file__).with_name("RESULTS.md")
LIMIT = {"rate": "1000000/s", "burst": 1_000_000}
UNCOUNTED = "guardrail, if it counted nothing"
COUNTING = 1.15  # times as much, at most, for the counts that Prometheus reads
BUDGETS = {"limit": 5, "limit, keyed": 8, "breaker": 6, "bulkhead": 6, "all three stacked": 12}


def work(user: str) -> str:
    return user


def bare() -> Callable[[str], str]:
    @functools.wraps(work)
    def wrapper(*args, **kwargs):
        return work(*args, **kwargs)

    return wrapper


def stacked(guard: Guard) -> Callable[[str], str]:
    return guard.breaker(name="e")(guard.limit(**LIMIT, name="e")(guard.bulkhead(100, name="e")(work)))


JOBS: dict[str, Callable[[Guard], Callable[[str], str]]] = {
    "limit": lambda guard: guard.limit(**LIMIT, name="a")(work),
    "limit, keyed": lambda guard: guard.limit(**LIMIT, key="user", name="b")(work),
    "breaker": lambda guard: guard.breaker(name="c")(work),
    "bulkhead": lambda guard: guard.bulkhead(100, name="d")(work),
    "all three stacked": stacked,
}


def ours() -> dict[tuple[str, str], Callable[[str], str]]:
    """Return each job done by guardrail, with Prometheus and without the lines that count for it."""
    guard = Guard()
    register(guard, CollectorRegistry())
    made = {(job, "guardrail"): decorate(guard) for job, decorate in JOBS.items()}
    made |= {(job, UNCOUNTED): guarded(decorate) for job, decorate in JOBS.items()}
    return made | {("no rule", "guardrail"): guard.guarded("f")(work)}


def peers() -> dict[tuple[str, str], Callable[[str], str]]:
    """Return each peer doing each job, used as its documentation shows, wrapped in one plain function where it has no decorator."""
    import circuitbreaker
    import limits
    import pybreaker
    import pyrate_limiter
    import pyresilience
    import throttled
    import token_bucket

    window = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())
    item = limits.RateLimitItemPerSecond(PLENTY)

    def limits_keyed(user: str) -> str:
        if not window.hit(item, user):
            raise RuntimeError
        return work(user)

    bucket = token_bucket.Limiter(1_000_000, 1_000_000, token_bucket.MemoryStorage())

    def token_bucket_keyed(user: str) -> str:
        if not bucket.consume(user):
            raise RuntimeError
        return work(user)

    throttle = throttled.Throttled(
        using=throttled.RateLimiterType.TOKEN_BUCKET.value, quota=throttled.per_sec(1_000_000, burst=1_000_000)
    )

    def throttled_keyed(user: str) -> str:
        if throttle.limit(user).limited:
            raise RuntimeError
        return work(user)

    fixed = throttled.Throttled(
        key="k", using=throttled.RateLimiterType.TOKEN_BUCKET.value, quota=throttled.per_sec(1_000_000, burst=1_000_000)
    )
    pyrate = pyrate_limiter.Limiter(pyrate_limiter.Rate(1_000_000, pyrate_limiter.Duration.SECOND))

    def pyrate_limited(user: str) -> str:
        if not pyrate.try_acquire("k", blocking=False):
            raise RuntimeError
        return work(user)

    resilient = pyresilience.resilient
    rates = pyresilience.RateLimiterConfig(max_calls=1_000_000, period=1.0)
    breaks = pyresilience.CircuitBreakerConfig()
    places = pyresilience.BulkheadConfig(max_concurrent=100)
    return {
        ("limit", "throttled-py"): fixed(work),
        ("limit", "pyrate-limiter"): pyrate_limited,
        ("limit", "pyresilience"): resilient(rate_limiter=rates)(work),
        ("limit, keyed", "limits"): limits_keyed,
        ("limit, keyed", "token-bucket"): token_bucket_keyed,
        ("limit, keyed", "throttled-py"): throttled_keyed,
        ("breaker", "pybreaker"): pybreaker.CircuitBreaker()(work),
        ("breaker", "circuitbreaker"): circuitbreaker.circuit(work),
        ("breaker", "pyresilience"): resilient(circuit_breaker=breaks)(work),
        ("bulkhead", "pyresilience"): resilient(bulkhead=places)(work),
        ("all three stacked", "pyresilience"): resilient(circuit_breaker=breaks, rate_limiter=rates, bulkhead=places)(
            work
        ),
    }


def timed(subjects: dict[object, Callable[[str], str]], rounds: int) -> dict[object, float]:
    """Return the best seconds for one call of each subject."""
    users = [f"user-{number}" for number in range(100)]
    for call in subjects.values():
        for user in users:
            call(user)
    timers = {name: Timer("call('user-7')", globals={"call": call}) for name, call in subjects.items()}
    best = dict.fromkeys(subjects, float("inf"))
    for _ in range(rounds):
        for name, timer in timers.items():
            best[name] = min(best[name], timer.timeit(CALLS) / CALLS)
    return best


def table(best: dict[object, float]) -> str:
    base = best["bare"]
    lines = ["| job | | ns | times a bare wrapper | budget |", "|---|---|---:|---:|---:|"]
    lines.append(f"| bare `functools.wraps` wrapper | | {base * 1e9:.0f} | 1.0 | |")
    for job in [*BUDGETS, "no rule"]:
        rows = {
            who: seconds
            for (what, who), seconds in ((key, s) for key, s in best.items() if key != "bare")
            if what == job
        }
        for who, seconds in sorted(rows.items(), key=lambda row: row[1]):
            budget = f"{BUDGETS[job]}" if who == "guardrail" and job in BUDGETS else ""
            name = "**guardrail**" if who == "guardrail" else who
            lines.append(f"| {job} | {name} | {seconds * 1e9:.0f} | {seconds / base:.1f} | {budget} |")
    return "\n".join(lines)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    subjects: dict[object, Callable[[str], str]] = {"bare": bare()}
    subjects.update(ours())
    subjects.update(peers())
    best = timed(subjects, chosen.rounds)
    names = ("limits", "throttled-py", "pyrate-limiter", "token-bucket", "pybreaker", "circuitbreaker", "pyresilience")
    machine = f"Python {platform.python_version()}, {platform.machine()}, {time.strftime('%Y-%m-%d')}"
    against = ", ".join(f"{name} {version(name)}" for name in names)
    text = f"{table(best)}\n\n{machine}; best of {chosen.rounds} rounds of {CALLS} calls; {against}."
    print(text)
    if chosen.write:
        _, mark, others = RESULTS.read_text(encoding="utf-8").partition("\n## ")  # those of the other benches stay
        head = f"# Results\n\n`make bench`: {__doc__.splitlines()[0]}\n\n{text}\n"
        RESULTS.write_text(f"{head}{mark}{others}", encoding="utf-8")
    dear = [job for job in JOBS if best[job, "guardrail"] > COUNTING * best[job, UNCOUNTED]]
    over = [job for job, budget in BUDGETS.items() if best[job, "guardrail"] > budget * best["bare"]]
    theirs = [key for key in best if key != "bare" and key[1] not in {"guardrail", UNCOUNTED}]
    slower = [key for key in theirs if best[key] <= best[key[0], "guardrail"]]
    for job in over:
        print(f"over budget: {job}", file=sys.stderr)
    for job in dear:
        print(f"counting costs more than 15 %: {job}", file=sys.stderr)
    for job, who in slower:
        print(f"slower than {who}: {job}", file=sys.stderr)
    return 1 if over or slower or dear else 0


if __name__ == "__main__":
    sys.exit(main())
