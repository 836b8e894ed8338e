"""Queue instead of refusing: a bulkhead for what runs at once, a leaky bucket for an even pace.

Prints:
    never more than 3 at once
    6 calls, started 20 ms apart
"""

import asyncio
import itertools
import time

from guardrail import bulkhead, limit

inside, most, starts = 0, 0, []


@bulkhead(3, max_wait="10s")
async def render() -> None:
    global inside, most
    inside += 1
    most = max(most, inside)
    await asyncio.sleep(0.01)
    inside -= 1


@limit("50/s", algorithm="leaky_bucket", max_wait="5s")
async def send() -> None:
    starts.append(time.monotonic())


async def main() -> None:
    await asyncio.gather(*(render() for _ in range(20)))
    print(f"never more than {most} at once")
    await asyncio.gather(*(send() for _ in range(6)))
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    print(f"{len(starts)} calls, started {'20 ms' if sum(gaps) >= 0.0999 else 'too little'} apart")


asyncio.run(main())
