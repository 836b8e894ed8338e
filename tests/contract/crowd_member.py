"""One of many processes that call as fast as they can on one key, and break some calls off.

Prints the store's time before and after, and how many calls were admitted and refused by the limit.
"""

import asyncio
import random
import sys
from collections import Counter
from threading import Thread
from time import monotonic, sleep

import redis

from guardrail import Guard, RedisStore

RULE = {"resource": "r", "kind": "limit", "rate": "300/s", "burst": 30, "key": "user", "on_store_error": "deny"}
CALL = {"attributes": {"user": "everybody"}}
ADMITTED = None  # the reason of what was not refused


def by_threads(guard, until):
    """Call from four threads."""
    reasons = []

    def go():
        while monotonic() < until:
            decision = guard.try_enter("r", **CALL).decision
            reasons.append(decision.reason)
            sleep(
                decision.retry_after or 0
            )  # as it is told, so that the limit is always wanted and the machine is free

    threads = [Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(reasons)


async def by_tasks(guard, until):
    """Call from 20 tasks, and cancel one call of a hundred: what it was granted counts for nobody."""
    reasons = []

    async def one():
        decision = (await guard.atry_enter("r", **CALL)).decision
        reasons.append(decision.reason)
        await asyncio.sleep(decision.retry_after or 0)

    async def go(draw):
        while monotonic() < until:
            call = asyncio.create_task(one())
            if draw.random() < 0.01:
                await asyncio.sleep(draw.random() / 1000)
                call.cancel()
            await asyncio.wait([call])

    await asyncio.gather(*[go(random.Random(seed)) for seed in range(20)])
    return Counter(reasons)


def now_us(server):
    seconds, rest = server.time()
    return seconds * 1_000_000 + rest


async def in_a_loop(guard, store, until):
    said = await by_tasks(guard, until)
    await store.aclose()
    return said


if __name__ == "__main__":
    url, kind, seconds = sys.argv[1:]
    store = RedisStore(url, timeout="2s")
    with redis.Redis.from_url(url) as server, Guard([RULE], store=store) as guard:
        guard.peek("r", {"user": "nobody"})  # all that is loaded and connected late is there before the time begins
        print("ready", flush=True)
        sys.stdin.readline()
        begun_us, until = now_us(server), monotonic() + float(seconds)
        said = by_threads(guard, until) if kind == "threads" else asyncio.run(in_a_loop(guard, store, until))
        print(begun_us, now_us(server), said[ADMITTED], said["rate"])
        store.close()
