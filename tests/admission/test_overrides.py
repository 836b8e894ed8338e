"""Other rates for single keys: from the rule itself, and from elsewhere."""

import logging

import pytest

from guardrail.admission import overrides as rates_from_elsewhere
from tests.admission.scene import bulkhead, decided, guard_of, held, limit
from tests.locks import is_locked

# -- in the rule -------------------------------------------------------------------------------------------------------


def capacity(guard, user="u1", rule="r/limit"):
    """The capacity that holds for a key."""
    [verdict] = [one for one in guard.peek("r", {"user": user}, cost=0).verdicts if one.rule == rule]
    return verdict.limit


@pytest.mark.parametrize(
    ("fields", "own", "vip"),
    [
        ({}, 10, 50),
        ({"burst": 3}, 3, 3),  # a burst that is written holds for all
        ({"algorithm": "sliding_window"}, 10, 50),
        ({"algorithm": "fixed_window"}, 10, 50),
        ({"algorithm": "sliding_log"}, 10, 50),
        ({"algorithm": "leaky_bucket", "max_wait": "1s"}, 1, 1),
    ],
)
def test_an_override_replaces_the_rate_and_the_burst_unless_that_is_written(clock, fields, own, vip):
    guard = guard_of(clock, limit("10/min", key="user", overrides={"vip": "50/min"}, **fields))
    assert (own, vip) == (capacity(guard), capacity(guard, "vip"))


def test_an_override_counts_by_itself(clock):
    guard = guard_of(clock, limit("1/min", key="user", overrides={"vip": "3/min"}))
    assert [True, True, True, False] == [decided(guard, attributes={"user": "vip"}).allowed for _ in range(4)]
    assert [True, False] == [decided(guard, attributes={"user": "u1"}).allowed for _ in range(2)]


def test_an_override_of_a_long_key_is_found(clock):
    user = "x" * 500
    guard = guard_of(clock, limit("1/min", key="user", overrides={user: "3/min"}))
    assert 3 == capacity(guard, user)


def test_a_state_moves_with_its_rate(clock):
    """The key is promoted in the file, then demoted; what it used stays used."""
    guard = guard_of(clock, limit("10/min", key="user"))
    decided(guard, attributes={"user": "u1"}, cost=8)
    guard.apply([limit("10/min", key="user", overrides={"u1": "50/min"})])
    assert 42 == decided(guard, attributes={"user": "u1"}, cost=0).remaining
    decided(guard, attributes={"user": "u1"}, cost=1)
    guard.apply([limit("10/min", key="user")])
    assert 1 == decided(guard, attributes={"user": "u1"}, cost=0).remaining


# -- from elsewhere ----------------------------------------------------------------------------------------------------


class Plans:
    """A table of plans that counts how often it is asked, and can be out of order."""

    def __init__(self, **rates):
        self.rates = rates
        self.asked = []
        self.broken = False

    def __call__(self, key):
        self.asked.append(key)
        if self.broken:
            raise ConnectionError
        return self.rates.get(key)


def guarded(clock, plans, rule=None, **options):
    return guard_of(clock, rule or limit("10/min", key="user"), overrides={"r/limit": plans}, **options)


def test_the_answer_is_the_rate_of_the_key_and_none_means_the_rules_own(clock):
    guard = guarded(clock, Plans(gold="50/min", silver="20/min"))
    assert [50, 20, 10] == [capacity(guard, user) for user in ("gold", "silver", "lead")]


@pytest.mark.parametrize("rate", ["50/min", "50 per 1 minute", "0.5/s"])
def test_a_rate_is_written_as_in_a_rule(clock, rate):
    guard = guarded(clock, Plans(gold=rate))
    assert {"50/min": 50, "50 per 1 minute": 50, "0.5/s": 1}[rate] == capacity(guard, "gold")


def test_a_rate_may_be_one_that_was_parsed(clock):
    from guardrail.rules.units import parse_rate

    assert 50 == capacity(guarded(clock, Plans(gold=parse_rate("50/min"))), "gold")


def test_it_goes_before_the_overrides_of_the_rule(clock):
    guard = guarded(clock, Plans(gold="50/min"), limit("10/min", key="user", overrides={"gold": "9/min", "b": "8/min"}))
    assert [50, 8, 10] == [capacity(guard, user) for user in ("gold", "b", "c")]


def test_a_key_is_asked_for_at_most_once_a_minute(clock):
    plans = Plans(gold="50/min")
    guard = guarded(clock, plans)
    for _ in range(3):
        capacity(guard, "gold")
        capacity(guard, "lead")
    assert ["gold", "lead"] == plans.asked
    clock.advance(59.999_999)
    capacity(guard, "gold")
    assert 2 == len(plans.asked)
    clock.advance(0.000_001)
    plans.rates["gold"] = "70/min"
    assert (70, ["gold", "lead", "gold"]) == (capacity(guard, "gold"), plans.asked)


