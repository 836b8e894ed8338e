"""What was used stays used when a rate changes: rescaled on first touch, by the formula of the design."""

from math import gcd

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.testing import FakeClock
from tests.admission.scene import START_US, S, breaker, bulkhead, decided, guard_of, held, left, limit


class Model:
    """One token bucket as the design writes it down, with the numbers its debt was last written in."""

    def __init__(self, numbers, now_us):
        self.numbers = self.written = numbers
        self.debt, self.last_us = 0, now_us

    @staticmethod
    def units(numbers):
        amount, period_us, burst, max_wait_us = numbers
        divisor = gcd(amount, period_us)
        r, p = amount // divisor, period_us // divisor
        return r, p, burst * p, max_wait_us

    def now(self, now_us):
        """The debt in the numbers of now, drained."""
        r, p, full, max_wait_us = self.units(self.numbers)
        debt = self.debt
        if self.written[:3] != self.numbers[:3]:
            debt = -(-debt // self.units(self.written)[1]) * p
            debt = min(debt, full + max_wait_us * r)
        return max(0, debt - (now_us - self.last_us) * r)

    def ask(self, now_us, cost):
        """(allowed, remaining, retry_after_us, wait_us), and the charge is made."""
        r, p, full, max_wait_us = self.units(self.numbers)
        debt = self.now(now_us)
        short = debt + cost * p - full
        wait_us = max(0, -(-short // r))
        if cost * p > full:
            return False, max(0, full - debt) // p, None, 0
        if wait_us > max_wait_us:
            return False, max(0, full - debt) // p, wait_us - max_wait_us, 0
        self.debt, self.last_us, self.written = debt + cost * p, now_us, self.numbers
        return True, max(0, full - self.debt) // p, None, wait_us


RATES = {"10/s": (10, S), "3/s": (3, S), "7/11s": (7, 11 * S), "100/min": (100, 60 * S), "1/h": (1, 3600 * S)}
CHANGES = st.tuples(st.sampled_from(sorted(RATES)), st.sampled_from([None, 1, 4, 30]), st.sampled_from(["0s", "5s"]))
STEPS = st.one_of(
    st.tuples(st.just("spend"), st.integers(1, 12)),
    st.tuples(st.just("pass"), st.sampled_from([1, 99_999, S, 7 * S, 60 * S])),
    st.tuples(st.just("change"), CHANGES),
    st.tuples(st.just("change"), CHANGES),
)


def numbers_of(change):
    rate, burst, max_wait = change
    amount, period_us = RATES[rate]
    return amount, period_us, burst or amount, 5 * S if max_wait == "5s" else 0


def rule_of(change, **fields):
    rate, burst, max_wait = change
    return limit(rate, max_wait=max_wait, **({"burst": burst} if burst else {}), **fields)


@pytest.mark.parametrize("key", [None, "user"])
@given(CHANGES, st.lists(STEPS, max_size=25))
def test_a_history_of_changes(key, first, steps):
    clock = FakeClock(START_US)
    fields = {"key": key} if key else {}
    guard, model = guard_of(clock, rule_of(first, **fields)), Model(numbers_of(first), START_US)
    for step, what in steps:
        match step:
            case "pass":
                clock.set_us(clock.now_us() + what)
            case "change":
                guard.apply([rule_of(what, **fields)])
                model.numbers = numbers_of(what)
            case _:
                allowed, remaining, retry_after_us, wait_us = model.ask(clock.now_us(), what)
                decision = decided(guard, attributes={"user": "u1"}, cost=what)
                expected = allowed, remaining, None if retry_after_us is None else retry_after_us / S, wait_us / S
                assert expected == (decision.allowed, decision.remaining, decision.retry_after, decision.wait)


@given(st.lists(STEPS, max_size=25))
@settings(max_examples=50)
def test_a_history_of_changes_of_an_override(steps):
    """The rule's own rate stays; that of one key changes with the file."""
    clock = FakeClock(START_US)
    own = (100, 60 * S, 100, 0)
    guard, model = guard_of(clock, limit("100/min", key="user")), Model(own, START_US)
    bystander = Model(own, START_US)
    for step, what in steps:
        match step:
            case "pass":
                clock.set_us(clock.now_us() + what)
            case "change":
                rate = what[0]
                guard.apply([limit("100/min", key="user", overrides={"u1": rate})])
                model.numbers = (*RATES[rate], RATES[rate][0], 0)
            case _:
                for user, expected in (("u1", model), ("u2", bystander)):
                    decision = decided(guard, attributes={"user": user}, cost=what)
                    assert expected.ask(clock.now_us(), what)[:2] == (decision.allowed, decision.remaining)


# -- by hand -----------------------------------------------------------------------------------------------------------

keyed_or_not = pytest.mark.parametrize("fields", [{}, {"key": "user"}])


def used(guard, cost):
    return decided(guard, attributes={"user": "u1"}, cost=cost)


@keyed_or_not
@pytest.mark.parametrize(
    ("before", "spent", "after", "remaining"),
    [
        # what was used stays used, in whole tokens of the new kind
        ("10/min", 4, "20/min", 16),
        ("10/min", 10, "20/min", 10),
        ("20/min", 10, "10/min", 0),
        ("20/min", 15, "10/min", 0),  # never more than what a full bucket holds
        ("20/min", 5, "10/h", 5),
        ("10/s", 4, "10/min", 6),
    ],
)
def test_rows(clock, fields, before, spent, after, remaining):
    guard = guard_of(clock, limit(before, **fields))
    used(guard, spent)
    guard.apply([limit(after, **fields)])
    assert remaining == used(guard, 0).remaining


@keyed_or_not
def test_a_change_back_before_anybody_called_changes_nothing(clock, fields):
    """An operator's slip is no gift to an abuser: nothing was touched in the meantime."""
    guard = guard_of(clock, limit("100/min", **fields))
    used(guard, 100)
    guard.apply([limit("10/min", **fields)])
    guard.apply([limit("100/min", **fields)])
    assert 0 == used(guard, 0).remaining


@keyed_or_not
def test_a_debt_drains_at_the_new_rate_from_the_time_of_its_last_write(clock, fields):
    guard = guard_of(clock, limit("60/min", **fields))
    used(guard, 60)
    clock.advance(10)
    guard.apply([limit("60/h", **fields)])
    clock.advance(50)
    assert 1 == used(guard, 0).remaining


@keyed_or_not
def test_many_changes_in_a_row_are_one(clock, fields):
    guard = guard_of(clock, limit("100/min", **fields))
    used(guard, 50)
    for amount in range(101, 120):
        guard.apply([limit(f"{amount}/min", **fields)])
    assert 119 - 50 == used(guard, 0).remaining


@keyed_or_not
def test_each_of_many_changes_counts_where_it_is_touched(clock, fields):
    guard = guard_of(clock, limit("100/min", **fields))
    for amount in range(101, 120):
        used(guard, 1)
        guard.apply([limit(f"{amount}/min", **fields)])
    assert 119 - 19 == used(guard, 0).remaining


def test_each_key_is_rescaled_from_the_numbers_it_was_last_written_in(clock):
    """Whether that was one change ago or nine; and one that is written again belongs to the newest."""
    guard = guard_of(clock, limit("100/min", key="user"))
    for amount in range(110, 200, 10):
        decided(guard, attributes={"user": f"u{amount}"}, cost=50)
        decided(guard, attributes={"user": "always"}, cost=1)
        guard.apply([limit(f"{amount}/min", key="user")])
    remaining = [guard.peek("r", {"user": f"u{amount}"}, cost=0).remaining for amount in range(110, 200, 10)]
    assert ([190 - 50] * 9, 190 - 9) == (remaining, guard.peek("r", {"user": "always"}, cost=0).remaining)
    clock.advance(30)
    for amount in range(110, 200, 10):
        assert decided(guard, attributes={"user": f"u{amount}"}, cost=190).allowed
    assert 10 == len(guard.ledger.limits["r/limit"])


@keyed_or_not
@pytest.mark.parametrize("algorithm", ["sliding_window", "fixed_window", "sliding_log"])
def test_windows_keep_what_they_have_counted(clock, fields, algorithm):
    guard = guard_of(clock, limit("10/min", algorithm=algorithm, **fields))
    used(guard, 7)
    guard.apply([limit("8/min", algorithm=algorithm, **fields)])
    assert 1 == used(guard, 0).remaining
    guard.apply([limit("20/2min", algorithm=algorithm, **fields)])
    assert (True, 10) == (used(guard, 3).allowed, used(guard, 0).remaining)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"algorithm": "fixed_window"}, {"algorithm": "sliding_window"}),
        ({}, {"algorithm": "sliding_window"}),
        ({}, {"key": "user"}),
        ({"key": "user"}, {"key": ["user", "tenant"]}),
        ({"key": "user"}, {}),
    ],
)
def test_another_algorithm_or_key_starts_fresh(clock, before, after):
    guard = guard_of(clock, limit("10/min", **before))
    used(guard, 7)
    guard.apply([limit("10/min", **after)])
    assert 10 == used(guard, 0).remaining


