"""The compiled path decides as the flow would, in threads and in tasks, and is really taken where it can be."""

import asyncio
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail import Refused
from guardrail.admission.attempt import Attempt
from guardrail.admission.call import Call
from guardrail.admission.compiled import NO_KEY, compile_gates
from guardrail.admission.gate import Gate
from guardrail.clock import SystemClock
from guardrail.decorators import binding as bindings
from guardrail.testing import FakeClock
from tests.admission.scene import (
    PATIENCE,
    START_US,
    ByHand,
    S,
    ended,
    guard_of,
    held,
    inside,
    limit,
    started,
)


class Failed(Exception):
    pass


class Cancelled(BaseException):
    pass


# -- the same history four times ---------------------------------------------------------------------------------------

LIMIT = [("limit", {"rate": "7/s", "burst": 4})]
KEYED = [("limit", {"rate": "4/s", "key": "user"})]
COSTLY = [("limit", {"rate": "9/2s", "cost": 2})]
PLACES = [("bulkhead", {"max_concurrent": 2})]
HEALTH = [("breaker", {"min_calls": 3, "window": "2s", "open_for": "500ms", "half_open_calls": 2})]
FRAGILE = [("breaker", {"consecutive_failures": 2, "open_for": "400ms", "probe_timeout": "700ms"})]
PICKY = [("breaker", {"min_calls": 2, "open_for": "300ms", "failures": [Failed], "open_for_max": "3s"})]
SLOW = [("breaker", {"slow_call": "200ms", "min_calls": 2, "window": "3s", "open_for": "500ms"})]
STACKS = {
    "limit": LIMIT,
    "limit with a key": KEYED,
    "limit with a cost": COSTLY,
    "bulkhead": PLACES,
    "limit and bulkhead": LIMIT + PLACES,
    "key and bulkhead": PLACES + KEYED,
    "breaker": HEALTH,
    "breaker of rows": FRAGILE,
    "breaker that picks": PICKY,
    "breaker of slow calls": SLOW,
    "breaker and limit": HEALTH + LIMIT,
    "breaker and key": KEYED + FRAGILE,
    "breaker and bulkhead": PLACES + SLOW,
    "all three": HEALTH + LIMIT + PLACES,
    "all three with a key": PLACES + FRAGILE + KEYED,
}
WITHOUT_BREAKER = [name for name, stack in STACKS.items() if all(kind != "breaker" for kind, _ in stack)]

FORWARD = st.sampled_from([0, 0, 1, 999, 100_000, 200_000, 200_001, 333_333, 500_000, S, 2 * S])
BACK = st.sampled_from([-1, -100_000, -S])
USERS = st.sampled_from(["u1", "u2", 7])
ENDS = st.sampled_from(["returns", "returns", "fails", "fails", "cancels"])


def histories(steps):
    """Calls, each after a while, with the calls that are made while it is inside."""
    calls = st.deferred(
        lambda: st.lists(st.tuples(steps, USERS, ENDS, st.one_of(st.just([]), st.just([]), calls)), max_size=3)
    )
    return st.lists(st.tuples(steps, USERS, ENDS, calls), min_size=1, max_size=10)


class Twin:
    """One guarded function on a guard and a clock of its own, and all that was said to its callers."""

    def __init__(self, stack, *, flow, task):
        self.clock = FakeClock(START_US)
        self.guard = guard_of(self.clock)
        self.said = []

        def work(user, meanwhile, end):
            meanwhile()
            if end == "fails":
                raise Failed
            if end == "cancels":
                raise Cancelled
            return user

        async def task_work(user, meanwhile, end):
            return work(user, meanwhile, end)

        function = task_work if task else work
        always = {"when": {"resource": "!elsewhere"}} if flow else {}  # only the flow looks at conditions
        for kind, options in reversed(stack):
            function = getattr(self.guard, kind)(name="f", **options, **always)(function)
        self.function = function
        self.task = task

    def play(self, history):
        for step_us, user, end, inner in history:
            self.clock.set_us(self.clock.now_us() + step_us)
            self.said.append(self.call(user, lambda inner=inner: self.play(inner), end))
            self.said.append([(name, self.guard.breakers[name].snapshot()) for name in self.guard.breakers])
            self.said.append([self.guard.peek("f", {"user": user}, cost=cost) for cost in (1, 2)])

    def call(self, *args):
        try:
            if not self.task:
                return self.function(*args)
            calling = self.function(*args)
            try:
                calling.send(None)
            except StopIteration as done:
                return done.value
            raise AssertionError("it waits for something")
        except Refused as refused:
            return refused.decision
        except (Failed, Cancelled) as error:
            return type(error)


