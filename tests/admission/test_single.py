"""A function guarded by one rule, in one closure, is decided as the flow decides: the same history on both, step by step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail import Guard, Refused
from guardrail.admission import single
from guardrail.clock import SystemClock
from guardrail.testing import FakeClock

START_NS = 7_000_000_000_123


class Ticks:
    """Stand for the system's monotonic clock, in nanoseconds."""

    def __init__(self) -> None:
        self.now = START_NS

    def __call__(self) -> int:
        return self.now


@contextmanager
def system_time() -> Iterator[Ticks]:
    ticks = Ticks()
    with patch.object(time, "monotonic_ns", ticks), patch.object(single, "monotonic_ns", ticks):
        yield ticks


class Failed(Exception):
    pass


def shape_of(function: object) -> object:
    return function.__guardrail__.plan.shape


def twins(decorate) -> tuple[object, object, SystemClock, FakeClock]:
    """Return the same function guarded in one closure and through the flow, and the clocks of both."""

    def work(user: str = "u", fail: bool = False) -> str:
        if fail:
            raise Failed
        return user

    system = SystemClock()
    clock = FakeClock(system.now_us())
    fast, flow = Guard(clock=system), Guard(clock=clock)
    never = {"when": {"resource": "!nothing"}}  # a condition, always met: only the flow looks at it
    return decorate(fast, {})(work), decorate(flow, never)(work), system, clock


def outcome(call, *args, **kwargs) -> object:
    try:
        return call(*args, **kwargs)
    except Refused as refused:
        return refused.reason, refused.retry_after, refused.decision.remaining
    except Failed:
        return "failed"


SHAPES = [
    ("limited", lambda guard, more: guard.limit("7/s", burst=3, name="r", **more)),
    ("limited_by_key", lambda guard, more: guard.limit("3/s", burst=2, key="user", name="r", **more)),
    ("watched", lambda guard, more: guard.breaker(min_calls=3, window="2s", open_for="500ms", name="r", **more)),
    ("watched", lambda guard, more: guard.breaker(consecutive_failures=2, open_for="500ms", name="r", **more)),
]


@pytest.mark.parametrize(("shape", "decorate"), SHAPES)
@settings(max_examples=100)
@given(
    history=st.lists(
        st.tuples(st.integers(0, 900_000_000), st.sampled_from(["a", "b"]), st.booleans(), st.booleans()), max_size=40
    )
)
def test_one_closure_decides_as_the_flow(shape, decorate, history):
    with system_time() as ticks:
        fast, flow, system, clock = twins(decorate)
        for step_ns, user, fail, by_name in history:
            ticks.now += step_ns
            clock.set_us(system.now_us())
            args, kwargs = ((), {"user": user, "fail": fail}) if by_name else ((user, fail), {})
            assert outcome(flow, *args, **kwargs) == outcome(fast, *args, **kwargs)
        outcome(fast, "x")
        assert shape_of(fast) is getattr(single, shape)
