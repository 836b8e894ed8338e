"""The quick way past a stack decides as the flow does, on the same history, and its permits end calls as the flow's do."""

import asyncio
import gc
import warnings
from contextlib import contextmanager
from threading import Barrier, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail import Refused
from guardrail.admission import plan as plans
from guardrail.admission.permit import Permit
from guardrail.admission.quick_stack import StackPermit
from guardrail.testing import FakeClock, RecordingListener
from tests.admission.scene import (
    PATIENCE,
    START_US,
    ByHand,
    S,
    breaker,
    bulkhead,
    ended,
    guard_of,
    held,
    in_child,
    inside,
    left,
    limit,
    locked_elsewhere,
    started,
)

BUCKET = limit("4/s", burst=5)
KEYED = limit("3/s", key="user")
COSTLY = limit("9/2s", key=["user", "tenant"], cost=2)
HEALTH = breaker(min_calls=3, window="2s", open_for="500ms", half_open_calls=2)
FRAGILE = breaker(consecutive_failures=2, open_for="400ms", probe_timeout="700ms", key="user")
PICKY = breaker(min_calls=2, open_for="300ms", failures=["builtins.OSError", "http.5xx"], ignore=["http.404"])
SLOW = breaker(slow_call="200ms", min_calls=2, window="3s", open_for="500ms")
PLACES = bulkhead(2)
EACH = bulkhead(2, key="user")
STACKS = [
    [PLACES],
    [EACH],
    [HEALTH],
    [FRAGILE],
    [PICKY],
    [SLOW],
    [BUCKET, HEALTH],
    [KEYED, FRAGILE],
    [KEYED, EACH],
    [COSTLY, PLACES],
    [SLOW, EACH],
    [BUCKET, PICKY, PLACES],
    [KEYED, SLOW, EACH],
]
ENDS = [
    {},
    {},
    {"error": OSError()},
    {"error": ValueError()},
    {"error": asyncio.CancelledError()},
    {"failed": True},
    {"code": "http.503", "failed": True},
    {"code": "http.404"},
    {"code": "http.200"},
]
ACTS = ["enter"] * 5 + ["exit"] * 4 + ["peek", "begin", "settle", "look", "drop", "reset", "force", "apply"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(ACTS),
        st.integers(0, 8),
        st.sampled_from(["u1", "u1", "u2", "u" * 200]),
        st.sampled_from([0, 0, 1, 50_000, 150_000, 200_001, 500_000, S, -300_000, -2 * S]),
    ),
    max_size=40,
)


class Twin:
    """One guard, and everything it said."""

    def __init__(self, rules, *, quick):
        self.clock = FakeClock(START_US)
        self.news = RecordingListener()
        self.rules = rules
        self.quick = quick
        self.inside = []
        self.said = []
        with self.ways():
            self.guard = guard_of(self.clock, *rules, listeners=[self.news])

    @contextmanager
    def ways(self):
        with pytest.MonkeyPatch.context() as patch:
            if not self.quick:
                patch.setattr(plans, "way_past", lambda _resource, _gates: None)
            yield

    def step(self, what, number, user, step_us):
        self.clock.set_us(self.clock.now_us() + step_us)
        attributes = {"user": user, "tenant": "t"}
        one = number % len(self.inside) if self.inside else 0
        match what:
            case "enter":
                permit = self.guard.try_enter("r", attributes, cost=1 + number // 4)
                self.said.append((bool(permit), list(permit.standings())))
                if number % 3 == 0:
                    self.said.append((permit.decision, permit.awaits_end))
                if permit:
                    self.inside.append(permit)
            case "peek":
                self.said.append(self.guard.peek("r", attributes))
            case "exit" if self.inside:
                permit = self.inside.pop(one)
                permit.exit(**ENDS[number])
                permit.exit(failed=True)  # the first one counts
            case "begin" if self.inside:
                self.inside[one].begin()
            case "settle" if self.inside:
                self.inside[one].settle(number // 2)
            case "look" if self.inside:
                self.said.append((self.inside[one].decision, repr(self.inside[one])))
            case "drop" if self.inside:
                self.inside[one].is_held = True
                del self.inside[one]
            case "reset":
                for rule in self.guard.rules.rules:
                    self.guard.reset(rule.name)
            case "force":
                for name in self.guard.breakers:
                    (self.guard.breakers[name].force_open if number < 3 else self.guard.breakers[name].reset)()
            case "apply":
                fields = {"max_concurrent": 1 + number % 3, "rate": f"{2 + number}/s", "min_calls": 2 + number % 3}
                self.guard.apply([rule | {name: fields[name] for name in fields if name in rule} for rule in self.rules])
        snapshot = self.guard.snapshot(show_keys=True)
        self.said += [
            [breaker.snapshot() for breaker in self.guard.breakers.values()],
            [(one.rule, one.resource, one.allowed, one.refused) for one in snapshot.counts],
            [(one.rule, one.in_use) for one in snapshot.bulkheads],
        ]

    def play(self, steps):
        with self.ways():
            for step in steps:
                self.step(*step)
        self.said += [permit.decision for permit in self.inside]
        for permit in self.inside:
            permit.exit()
        return self.said, self.news.events


@pytest.mark.parametrize("rules", STACKS, ids=str)
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_it_is_the_decision_of_the_flow(rules, steps):
    quick, slow = (Twin(rules, quick=way) for way in (True, False))
    assert slow.play(steps) == quick.play(steps)
