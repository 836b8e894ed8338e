"""While the store cannot be asked, each rule's policy decides; and no error of a store reaches the call."""

import asyncio

import pytest

from guardrail import RateLimited
from guardrail.telemetry.events import CallRefused
from tests.admission.scene import bulkhead, decided, guard_of, held, inside, left, limit, shown
from tests.admission.shared_scene import AWAY, alone_or_not, both

BESIDE = bulkhead(99, name="places")


# -- each policy -------------------------------------------------------------------------------------------------------


@both
@alone_or_not
def test_allow_lets_everybody_in_and_counts_nobody(away, shared, decided, others):
    guard = shared(limit("1/min", on_store_error="allow"), *others)
    assert [(True, None, 1)] * 3 == [(one.allowed, one.remaining, one.limit) for one in _first(guard, decided, 3)]
    away.outage = None
    assert 0 == decided(guard).remaining


def _first(guard, decided, times):
    return [decided(guard).verdicts[0] for _ in range(times)]


@both
@alone_or_not
def test_deny_refuses_as_long_as_the_store_is_away(away, shared, decided, news, others):
    guard = shared(limit("1/min", on_store_error="deny"), *others)
    decision = decided(guard)
    assert (False, "store_unavailable", 0.25) == (decision.allowed, decision.reason, decision.retry_after)
    assert ("r/limit", "limit", 1) == (decision.rule, decision.kind, decision.limit)
    assert [("store_unavailable", decision)] == [(event.reason, event.decision) for event in news.of(CallRefused)]
    away.outage = None
    assert decided(guard).allowed


def test_the_refusal_says_so(away, shared):
    guard = shared(limit("1/min", on_store_error="deny"))
    with pytest.raises(
        RateLimited, match="r: the store behind rule 'r/limit' is unavailable and the rule denies without it"
    ):
        guard.enter("r").__enter__()


@both
@alone_or_not
@pytest.mark.parametrize(("processes", "share"), [(1, 10), (2, 5), (3, 3), (4, 2), (99, 1)])
def test_local_is_this_processes_share(away, shared, decided, others, processes, share):
    away.processes = processes
    guard = shared(limit("10/min"), *others)
    said = [decided(guard) for _ in range(share + 1)]
    assert [*range(share)][::-1] == [one.remaining for one in said[:-1]]
    assert ("rate", share, 6.0 * processes) == (said[-1].reason, said[-1].limit, said[-1].retry_after)


@both
@pytest.mark.parametrize("key", [None, "user"])
def test_the_share_is_counted_exactly(clock, away, shared, decided, key):
    """A third of a token comes back in a second, and is not rounded from call to call."""
    away.processes = 3
    guard, local = shared(limit("60/min", key=key)), guard_of(clock, limit("60/3m", burst=20, key=key))
    for cost in [19, 1, 2, 1, 1, 0, 3, 1, 1, 2, 1]:
        said = [decided(one, cost=cost) for one in (guard, local)]
        rows = [(one.allowed, one.remaining, one.retry_after, one.reset_after) for one in said]
        assert rows[0] == rows[1]
        clock.advance(1)


def test_a_share_is_enforced_for_the_same_keys(away, shared):
    """Also where the key is so long that this process knows it by a digest."""
    guard = shared(limit("1/min", key="user", enforce="50%"))
    kept_out = 0
    for number in range(20):
        said = [decided(guard, attributes={"user": "x" * 200 + str(number)}) for _ in range(2)]
        assert [False] * len(said[1].verdicts) == [one.shadow for one in said[1].verdicts]
        kept_out += not said[1].allowed
    assert 0 < kept_out < 20


@both
def test_overrides_are_divided_too(away, shared, decided):
    away.processes = 4
    rates = {"u2": "8/min", "u3": None}
    guard = shared(
        limit("40/min", name="n", key="user", overrides={"u1": "20/min"}), BESIDE, overrides={"n": rates.get}
    )
    for user, share in {"u1": 5, "u2": 2, "u3": 10}.items():
        assert [share, share] == [decided(guard, attributes={"user": user}, cost=cost).limit for cost in (share, 1)]
        assert "rate" == decided(guard, attributes={"user": user}).reason


@both
def test_a_share_that_waits_waits(away, shared, decided):
    away.processes = 2
    guard = shared(limit("1/s", burst=1, max_wait="5s"))
    assert [0, 2.0] == [decided(guard).wait for _ in range(2)]


def test_what_was_used_is_remembered_from_outage_to_outage(clock, store, shared):
    """The share may be another by then."""
    guard = shared(limit("60/min"))
    store.outage, store.processes = AWAY, 3
    assert 19 == decided(guard).remaining
    store.outage = None
    assert 59 == decided(guard).remaining
    store.outage, store.processes = AWAY, 2
    assert 28 == decided(guard).remaining
    clock.advance(4)
    assert 29 == decided(guard).remaining
    guard.apply([limit("60/min"), BESIDE])
    assert 28 == decided(guard).remaining