def test_another_kind_under_the_same_name_starts_fresh(clock):
    guard = guard_of(clock, limit("10/min", name="rule"))
    used(guard, 7)
    guard.apply([bulkhead(3, name="rule")])
    assert 3 == used(guard, 0).limit
    guard.apply([limit("10/min", name="rule")])
    assert 10 == used(guard, 0).remaining


def test_a_rule_that_was_gone_starts_fresh(clock):
    guard = guard_of(clock, limit("10/min"))
    used(guard, 7)
    guard.apply([])
    assert used(guard, 100).allowed
    guard.apply([limit("10/min")])
    assert 10 == used(guard, 0).remaining


@keyed_or_not
def test_unchanged_rules_notice_nothing(clock, fields):
    guard = guard_of(clock, limit("10/min", **fields))
    used(guard, 7)
    states = guard.ledger.limits["r/limit"]
    guard.apply([limit("10/min", **fields), limit("9/min", name="other")])
    assert states is guard.ledger.limits["r/limit"]
    assert 3 == used(guard, 0).remaining


def test_a_breaker_keeps_its_state_and_its_window(clock):
    guard = guard_of(clock, breaker(min_calls=4, open_for="5s"))
    for _ in range(2):
        held(guard).exit(OSError())
    guard.apply([breaker(min_calls=3, open_for="9s")])
    held(guard).exit(OSError())
    assert ("open", 9.0) == (guard.breakers["r/breaker"].state, decided(guard).retry_after)
    guard.apply([breaker(min_calls=3, open_for="9s")])
    guard.apply([breaker(min_calls=3, open_for="1s", window="7s")])
    assert ("open", 1.0) == (guard.breakers["r/breaker"].state, decided(guard).retry_after)


