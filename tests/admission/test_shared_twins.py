"""The same history gets the same decisions, whether limits are kept in this process or in a store."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.testing import FakeClock
from tests.admission.fake_store import FakeStore
from tests.admission.scene import START_US, S, guard_of, limit

KEYED = {"key": "user", "overrides": {"u1": "2/s", "u3": "9/2s"}}
SINGLE = [
    limit("3/s", burst=4),
    limit("7/3s", **KEYED),
    limit("4/2s", algorithm="sliding_window"),
    limit("5/s", algorithm="fixed_window", **KEYED),
    limit("6/s", algorithm="sliding_log", key=["user", "tenant"]),
    limit("3/s", burst=2, max_wait="700ms", key="user"),
    limit("4/s", algorithm="leaky_bucket", max_wait="2s"),
    limit("6/s", key="user|tenant", cost=2),
    limit("6/s", algorithm="sliding_window", cost="tokens", key="user"),
    limit("6/s", algorithm="sliding_log", charge="failure"),
    limit("5/2s", charge="failure", key="user", name="paid by failures"),
    limit("5/2s", mode="shadow"),
    limit("4/2s", algorithm="sliding_window", key="user", enforce="50%", name="half"),
    limit("2/s", algorithm="fixed_window", when={"user": "!u2"}),
    limit("3/s", key="user", name="looked up"),
]
TOGETHER = [{**rule, "name": f"rule {number}"} for number, rule in enumerate(SINGLE)]
RATES = {"u1": "1/s", "u2": "5/s"}
OTHER_RATES = ["3/s", "2/s", "9/s", "4/3s", "11/5s"]

# What is given back after a step of the clock or a change of the rates is another matter: a process and a store know
# different things of it, and both give back less rather than more.
CALLS = ["call", "call", "call", "peek", "enter", "leave", "fail"]
STEPS_US = [0, 1, 50_000, 333_333, S, 3 * S]


def histories(acts, steps_us, most=40):
    return st.lists(
        st.tuples(
            st.sampled_from(acts),
            st.sampled_from([0, 1, 1, 1, 2, 3, 4, 7, 2**60]),
            st.sampled_from(["u1", "u2", "u3", "x" * 100, None]),
            st.sampled_from(["t1", "t2"]),
            st.sampled_from(steps_us),
            st.sampled_from([None, None, 0, "100ms", "1s"]),
        ),
        max_size=most,
    )


SETTLING = histories([*CALLS, "settle", "settle"], STEPS_US)
STEPPING = histories(["call", "call", "call", "peek", "apply"], [*STEPS_US, -1, -50_000, -300_000, -2 * S])


class Side:
    """One guard, its clock, who is inside, and everything it said."""

    def __init__(self, rules, *, stored):
        self.clock = FakeClock(START_US)
        self.store = FakeStore(self.clock) if stored else None
        self.rules = rules
        self.guard = guard_of(self.clock, *rules, overrides={"looked up": RATES.get}, store=self.store)
        self.inside = []
        self.settled = []
        self.said = []
        self.applied = 0

    def apply(self):
        self.applied += 1
        rate = OTHER_RATES[self.applied % len(OTHER_RATES)]
        self.guard.apply([{**rule, "rate": rate} for rule in self.rules])

    def note(self, decision):
        self.said.append((decision, self.clock.now_us()))

    def act(self, what, cost):
        """What neither waits nor asks."""
        match what:
            case "apply":
                self.apply()
            case "leave" | "fail" if self.inside:
                self.inside.pop(0).exit(OSError() if what == "fail" else None)
            case "settle" if self.inside:
                self.settled.append(self.inside.pop(0))
                self.settled[-1].settle(min(cost, 50))

    def over(self):
        for permit in (*self.inside, *self.settled):
            permit.exit()


def in_threads(side, history):
    for what, cost, user, tenant, step_us, max_wait in history:
        side.clock.set_us(side.clock.now_us() + step_us)
        side.act(what, cost)
        call = {"attributes": {"user": user, "tenant": tenant, "tokens": cost}, "cost": cost, "max_wait": max_wait}
        if what == "peek":
            side.note(side.guard.peek("r", **call))
        if what in {"call", "enter"}:
            permit = side.guard.try_enter("r", **call)
            side.note(permit.decision)
            side.inside.append(permit)
            if what == "call":
                side.inside.pop().exit(failed=True)
    side.over()
    return side.said


async def _in_tasks(side, history):
    for what, cost, user, tenant, step_us, max_wait in history:
        side.clock.set_us(side.clock.now_us() + step_us)
        side.act(what, cost)
        call = {"attributes": {"user": user, "tenant": tenant, "tokens": cost}, "cost": cost, "max_wait": max_wait}
        if what == "peek":
            side.note(await side.guard.apeek("r", **call))
        if what in {"call", "enter"}:
            permit = await side.guard.atry_enter("r", **call)
            side.note(permit.decision)
            side.inside.append(permit)
            if what == "call":
                await side.inside.pop().aexit(failed=True)
    side.over()
    return side.said


def in_tasks(side, history):
    return asyncio.run(_in_tasks(side, history))


both = pytest.mark.parametrize("played", [in_threads, in_tasks])
each_rule = pytest.mark.parametrize("rule", SINGLE, ids=str)


@both
@each_rule
@settings(max_examples=25)
@given(history=SETTLING)
def test_one_limit_with_what_is_given_back(played, rule, history):
    assert played(Side([rule], stored=False), history) == played(Side([rule], stored=True), history)


@both
@each_rule
@settings(max_examples=25)
@given(history=STEPPING)
def test_one_limit_whose_clock_steps_and_whose_rate_changes(played, rule, history):
    rule = {name: value for name, value in rule.items() if name != "charge"}
    assert played(Side([rule], stored=False), history) == played(Side([rule], stored=True), history)


class Forgetful(Side):
    """A side that remembers no refusals: with them, rules beside the one that refuses are not asked."""

    def note(self, decision):
        super().note(decision)
        self.guard._stock.refusals.clear()


some_rules = st.sets(st.sampled_from(range(len(TOGETHER))), min_size=2, max_size=5)


@both
@settings(max_examples=80)
@given(some_rules, SETTLING)
def test_several_limits_with_what_is_given_back(played, chosen, history):
    rules = _together(chosen)
    assert played(Forgetful(rules, stored=False), history) == played(Forgetful(rules, stored=True), history)


@both
@settings(max_examples=80)
@given(some_rules, STEPPING)
def test_several_limits_whose_clock_steps_and_whose_rates_change(played, chosen, history):
    rules = [{name: value for name, value in rule.items() if name != "charge"} for rule in _together(chosen)]
    assert played(Forgetful(rules, stored=False), history) == played(Forgetful(rules, stored=True), history)


def _together(chosen):
    """Some of the rules. Where calls wait, none that only watch: they look before the wait in a store, after it here."""
    rules = [TOGETHER[place] for place in sorted(chosen)]
    waits = any("max_wait" in rule for rule in rules)
    return [rule for rule in rules if not (waits and ("mode" in rule or "enforce" in rule))]


@settings(max_examples=60)
@given(some_rules, SETTLING)
def test_a_store_is_asked_at_most_once_for_each_decision(chosen, history):
    side = Side(_together(chosen), stored=True)
    in_threads(side, history)
    assert len(side.store.asked) <= len(side.said)