def played(stack, history):
    """What is said by the compiled path and by the flow, to threads and to tasks."""
    twins = [Twin(stack, flow=flow, task=task) for flow in (False, True) for task in (False, True)]
    for twin in twins:
        twin.play(history)
    by_the_flow = [twin.function.__guardrail__.plan.admit is bindings._only_the_flow for twin in twins]
    assert [False, False, True, True] == by_the_flow
    return [twin.said for twin in twins]


@settings(max_examples=150)
@given(st.sampled_from(sorted(STACKS)), histories(FORWARD))
def test_threads_and_tasks_by_closures_and_by_the_flow_are_told_the_same(stack, history):
    fast, *others = played(STACKS[stack], history)
    assert [fast] * 3 == others


@settings(max_examples=75)
@given(st.sampled_from(WITHOUT_BREAKER), histories(FORWARD | BACK))
def test_also_where_the_clock_steps_back(stack, history):
    fast, *others = played(STACKS[stack], history)
    assert [fast] * 3 == others


# -- when it is taken --------------------------------------------------------------------------------------------------


@pytest.fixture
def flows(monkeypatch):
    """Count the calls that go through the flow."""
    taken = []
    enter, aenter = bindings.enter, bindings.aenter

    def counted(gates, call, ledger):
        taken.append(call)
        return enter(gates, call, ledger)

    async def acounted(gates, call, ledger):
        taken.append(call)
        return await aenter(gates, call, ledger)

    monkeypatch.setattr(bindings, "enter", counted)
    monkeypatch.setattr(bindings, "aenter", acounted)
    return taken


def decorated(guard, stack, function):
    for kind, options in reversed(stack):
        function = getattr(guard, kind)(name="f", **options)(function)
    return function


both_clocks = pytest.mark.parametrize("clock_of", [lambda: FakeClock(START_US), SystemClock], ids=["fake", "system"])


@both_clocks
@pytest.mark.parametrize("stack", STACKS)
def test_plain_calls_are_decided_by_closures(clock_of, flows, stack):
    guard = guard_of(clock_of())

    def work(user):
        return user

    async def task_work(user):
        return user

    call, task = decorated(guard, STACKS[stack], work), decorated(guard, STACKS[stack], task_work)
    call("u1")  # a key that is new goes the slow way, which makes room for it
    asyncio.run(task("u1"))
    del flows[:]
    assert "u1" == call("u1")
    assert "u1" == asyncio.run(task("u1"))
    assert [] == flows


@both_clocks
@pytest.mark.parametrize("options", [{}, {"key": "user"}])
def test_closures_spend_the_last_token_too(clock_of, flows, options):
    guard = guard_of(clock_of())

    @guard.limit("3/h", name="f", **options)
    def call(user):
        return user

    call("u1")
    del flows[:]
    assert ["u1", "u1"] == [call("u1"), call("u1")]
    assert [] == flows
    with pytest.raises(Refused):
        call("u1")


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "sliding_window"},
        {"algorithm": "fixed_window"},
        {"algorithm": "sliding_log"},
        {"max_wait": "1s"},
        {"cost": "user"},
        {"charge": "failure"},
        {"key": "user", "overrides": {"vip": "9/s"}},
        {"when": {"user": "u1"}},
        {"mode": "shadow"},
        {"key": "user", "enforce": "50%"},
    ],
)
def test_some_limits_need_the_flow(clock, flows, options):
    guard = guard_of(clock)

    @guard.limit("5/s", name="f", **options)
    def call(user):
        return user

    assert [1, 1] == [call(1) for _ in range(2)]
    assert 2 == len(flows)


def test_a_cost_that_never_fits_needs_the_flow_to_say_so(clock, flows):
    guard = guard_of(clock)

    @guard.limit("5/s", burst=1, cost=2, name="f")
    def call():
        return 1

    with pytest.raises(Refused, match="ever allows at once"):
        call()
    assert 1 == len(flows)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("breaker", {"window_calls": 10}),
        ("breaker", {"key": "user"}),
        ("breaker", {"mode": "shadow"}),
        ("bulkhead", {"max_concurrent": 1, "key": "user"}),
        ("bulkhead", {"max_concurrent": 1, "when": {"user": "!u2"}}),
    ],
)
def test_some_breakers_and_bulkheads_need_the_flow(clock, flows, kind, options):
    guard = guard_of(clock)

    @getattr(guard, kind)(name="f", **options)
    def call(user):
        return user

    call("u1")
    assert 1 == len(flows)