def test_reset_forgets_the_share_as_well(store, shared):
    store.outage = AWAY
    guard = shared(limit("1/min"))
    assert [True, False] == [decided(guard).allowed for _ in range(2)]
    guard.reset("r/limit")
    assert decided(guard).allowed


# -- several rules -----------------------------------------------------------------------------------------------------


@both
def test_each_rule_goes_by_its_own_policy(away, shared, decided):
    guard = shared(
        limit("5/min", name="a", on_store_error="allow"),
        limit("6/min", name="l", on_store_error="local"),
        limit("7/min", name="h", scope="local"),
        limit("8/min", name="s", mode="shadow", on_store_error="deny"),
    )
    assert [("a", True, None, None), ("l", True, None, 5), ("h", True, None, 6)] == shown(decided(guard))
    assert 1 == len(away.asked)


@both
def test_one_that_denies_leaves_the_others_uncharged(away, shared, decided):
    guard = shared(
        limit("5/min", name="d", on_store_error="deny"),
        limit("6/min", name="l", on_store_error="local"),
        limit("7/min", name="h", scope="local"),
        bulkhead(1),
    )
    rows = [("d", False, "store_unavailable", None), ("l", True, None, 6), ("h", True, None, 7)]
    assert [rows, rows] == [[row for row in shown(decided(guard)) if row[0] in "dlh"] for _ in range(2)]
    assert (6, 7, 0) == (left(guard, "l"), left(guard, "h"), inside(guard))


@both
def test_a_share_that_is_used_up_leaves_the_others_uncharged(away, shared, decided):
    guard = shared(
        limit("1/min", name="l"),
        limit("9/min", name="m"),
        limit("5/min", name="a", on_store_error="allow"),
        limit("7/min", name="h", scope="local"),
    )
    assert decided(guard).allowed
    rows = [("l", False, "rate", 0), ("m", True, None, 8), ("a", True, None, None), ("h", True, None, 6)]
    assert [rows, rows] == [shown(decided(guard)) for _ in range(2)]


@both
@alone_or_not
def test_a_cost_that_is_too_large_is_not_charged_to_the_share_either(away, shared, decided, others):
    guard = shared(limit("6/min", name="l"), *others)
    assert ["cost_too_large", None] == [decided(guard, cost=cost).reason for cost in (2**60, 6)]


@both
def test_rules_that_only_watch_are_silent(away, shared, decided, news):
    guard = shared(limit("1/min", mode="shadow", on_store_error="deny"), limit("1/min", name="l", mode="shadow"))
    assert [[], []] == [shown(decided(guard)) for _ in range(2)]
    assert [] == news.events


@both
def test_peek_says_what_would_happen_without_the_store(away, shared, decided):
    away.processes = 2
    guard = shared(limit("10/min", name="l"), limit("5/min", name="a", on_store_error="allow"))
    for one in [guard.peek("r"), asyncio.run(guard.apeek("r")), decided(guard)]:
        assert [("l", True, None, 4), ("a", True, None, None)] == shown(one)
    guard = shared(limit("10/min", name="l"), limit("5/min", name="d", on_store_error="deny"))
    assert [("l", True, None, 5), ("d", False, "store_unavailable", None)] == shown(guard.peek("r"))


# -- what was granted without the store --------------------------------------------------------------------------------


@alone_or_not
def test_what_was_allowed_uncounted_is_not_settled(away, shared, others):
    guard = shared(limit("100/min", on_store_error="allow"), *others)
    permits = [held(guard, cost=10) for _ in range(2)]
    away.outage = None
    permits[0].settle(50)
    permits[1].settle(1)
    permits[0].exit()
    assert ([], []) == (away.owed, away.refunds)


@alone_or_not
def test_the_share_is_settled_here(away, shared, others):
    guard = shared(limit("100/min", name="n"), *others)
    permit = held(guard, cost=10)
    permit.settle(4)
    assert 96 == left(guard, "n")
    permit.settle(30)
    assert (70, [], []) == (left(guard, "n"), away.owed, away.refunds)


def test_the_share_that_only_failures_pay_is_given_back_here(away, shared):
    guard = shared(limit("100/min", name="n", charge="failure"))
    held(guard, cost=10).exit()
    held(guard, cost=10).exit(failed=True)
    assert (90, []) == (left(guard, "n"), away.refunds)


def test_a_settlement_that_does_not_reach_the_store_is_lost(store, shared):
    guard = shared(limit("100/min"))
    permit = held(guard, cost=10)
    store.outage = AWAY
    permit.settle(50)
    permit.settle(0)
    store.outage = None
    assert 90 == store.only_left()


def test_a_lost_reply_is_not_asked_for_again(store, shared):
    """Nobody knows whether the store has charged: here it had."""
    guard = shared(limit("100/min", on_store_error="allow"))
    store.outage, store.charges_unheard = AWAY, True
    held(guard, cost=10).exit()
    assert (1, [], 90) == (len(store.asked), store.refunds, store.only_left())
