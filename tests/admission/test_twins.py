"""Threads and tasks get the same decisions on the same history, whatever they wait for."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.testing import FakeClock, RecordingListener
from tests.admission.scene import START_US, S, breaker, bulkhead, guard_of, limit

RULES = [
    limit("3/s", burst=4, max_wait="700ms", name="bucket"),
    limit("4/s", algorithm="leaky_bucket", max_wait="2s", key="user", name="spaced"),
    limit("4/2s", algorithm="sliding_window", name="window"),
    limit("5/s", algorithm="fixed_window", key="user", overrides={"u1": "2/s"}, name="fixed"),
    limit("6/s", algorithm="sliding_log", cost="tokens", name="log"),
    limit("5/s", charge="failure", name="failures"),
    limit("2/s", mode="shadow", name="watched"),
    bulkhead(2, name="places"),
    bulkhead(1, key="user", mode="shadow", name="watched places"),
    breaker(consecutive_failures=2, open_for="1s", half_open_calls=2, name="health"),
    breaker(slow_call="200ms", min_calls=3, open_for="500ms", when={"user": "!u2"}, name="speed"),
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "enter", "exit", "fail", "cancel", "begin", "settle"]),
        st.integers(0, 4),
        st.sampled_from(["u1", "u2"]),
        st.sampled_from([0, 1, 50_000, 333_333, S, -300_000]),
        st.sampled_from([None, None, 0, "100ms"]),
    ),
    max_size=40,
)
ERRORS = {"exit": None, "fail": OSError(), "cancel": asyncio.CancelledError()}


class Twin:
    """One guard, its clock, who is inside, and everything it said."""

    def __init__(self, chosen):
        self.clock = FakeClock(START_US)
        self.news = RecordingListener()
        self.guard = guard_of(self.clock, *(RULES[place] for place in sorted(chosen)), listeners=[self.news])
        self.inside = []
        self.said = []

    def note(self, permit):
        self.said.append((permit.decision, self.clock.now_us()))
        self.inside.append(permit)

    def leave(self, what, cost):
        if self.inside:
            match what:
                case "begin":
                    self.inside[0].begin()
                case "settle":
                    self.inside[0].settle(cost)
                case _:
                    return self.inside.pop(0), ERRORS[what]
        return None


def in_threads(twin, steps):
    for what, cost, user, step_us, max_wait in steps:
        twin.clock.set_us(twin.clock.now_us() + step_us)
        if what == "enter":
            twin.note(twin.guard.try_enter("r", {"user": user, "tokens": cost}, cost=cost, max_wait=max_wait))
        elif leaving := twin.leave(what, cost):
            leaving[0].exit(leaving[1])
    for permit in twin.inside:
        permit.exit()


async def in_tasks(twin, steps):
    for what, cost, user, step_us, max_wait in steps:
        twin.clock.set_us(twin.clock.now_us() + step_us)
        if what == "enter":
            twin.note(await twin.guard.atry_enter("r", {"user": user, "tokens": cost}, cost=cost, max_wait=max_wait))
        elif leaving := twin.leave(what, cost):
            await leaving[0].aexit(leaving[1])
    for permit in twin.inside:
        await permit.aexit()


@settings(max_examples=150)
@given(st.sets(st.sampled_from(range(len(RULES))), min_size=1, max_size=6), STEPS)
def test_threads_and_tasks_get_the_same_decisions(chosen, steps):
    thread, task = Twin(chosen), Twin(chosen)
    in_threads(thread, steps)
    asyncio.run(in_tasks(task, steps))
    assert thread.said == task.said
    assert thread.news.events == task.news.events
    breakers = [
        [(name, twin.guard.breakers[name].snapshot()) for name in twin.guard.breakers] for twin in (thread, task)
    ]
    assert breakers[0] == breakers[1]
