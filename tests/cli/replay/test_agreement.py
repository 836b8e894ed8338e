"""A replay decides, call by call, as a live guard does that the same trace drives on a fake clock."""

import asyncio
from heapq import heappop, heappush
from itertools import count

import pytest
from hypothesis import given, settings

from guardrail import Guard, RuleSet
from guardrail.adapters.http.resources import DEFAULT_EXEMPT, Exempt, name_of
from guardrail.cli.replay.call import Attributes, place_of
from guardrail.testing import FakeClock
from tests.cli.replay.drawn import NAMES, rule_sets, traces
from tests.cli.replay.scene import START_US, decisions, rules, trace


def request(rule_set, call):
    """What an adapter would say of a call: its resource, attributes and cost; None: it is exempt."""
    place = place_of(call)
    if Exempt(DEFAULT_EXEMPT).has(*place.split(" ", 1)):
        return None
    name = name_of(rule_set, place)
    known = Attributes(call, name)
    told = {key: value for key in [*NAMES, "path.id"] if (value := known.get(key)) is not None}
    return name, told, int((call.more or {}).get("cost", 1))


def live(rule_set, calls):
    """Drive a guard in this thread; nothing waits. Return the decisions, and refusals by rule."""
    clock, ends, numbers = FakeClock(START_US), [], count()
    found, refusals = {}, {rule.name: 0 for rule in rule_set}

    def end(until_us):
        while ends and ends[0][0] <= until_us:
            at_us, _, permit, call = heappop(ends)
            clock.set_us(at_us)
            permit.exit(failed=call.status >= 500, code=f"http.{call.status}")

    with Guard(rule_set, clock=clock) as guard:
        for call in calls:
            end(call.at_us)
            clock.set_us(call.at_us)
            asked = request(rule_set, call)
            if asked is None:
                found[call.number] = True
                continue
            resource, attributes, cost = asked
            permit = guard.try_enter(resource, attributes, cost=cost)
            found[call.number] = bool(permit)
            for verdict in permit.decision.verdicts:
                refusals[verdict.rule] += not verdict.allowed
            if permit:
                heappush(ends, (call.at_us + (call.duration_us or 0), next(numbers), permit, call))
        end(1 << 62)
    return found, refusals


class SharedClock(FakeClock):
    """A fake clock on which many tasks can sleep at once."""

    def __init__(self, start_us):
        super().__init__(start_us)
        self.sleepers = []

    async def asleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now_us() + round(seconds * 1_000_000), woken))
        await woken

    def wake(self):
        due = [woken for until_us, woken in self.sleepers if until_us <= self.now_us()]
        self.sleepers = [one for one in self.sleepers if one[0] > self.now_us()]
        for woken in due:
            woken.set_result(None)


async def live_tasks(rule_set, calls):
    """Drive a guard with one task for each call; they wait where the rules say so."""
    clock, found, coming, tasks = SharedClock(START_US), {}, list(reversed(calls)), []
    guard = Guard(rule_set, clock=clock)

    async def serve(call):
        asked = request(rule_set, call)
        if asked is None:
            found[call.number] = True
            return
        resource, attributes, cost = asked
        permit = await guard.atry_enter(resource, attributes, cost=cost)
        found[call.number] = bool(permit)
        if permit:
            if call.duration_us:
                await clock.asleep(call.duration_us / 1_000_000)
            permit.exit(failed=call.status >= 500, code=f"http.{call.status}")

    async def settle():
        for _ in range(12):
            await asyncio.sleep(0)

    while coming or clock.sleepers or guard.ledger.waiting:
        times = [until_us for until_us, _ in clock.sleepers] + [one.deadline_us for one in guard.ledger.waiting]
        clock.set_us(min([*times, *([coming[-1].at_us] if coming else [])]))
        clock.wake()
        await settle()
        while coming and coming[-1].at_us == clock.now_us():
            tasks.append(asyncio.create_task(serve(coming.pop())))
        await settle()
    await asyncio.gather(*tasks)
    guard.close()
    return found


@pytest.mark.parametrize("seed", range(30))
def test_without_waits_every_decision_is_that_of_a_live_guard(seed):
    rule_set = RuleSet.parse(rules(seed, waiting=False))
    calls = trace(seed, 300, timed=seed % 3 > 0)
    expected, refusals = live(rule_set, calls)
    found, rehearsal = decisions(rule_set, calls)
    assert expected == found
    assert refusals == {name: tally.refused + tally.would_refuse for name, tally in rehearsal.tallies.items()}


@pytest.mark.parametrize("seed", range(25))
def test_with_waits_every_decision_is_that_of_tasks_that_wait(seed):
    rule_set = RuleSet.parse(rules(1_000 + seed, waiting=True))
    calls = trace(seed, 200)
    assert asyncio.run(live_tasks(rule_set, calls)) == decisions(rule_set, calls)[0]


def test_the_traces_are_worth_the_while():
    """Calls are refused by every kind of rule, and let in after waits."""
    kinds, waited = set(), 0
    for seed in range(25):
        _, rehearsal = decisions(RuleSet.parse(rules(1_000 + seed, waiting=True)), trace(seed, 200))
        kinds |= {tally.rule.kind for tally in rehearsal.tallies.values() if tally.refused}
        waited += rehearsal.waited
    assert {"limit", "breaker", "bulkhead"} == kinds
    assert waited > 30


@given(rule_sets(), traces())
@settings(max_examples=120)
def test_whatever_the_rules_a_replay_decides_as_a_live_guard(rule_set, calls):
    """Calls that come at the same time, or just when another one ends, too."""
    expected, refusals = live(rule_set, calls)
    found, rehearsal = decisions(rule_set, calls)
    assert expected == found
    assert refusals == {name: tally.refused + tally.would_refuse for name, tally in rehearsal.tallies.items()}


@given(rule_sets(waiting=True), traces(alone=True, most=40))
@settings(max_examples=60)
def test_whatever_the_rules_a_replay_waits_as_tasks_wait(rule_set, calls):
    assert asyncio.run(live_tasks(rule_set, calls)) == decisions(rule_set, calls)[0]


@given(rule_sets(waiting=True), traces())
@settings(max_examples=120)
def test_the_straight_way_leads_where_the_flow_leads(rule_set, calls):
    """What each rule said is counted alike, to the key."""
    found, rehearsal = decisions(rule_set, calls)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("guardrail.cli.replay.routes.straight_past", lambda *_: None)
        expected, through_the_flow = decisions(rule_set, calls)
    assert expected == found
    assert counted(through_the_flow) == counted(rehearsal)


def counted(rehearsal):
    return {
        name: (
            one.allowed,
            one.refused,
            one.would_refuse,
            one.callers and one.callers.top(99),
            one.turned_away and one.turned_away.top(99),
        )
        for name, one in rehearsal.tallies.items()
    }


def test_both_ways_are_taken():
    """Straight where nobody can wait, and step by step where somebody can."""
    ways = set()
    for seed in range(25):
        _, rehearsal = decisions(RuleSet.parse(rules(1_000 + seed, waiting=True)), trace(seed, 50))
        routes = [route for route in rehearsal.routes._by_name.values() if route.gates]
        ways |= {(type(gate).__name__, route.straight is not None) for route in routes for gate in route.gates}
    kinds = {"LimitGate", "BreakerGate", "BulkheadGate"}
    assert {(kind, straight) for kind in kinds for straight in (True, False)} == ways