def test_two_of_a_kind_need_the_flow(clock, flows):
    guard = guard_of(clock)

    @guard.limit("5/s", name="f")
    @guard.limit("9/min", name="f")
    def call():
        return 1

    call()
    assert 1 == len(flows)


def test_a_rate_from_elsewhere_needs_the_flow(clock, flows):
    guard = guard_of(clock, overrides={"f/limit": lambda key: "9/s"})

    @guard.limit("5/s", key="user", name="f")
    def call(user):
        return user

    call("u1")
    assert 1 == len(flows)


def test_a_function_that_no_rule_applies_to_is_only_called(clock, flows):
    guard = guard_of(clock, mode="off")

    @guard.guarded("f")
    def call():
        return inside_of

    inside_of = object()
    assert inside_of is call()
    assert [] == flows


def test_rules_that_change_are_followed_by_the_next_call(clock, flows):
    guard = guard_of(clock)

    @guard.limit("5/s", name="f", fallback="refused")
    def call():
        return "called"

    assert ["called"] * 2 == [call() for _ in range(2)]
    guard.apply([{"name": "f/limit", "kind": "limit", "resource": "f", "rate": "3/s"}])
    assert ["called", "refused", "refused"] == [call() for _ in range(3)]
    guard.apply([{"name": "f/limit", "kind": "limit", "resource": "f", "rate": "9/s", "algorithm": "sliding_window"}])
    assert ["called"] * 9 + ["refused"] == [call() for _ in range(10)]
    guard.mode = "off"
    assert ["called"] * 20 == [call() for _ in range(20)]


def test_a_gate_that_is_already_of_another_revision_is_left_to_the_flow(clock):
    """The numbers changed between making the gates and compiling them."""
    guard = guard_of(clock)

    @guard.limit("5/s", name="f")
    def call():
        return 1

    call()
    binding = call.__guardrail__
    _, gates = guard.gates_for("f", binding.names)
    assert compile_gates(gates, guard.ledger, "f", binding._key_reader)
    guard.apply([{"name": "f/limit", "kind": "limit", "resource": "f", "rate": "3/s"}])
    assert compile_gates(gates, guard.ledger, "f", binding._key_reader) is None


def test_a_gate_of_a_kind_to_come_is_left_to_the_flow_and_refused_by_it_as_long_as_it_cannot_be_asked(clock):
    guard = guard_of(clock, limit())
    [known] = guard._plan("r").gates
    unknown = Gate(**{field: getattr(known, field) for field in Gate.__slots__})
    assert compile_gates([unknown], guard.ledger, "r", lambda parts: NO_KEY) is None
    with pytest.raises(TypeError, match="no way to ask"):
        Attempt([unknown], Call("r", lambda name: None), guard.ledger)


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("key", [{}, {"key": "user"}])
def test_a_closure_of_earlier_rules_charges_in_no_numbers_but_its_own(clock, key, touched):
    """A thread has the closure in its hand while the rules change; what it finds is not its own any more."""
    guard = guard_of(clock)

    @guard.limit("10/s", name="f", fallback="refused", **key)
    def call(user):
        return "called"

    call("u1")
    guard.reset("f/limit")  # of all keys: their table is empty
    if touched:
        call("u1")
    late = call.__guardrail__.plan.admit
    guard.apply([{"name": "f/limit", "kind": "limit", "resource": "f", "rate": "1000/7s", "burst": 20}])
    held(guard, "f", {"user": "u1"})
    before = guard.peek("f", {"user": "u1"}, cost=0)
    late(("u1",), {})
    assert before == guard.peek("f", {"user": "u1"}, cost=0)


@both_clocks
@pytest.mark.parametrize("stack", ["bulkhead", "breaker and bulkhead"])
def test_a_closure_of_earlier_rules_overtakes_nobody(clock_of, stack):
    """There were two places when it looked at the rules, and there is one, and somebody waiting for it, when it decides."""
    guard = guard_of(clock_of())
    call = decorated(guard, STACKS[stack], lambda user: user)
    call("u1")
    epoch = guard._host.epoch
    guard.apply([{"name": "f/bulkhead", "kind": "bulkhead", "resource": "f", "max_concurrent": 1, "max_wait": "1h"}])
    holder = held(guard, "f")
    waiting = ByHand(guard, "f")
    guard._host.epoch = epoch
    with pytest.raises(Refused):
        call("u1")
    holder.exit()
    assert waiting.go_on().is_in