def test_a_breaker_with_another_window_begins_to_count_anew(clock):
    guard = guard_of(clock, breaker(min_calls=2))
    held(guard).exit(OSError())
    guard.apply([breaker(min_calls=2, window="7s")])
    held(guard).exit(OSError())
    assert (1, "closed") == (guard.breakers["r/breaker"].snapshot().calls, guard.breakers["r/breaker"].state)


def test_the_revision_of_a_call_counts_from_entry_to_exit(clock):
    """It is settled by the rule that admitted it, and what it owes is owed by the rule as it is now."""
    guard = guard_of(clock, limit("10/min"))
    permit = held(guard, cost=2)
    guard.apply([limit("20/min")])
    permit.settle(5)
    assert 15 == left(guard)
    assert 10 == permit.decision.limit


@keyed_or_not
def test_a_call_from_before_a_change_decides_by_its_own_numbers_and_counts_in_the_new_ones(clock, fields):
    guard = guard_of(clock, limit("10/min", **fields))
    plan = guard._plan("r")
    guard.apply([limit("20/min", **fields)])
    guard._in_force.plans["r"] = plan  # it had been found already
    assert (10, 6) == (used(guard, 4).limit, used(guard, 0).remaining)
    guard._in_force.plans.clear()
    assert (20, 16) == (used(guard, 0).limit, used(guard, 0).remaining)
