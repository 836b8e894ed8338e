"""What diff says of a rule's state is what becomes of it in a live guard."""

import pytest

from guardrail import Guard, RuleSet
from guardrail.cli.diff.changes import differences
from guardrail.cli.diff.state import effects, state_after
from guardrail.testing import FakeClock

LIMIT = "kind: limit, rate: 10/min"
WINDOW = "kind: limit, rate: 10/min, algorithm: sliding_window"
BREAKER = "kind: breaker, consecutive_failures: 3, window: 1m"
BULKHEAD = "kind: bulkhead, max_concurrent: 3"


def parsed(text):
    return RuleSet.parse(f"version: 1\nrules:\n  - {{name: it, resource: a, {text}}}\n")


def fate(old, new):
    (change,) = differences(parsed(old), parsed(new)).changes
    return state_after(change).fate


#   old, new                                            what diff says, and what remains after 4 of 10 were used
LIMITS = [
    (LIMIT, f"{LIMIT}, max_wait: 1s", "kept", 6),
    (LIMIT, f"{LIMIT}, mode: shadow", "kept", 6),
    (LIMIT, f"{LIMIT}, charge: failure", "kept", 6),
    (LIMIT, "kind: limit, rate: 20/min", "rescaled", 16),
    (LIMIT, "kind: limit, rate: 10/min, burst: 5", "rescaled", 1),
    (LIMIT, f"{LIMIT}, key: user", "afresh", 10),
    (LIMIT, WINDOW, "afresh", 10),
    (LIMIT, BREAKER, "afresh", None),
    (WINDOW, "kind: limit, rate: 8/min, algorithm: sliding_window", "kept", 4),
    (WINDOW, "kind: limit, rate: 10/h, algorithm: sliding_window", "rescaled", 6),
    (WINDOW.replace("sliding_window", "sliding_log"), "kind: limit, rate: 8/h, algorithm: sliding_log", "kept", 4),
]


@pytest.mark.parametrize(("old", "new", "says", "remaining"), LIMITS)
def test_limits(old, new, says, remaining):
    guard = Guard(parsed(old), clock=FakeClock(1_700_000_000_000_000))
    for _ in range(4):
        guard.try_enter("a").exit()
    guard.apply(parsed(new))
    assert says == fate(old, new)
    found = guard.peek("a", cost=0).verdicts[0]
    assert remaining == found.remaining


#   new                                                              what diff says   open, calls in the window
BREAKERS = [
    (f"{BREAKER}, open_for: 9s", "kept", "open", 3),
    (f"{BREAKER}, ignore: [OSError]", "kept", "open", 3),
    (BREAKER.replace("1m", "2m"), "rescaled", "open", 0),
    (f"{BREAKER}, key: user", "afresh", "closed", 0),
]


@pytest.mark.parametrize(("new", "says", "state", "calls"), BREAKERS)
def test_breakers(new, says, state, calls):
    guard = Guard(parsed(BREAKER), clock=FakeClock(1_700_000_000_000_000))
    for _ in range(3):
        guard.try_enter("a").exit(failed=True)
    guard.apply(parsed(new))
    assert says == fate(BREAKER, new)
    name = "it/" if "key" in new else "it"
    found = guard.breakers[name].snapshot()
    assert (state, calls) == (found.state, found.calls)


#   new                                            what diff says   places that are left while 2 are inside
BULKHEADS = [
    (f"{BULKHEAD}, max_wait: 1s", "kept", 1),
    (BULKHEAD.replace("3", "5"), "rescaled", 3),
    (BULKHEAD.replace("3", "1"), "rescaled", -1),
    (f"{BULKHEAD}, key: user", "afresh", 3),
]


@pytest.mark.parametrize(("new", "says", "places"), BULKHEADS)
def test_bulkheads(new, says, places):
    guard = Guard(parsed(BULKHEAD), clock=FakeClock())
    inside = [guard.try_enter("a") for _ in range(2)]
    guard.apply(parsed(new))
    assert says == fate(BULKHEAD, new)
    more = []
    while len(more) < 5 and (permit := guard.try_enter("a", max_wait=0)):
        more.append(permit)
    assert max(0, places) == len(more)
    for permit in inside + more:
        permit.exit()


#   old, new                                                                  what it means
EFFECTS = [
    (LIMIT, f"{LIMIT}, mode: shadow", "it refuses nobody any more, and goes on counting"),
    (f"{LIMIT}, mode: shadow", LIMIT, "it refuses from now on, and what it has counted so far counts"),
    (LIMIT, f"{LIMIT}, mode: off", "it is not asked any more"),
    (f"{LIMIT}, mode: off", LIMIT, "it is asked again"),
    (f"{LIMIT}, mode: off", f"{LIMIT}, mode: shadow", "it is asked again, and only watches"),
    (f"{LIMIT}, key: user, enforce: 10%", f"{LIMIT}, key: user, enforce: 50%", "it is enforced for more keys; those that are enforced in both stay the same ones"),
    (f"{LIMIT}, key: user", f"{LIMIT}, key: user, enforce: 50%", "it is enforced for fewer keys; those that are enforced in both stay the same ones"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "meaning"), EFFECTS)
def test_what_a_change_of_mode_means(old, new, meaning):
    (change,) = differences(parsed(old), parsed(new)).changes
    assert [meaning] == list(effects(change))


#   old, new, what it says of where the state is kept
PLACES = [
    (LIMIT, f"{LIMIT}, scope: local", "afresh: it is counted in each process from now on (without a store, nothing changes)"),
    (f"{LIMIT}, scope: local", LIMIT, "afresh: it is counted in the guard's store from now on (without a store, nothing changes)"),
    (BULKHEAD, f"{BULKHEAD}, scope: shared", "afresh: places are counted by leases in the store from now on (without a store, nothing changes)"),
    (f"{LIMIT}, key: user, overrides: {{ann: 5/s}}", f"{LIMIT}, key: user", "kept: what was used stays used; keys with another override are rescaled"),
    (LIMIT, LIMIT + ", except: [b]", "kept: what was used stays used"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), PLACES)
def test_where_it_is_kept(old, new, says):
    (change,) = differences(parsed(old), parsed(new)).changes
    state = state_after(change)
    assert says == f"{state.fate}: {state.sentence}"


def test_a_shared_limit_without_a_key_is_kept_under_its_resource():
    other = RuleSet.parse(f"version: 1\nrules:\n  - {{name: it, resource: [a, b], {LIMIT}}}\n")
    (change,) = differences(parsed(LIMIT), other).changes
    assert (
        "in a store it starts afresh, because there a state without a key is kept under the resource"
        in state_after(change).sentence
    )
