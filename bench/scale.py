"""What many rules and many keys cost: loading, look-up, bytes a key.

python bench/scale.py
"""

import gc
import time
import tracemalloc
from timeit import Timer

from guardrail import Guard, RuleSet

RULES = 10_000
KEYS = 100_000
LOOKUPS = 2_000


def file_of(rules: int) -> str:
    """Return a rule file, one third patterns."""
    lines = ["version: 1", "rules:"]
    for number in range(rules):
        resource = f'"GET /v1/shop{number}/{{id}}"' if number % 3 == 0 else f"shop{number}.order"
        lines += [f"  - resource: {resource}", "    kind: limit", f"    rate: {number % 90 + 1}/min"]
    return "\n".join(lines)


def lookup_ns(rules: RuleSet) -> tuple[float, float]:
    """Return what a match costs, and a whole decision on a resource whose plan is made."""
    guard = Guard(rules)
    guard.try_enter("shop7.order").exit()
    match = min(Timer(lambda: rules.match("GET /v1/shop6/77")).repeat(5, LOOKUPS)) / LOOKUPS
    peek = min(Timer(lambda: guard.peek("shop7.order")).repeat(5, LOOKUPS)) / LOOKUPS
    return match * 1e9, peek * 1e9


def bytes_a_key() -> float:
    """Return what one more key of a limit takes, its own text included."""
    guard = Guard([{"resource": "r", "kind": "limit", "rate": "100/min", "key": "user"}])
    guard.try_enter("r", {"user": "first"}).exit()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(KEYS):
        guard.try_enter("r", {"user": f"user-{number}"}).exit()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / KEYS


def main() -> None:
    text = file_of(RULES)
    RuleSet.parse(file_of(10))  # the libraries are loaded
    started = time.perf_counter()
    many = RuleSet.parse(text)
    print(f"a file of {RULES:,} rules loads in {time.perf_counter() - started:.2f} s")
    for rules in (RuleSet.parse(file_of(10)), many):
        match, peek = lookup_ns(rules)
        print(f"among {len(rules):,} rules: a match {match:,.0f} ns, a decision {peek:,.0f} ns")
    print(f"{bytes_a_key():.0f} bytes a key, with {KEYS:,} keys of 10 characters")


if __name__ == "__main__":
    main()
