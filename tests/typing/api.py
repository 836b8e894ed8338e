"""What a user's type checker sees. Checked by mypy and pyright in `make types`, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any, assert_type

import guardrail
from guardrail import (
    BreakerOpen,
    BulkheadFull,
    Decision,
    Guard,
    GuardrailError,
    Listener,
    Permit,
    RateLimited,
    Refused,
    RuleError,
    RuleSet,
    StoreError,
    attributes,
    breaker,
    bulkhead,
    configure,
    default_guard,
    guarded,
    limit,
)
from guardrail.testing import FakeClock, RecordingListener

# Decorators change nothing about the type of what they decorate.


@limit("100/s", burst=20)
def fetch(url: str, *, retries: int = 3) -> bytes:
    return url.encode() * retries


assert_type(fetch("x"), bytes)
assert_type(fetch("x", retries=1), bytes)


@breaker(failure_rate=0.5, min_calls=10, open_for="5s", slow_call="1s", failures=[OSError], ignore=(ValueError,))
@limit("5/min", key="user_id")
@bulkhead(10, max_wait="500ms", fallback="nobody")
async def profile(user_id: int) -> str:
    return str(user_id)


async def ask() -> None:
    assert_type(await profile(1), str)


@guarded("orders.create", fallback=[])
def numbers(size: int, user: str, tenant: str) -> Iterator[int]:
    yield from range(size)


assert_type(numbers(1, "u", "t"), Iterator[int])


@limit("1/s", failed=lambda status: status >= 500)
async def lines(path: str) -> AsyncIterator[str]:
    yield path


assert_type(lines("x"), AsyncIterator[str])


class Orders:
    @limit("10/s", key="self.tenant")
    def create(self, amount: int) -> int:
        return amount

    @classmethod
    @limit("10/s")
    def of(cls, text: str) -> Orders:
        return cls()

    @staticmethod
    @limit("10/s")
    def count() -> int:
        return 0


assert_type(Orders().create(1), int)
assert_type(Orders.of("x"), Orders)
assert_type(Orders.count(), int)


def tenth(user_id: int) -> int:
    return user_id % 10


def instead(user_id: int, refused: Refused) -> str:
    return f"{user_id}: {refused.reason}"


@limit("5/min", key=tenth, cost=tenth)
@breaker(consecutive_failures=5, fallback=instead, fallback_on=(OSError,))
def keyed(user_id: int) -> str:
    return str(user_id)


assert_type(keyed(1), str)

# A guard: rules from anywhere, sync and async alike.

Guard()
Guard("rules/")
Guard(Path("rules/api.yaml"), clock=FakeClock(), listeners=[RecordingListener()], mode="shadow", max_keys=10)
Guard(RuleSet.parse("rules: []"))
guard = Guard([{"resource": "a", "kind": "limit", "rate": "1/s"}], overrides={"per-user": lambda key: "10/s"})


def enter() -> None:
    with guard as same:
        assert_type(same, Guard)
    with guard.enter("orders.create", {"user": "u1"}, cost=3, max_wait=0.5) as permit:
        assert_type(permit, Permit)
        assert_type(permit.decision, Decision)
        permit.settle(1740)
    permit = guard.try_enter("orders.create", max_wait="250ms")
    if permit:
        permit.exit()
        permit.exit(error=OSError())
        permit.exit(failed=True)
    assert_type(guard.peek("orders.create", cost=1), Decision)
    guard.reset("per-user", "u1")
    guard.reset("per-user", ["u1", "acme"])
    guard.reset("per-user")
    guard.reload()
    guard.apply([{"resource": "a", "kind": "limit", "rate": "2/s"}])
    guard.close()


async def aenter() -> None:
    async with guard as same:
        assert_type(same, Guard)
    async with guard.enter("orders.create") as permit:
        assert_type(permit, Permit)
    permit = await guard.atry_enter("orders.create", {"user": "u1"})
    await permit.aexit(failed=True)
    assert_type(await guard.apeek("orders.create"), Decision)
    await guard.areset("per-user", "u1")
    await guard.aclose()


@guard.limit("1/s")
def bound(text: str) -> int:
    return len(text)


assert_type(bound("x"), int)
guard.breaker(consecutive_failures=5)(bound)
guard.bulkhead(3)(bound)
guard.guarded("orders.create")(bound)
guard.guarded()(bound)

assert_type(guard.rules, RuleSet)
assert_type(guard.rules.revision, str)
assert_type(RuleSet.load("rules/"), RuleSet)
assert_type(configure("rules/"), Guard)
assert_type(default_guard(), Guard)
assert_type(guardrail.__version__, str)

payments = guard.breakers["payments.*/breaker"]
payments.force_open()
payments.force_closed()
payments.reset()
payments.snapshot()
state: str = payments.state


def publish() -> None:
    with attributes(tenant="acme"):
        fetch("x")


# A refusal says everything as attributes; every error is a GuardrailError.


def answer(error: GuardrailError) -> float | None:
    match error:
        case RateLimited() | BreakerOpen() | BulkheadFull():
            assert_type(error.decision, Decision)
            assert_type(error.resource, str)
            assert_type(error.retry_after, float | None)
            return error.retry_after
        case Refused():
            return error.decision.retry_after
        case RuleError():
            return float(len(error.problems))
        case StoreError():
            return None
        case _:
            return None


def read(decision: Decision) -> None:
    assert_type(decision.allowed, bool)
    assert_type(decision.rule, str | None)
    assert_type(decision.remaining, int | None)
    assert_type(decision.reset_after, float | None)
    assert_type(decision.wait, float)
    assert_type(decision.to_dict(), dict[str, Any])


def listen(event: object) -> None:
    print(event)


listener: Listener = listen
recording: Listener = RecordingListener()

clock = FakeClock(start_us=0)
clock.advance(1.5)
clock.set_us(0)
assert_type(clock.now_us(), int)
sleeping: Awaitable[None] = clock.asleep(1.0)