# -- on its way out ----------------------------------------------------------------------------------------------------

stacks_that_hold = pytest.mark.parametrize(
    "stack", ["bulkhead", "breaker", "breaker of slow calls", "breaker and bulkhead", "all three"]
)


def totals(guard):
    """What breakers have counted and who is inside."""
    health = [guard.breakers[name].snapshot() for name in guard.breakers]
    places = [inside(guard, name) for name in guard.ledger.bulkheads]
    return [(seen.total_successes, seen.total_failures) for seen in health], places


@both_clocks
@stacks_that_hold
def test_a_call_that_ends_while_its_own_thread_holds_the_lock_is_ended_all_the_same(clock_of, stack, flows):
    """As one does that a finalizer makes in the middle of a turn."""
    guard = guard_of(clock_of())
    call = decorated(guard, STACKS[stack], lambda user: guard.ledger.lock.acquire())
    call("u1")
    guard.ledger.lock.release()
    health, places = totals(guard)
    assert ([], set(health) <= {(1, 0)}, set(places) <= {0}) == (flows, True, True)


@both_clocks
@pytest.mark.parametrize("stack", STACKS)
def test_what_was_put_off_is_done_by_whoever_calls_next(clock_of, stack, flows):
    guard = guard_of(clock_of())
    call = decorated(guard, STACKS[stack], lambda user: done.append("call"))
    done = []
    call("u1")
    del done[:], flows[:]
    guard.ledger.deferred.append(lambda: done.append("put off"))
    call("u1")
    assert ({"put off", "call"}, []) == (set(done), flows)


@both_clocks
@stacks_that_hold
def test_what_is_put_off_meanwhile_is_done_on_the_way_out(clock_of, stack):
    guard = guard_of(clock_of())
    done = []
    call = decorated(guard, STACKS[stack], lambda user: guard.ledger.deferred.append(lambda: done.append(user)))
    call("u1")
    call("u2")
    assert ["u1", "u2"] == done


@both_clocks
@pytest.mark.parametrize("stack", ["bulkhead", "breaker and bulkhead", "limit and bulkhead"])
@pytest.mark.parametrize("end", ["returns", "fails"])
def test_the_place_goes_to_who_waits(clock_of, stack, end):
    guard = guard_of(clock_of())
    waits = [(kind, options | ({"max_wait": "1h"} if kind == "bulkhead" else {})) for kind, options in STACKS[stack]]

    def work(user):
        waiting.append(ByHand(guard, "f", attributes={"user": user}))
        if end == "fails":
            raise Failed

    waiting = []
    call = decorated(guard, waits, work)
    held(guard, "f")
    try:
        call("u1")
    except Failed:
        assert end == "fails"
    [next_one] = waiting
    assert next_one.go_on().is_in
    assert 2 == inside(guard, "f/bulkhead")


@both_clocks
def test_nobody_is_let_in_ahead_of_who_waits(clock_of, flows):
    guard = guard_of(clock_of())

    @guard.bulkhead(1, max_wait="1h", name="f")
    def call():
        return 1

    holder = held(guard, "f")
    waiting = ByHand(guard, "f")
    holder.exit()
    entered = Event()
    thread = started(lambda: (call(), entered.set()))
    assert not entered.is_set()
    waiting.go_on().permit().exit()
    assert entered.wait(PATIENCE)
    assert ended(thread)
    assert (1, 0) == (len(flows), inside(guard, "f/bulkhead"))


@both_clocks
@pytest.mark.parametrize(
    ("moves", "counted"), [(lambda breaker: breaker.reset(), 0), (lambda breaker: breaker.force_closed(), 0)]
)
def test_a_result_of_an_earlier_generation_changes_nothing_but_totals(clock_of, moves, counted):
    guard = guard_of(clock_of())

    @guard.breaker(name="f")
    def call():
        moves(guard.breakers["f/breaker"])

    call()
    seen = guard.breakers["f/breaker"].snapshot()
    assert (counted, 1) == (seen.calls, seen.total_successes)


@both_clocks
def test_a_breaker_that_opens_refuses_at_once(clock_of):
    guard = guard_of(clock_of())

    @guard.breaker(consecutive_failures=1, name="f")
    def call():
        raise Failed

    with pytest.raises(Failed):
        call()
    with pytest.raises(Refused):
        call()
