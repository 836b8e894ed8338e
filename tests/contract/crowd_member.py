"""One of many processes that call as fast as they can on one key, and break some calls off. Prints what was admitted."""

import asyncio
import random
import sys
from threading import Thread
from time import monotonic

from guardrail import Guard, RedisStore

RULE = {"resource": "r", "kind": "limit", "rate": "2000/s", "burst": 50, "key": "user", "on_store_error": "deny"}
CALL = {"attributes": {"user": "everybody"}}


def by_threads(guard, until):
    """Call from four threads."""
    admitted = []

    def go():
        while monotonic() < until:
            admitted.append(bool(guard.try_enter("r", **CALL)))

    threads = [Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(admitted)


async def by_tasks(guard, until):
    """Call from 20 tasks, and cancel one call of ten: what it was granted counts for nobody."""
    admitted = []

    async def one():
        permit = await guard.atry_enter("r", **CALL)
        admitted.append(bool(permit))

    async def go(draw):
        while monotonic() < until:
            call = asyncio.create_task(one())
            if draw.random() < 0.1:
                await asyncio.sleep(draw.random() / 1000)
                call.cancel()
            await asyncio.wait([call])

    await asyncio.gather(*[go(random.Random(seed)) for seed in range(20)])
    await guard.aclose()
    return sum(admitted)


if __name__ == "__main__":
    url, kind, seconds = sys.argv[1:]
    with Guard([RULE], store=RedisStore(url, timeout="2s")) as guard:
        until = monotonic() + float(seconds)
        print(by_threads(guard, until) if kind == "threads" else asyncio.run(by_tasks(guard, until)))
