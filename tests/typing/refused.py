"""What a user's type checker refuses. Checked in `make types`, never run.

Each ignored line is a mistake. mypy and pyright both report an ignore comment that has nothing to ignore, so `make types`
fails as soon as one of these mistakes passes.
"""

from guardrail import Guard, Permit, bulkhead, limit


@limit("100/s")
def fetch(url: str) -> bytes:
    return url.encode()


async def decisions(guard: Guard, permit: Permit) -> None:
    fetch(1)  # type: ignore[arg-type]
    fetch()  # type: ignore[call-arg]
    fetch("x").upper().missing()  # type: ignore[attr-defined]
    limit(100)  # type: ignore[arg-type]
    limit()  # type: ignore[call-arg]
    limit("100/s", brust=20)  # type: ignore[call-arg]
    bulkhead("10")  # type: ignore[arg-type]
    Guard(mode="off-and-on")  # type: ignore[arg-type]
    guard.enter()  # type: ignore[call-arg]
    guard.enter("a", {"user": "u1"}, 3)  # type: ignore[call-arg]
    guard.peek("a").allowed = True  # type: ignore[misc]
    permit.settle("much")  # type: ignore[arg-type]
    await guard.peek("a")  # type: ignore[misc]