def test_a_clock_that_steps_back_makes_it_ask_again(clock):
    plans = Plans()
    guard = guarded(clock, plans)
    capacity(guard)
    clock.advance(-1)
    capacity(guard)
    assert 2 == len(plans.asked)


def test_on_an_error_the_last_value_stays(clock, caplog):
    plans = Plans(gold="50/min")
    guard = guarded(clock, plans)
    capacity(guard, "gold")
    plans.broken = True
    for _ in range(5):
        clock.advance(60)
        assert 50 == capacity(guard, "gold")
        assert 50 == capacity(guard, "gold")
    assert 6 == len(plans.asked)  # an outage is not asked more often either
    assert ["a rate lookup failed; the last known rate stays"] * 5 == caplog.messages
    assert {("guardrail.overrides", logging.WARNING)} == {(one.name, one.levelno) for one in caplog.records}
    plans.broken = False
    plans.rates["gold"] = "70/min"
    clock.advance(60)
    assert 70 == capacity(guard, "gold")


def test_on_an_error_at_first_the_rules_own_rate_holds(clock):
    plans = Plans(gold="50/min")
    plans.broken = True
    guard = guarded(clock, plans)
    assert 10 == capacity(guard, "gold")
    plans.broken = False
    assert 10 == capacity(guard, "gold")
    clock.advance(60)
    assert 50 == capacity(guard, "gold")


@pytest.mark.parametrize("rate", ["fifty", "", 0, [], "9007199254740993/us", object()])
def test_an_answer_that_is_no_rate_is_an_error(clock, rate, caplog):
    plans = Plans(gold="50/min")
    guard = guarded(clock, plans)
    capacity(guard, "gold")
    plans.rates["gold"] = rate
    clock.advance(60)
    assert (50, 1) == (capacity(guard, "gold"), len(caplog.records))


def test_an_interruption_is_no_error_and_takes_nothing(clock):
    def interrupted(key):
        raise KeyboardInterrupt

    guard = guarded(clock, interrupted, None)
    with pytest.raises(KeyboardInterrupt):
        guard.try_enter("r")


@pytest.mark.parametrize("change", ["rate", "nothing", "mode", "decorator"])
def test_what_was_last_known_outlives_a_change_of_the_rules(clock, change):
    """An operator edits a file while the database is away: nobody loses his plan for it."""
    plans = Plans(gold="50/min")
    guard = guarded(clock, plans)
    capacity(guard, "gold")
    plans.broken = True
    match change:
        case "rate":
            guard.apply([limit("20/min", key="user")])
        case "nothing":
            guard.apply([limit("10/min", key="user"), bulkhead(3)])
        case "mode":
            guard.mode = "off"
            guard.mode = "enforce"
        case _:
            guard.limit("1/s", name="other")(lambda: None)
    assert 50 == capacity(guard, "gold")
    assert 1 == len(plans.asked)
    clock.advance(60)
    assert 50 == capacity(guard, "gold")


def test_a_rate_that_does_not_fit_the_changed_rule_is_an_error(clock, caplog):
    plans = Plans(gold="20000/min")
    guard = guarded(clock, plans)
    assert 20_000 == capacity(guard, "gold")
    guard.apply([limit("10/min", key="user", algorithm="sliding_log")])
    assert (10, 1) == (capacity(guard, "gold"), len(caplog.records))


def test_a_burst_that_is_written_meets_the_rate_as_it_is_known(clock):
    guard = guarded(clock, Plans(gold="50/min"))
    assert 50 == capacity(guard, "gold")
    guard.apply([limit("10/min", key="user", burst=7)])
    assert 7 == capacity(guard, "gold")


def test_only_so_many_answers_are_remembered(clock, monkeypatch):
    monkeypatch.setattr(rates_from_elsewhere, "MOST_RATES", 10)
    plans = Plans()
    guard = guarded(clock, plans)
    for number in range(1_000):
        capacity(guard, f"u{number}")
    plans.asked.clear()
    for number in range(1_000):
        capacity(guard, f"u{number}")
    assert 990 <= len(plans.asked) <= 1_000


def test_a_rule_without_a_key_may_have_its_rate_from_elsewhere(clock):
    plans = Plans(**{"": "50/min"})
    guard = guarded(clock, plans, limit("10/min"))
    assert (50, [""]) == (capacity(guard), plans.asked)
    assert 49 == decided(guard).remaining


def test_it_is_asked_without_the_lock(clock):
    """It may be slow, and it may call the guard itself."""

    def plan(key):
        assert not is_locked(guard.ledger.lock)
        return "50/min" if decided(guard, "lookups").allowed else None

    guard = guarded(clock, plan)
    assert 50 == capacity(guard, "gold")


def test_a_name_that_is_no_rule_is_never_asked(clock):
    plans = Plans()
    guard = guard_of(clock, limit(key="user"), overrides={"elsewhere": plans})
    held(guard, attributes={"user": "u1"})
    assert [] == plans.asked
