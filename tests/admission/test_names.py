"""Rules in code and in files meet by name, and breakers are found by it."""

import pytest

from guardrail import RuleError
from guardrail.admission.host import Host
from guardrail.decorators.face import Decorators
from tests.admission.scene import breaker, decided, guard_of, held, limit


def in_force(guard, resource="f"):
    return sorted((one.rule, one.limit) for one in guard.peek(resource).verdicts)


@pytest.fixture
def guard(clock):
    """A guard of a function with two limits in code."""
    guard = guard_of(clock)

    @guard.limit("5/s", name="f")
    @guard.limit("100/h", name="f")
    def call():
        return None

    return guard


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], [("f/limit/2", 5), ("f/limit", 100)]),
        # by name, or by resource and kind; a rule without a key in the file keeps what is in code
        ([limit("7/s", resource="f", name="f/limit")], [("f/limit/2", 5), ("f/limit", 7)]),
        ([limit("7/s", resource="f")], [("f/limit/2", 5), ("f/limit", 7)]),
        ([limit("7/s", resource="f", name="tuned")], [("f/limit/2", 5), ("tuned", 7)]),
        ([limit("7/s", resource="f", name="f/limit/2")], [("f/limit/2", 7), ("f/limit", 100)]),
        ([limit("7/s", resource="elsewhere", name="f/limit/2")], [("f/limit/2", 7), ("f/limit", 100)]),
        # patterns and other kinds are added
        ([limit("7/s", resource="*", name="all")], [("f/limit/2", 5), ("f/limit", 100), ("all", 7)]),
        ([limit("7/s", resource=["f", "g"], name="both")], [("f/limit/2", 5), ("f/limit", 100), ("both", 7)]),
        ([breaker(resource="f")], [("f/limit/2", 5), ("f/limit", 100), ("f/breaker", None)]),
    ],
)
def test_a_file_takes_over_the_rule_in_code_of_its_name(guard, rules, expected):
    guard.apply(rules)
    assert sorted(expected) == in_force(guard)


def test_one_that_is_taken_over_is_the_same_rule_wherever_the_file_applies_it(guard):
    guard.apply([limit("7/s", resource=["f", "g"], name="f/limit")])
    decided(guard, "f", cost=3)
    assert [("f/limit", 7)] == in_force(guard, "g")
    assert 4 == guard.peek("g", cost=0).remaining


def test_a_file_may_not_make_another_kind_of_a_rule_in_code(guard):
    with pytest.raises(RuleError, match="is a limit in code"):
        guard.apply([breaker(resource="f", name="f/limit")])
    assert [("f/limit", 100), ("f/limit/2", 5)] == in_force(guard)


def test_breakers_are_found_by_the_names_of_their_rules_and_keys(clock):
    guard = guard_of(
        clock,
        breaker(name="one"),
        breaker(name="each", resource="r.*"),
        breaker(name="by/user", key="user"),
        breaker(name="whole", key=[]),
        limit(name="limit"),
    )
    assert ["one", "whole"] == list(guard.breakers)
    assert "closed" == guard.breakers["each/r.x"].state  # it exists from the first look
    assert "closed" == guard.breakers["by/user/u/1"].state
    assert ["one", "each/r.x", "by/user/u/1", "whole"] == list(guard.breakers)
    assert (4, True, False) == (len(guard.breakers), "one" in guard.breakers, "limit" in guard.breakers)
    assert "<Breaker 'one': closed>" == repr(guard.breakers["one"])
    held(guard, attributes={"user": "u/1"}).exit(OSError())
    assert 1 == guard.breakers["by/user/u/1"].snapshot().failures


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("each", "has a breaker for each key: write 'each/key'"),
        ("limit", "no breaker 'limit'; there are one, each/..."),
        ("one/more", "no breaker 'one/more'; there are one, each/..."),
        ("", "no breaker ''"),
    ],
)
def test_a_breaker_that_is_not_there(clock, name, words):
    guard = guard_of(clock, breaker(name="one"), breaker(name="each", resource="r.*"), limit(name="limit"))
    with pytest.raises(KeyError, match=words):
        guard.breakers[name]


def test_a_breaker_whose_rule_was_taken_away_says_so(clock):
    guard = guard_of(clock, breaker(name="one"))
    one = guard.breakers["one"]
    guard.apply([limit(name="one")])
    with pytest.raises(KeyError, match="its rule was taken away"):
        one.force_open()


def test_where_there_are_no_breakers_the_error_says_so(clock):
    with pytest.raises(KeyError, match="there are none"):
        guard_of(clock).breakers["any"]


class Desk:
    """A guard, as far as a host looks at it."""


def test_rules_in_code_wait_for_the_guard():
    """A module is imported, and its functions decorated, before anybody has made the default guard."""
    host = Host()
    Decorators(host).limit("3/s", name="f")(lambda: None)
    assert (3, None) == (host.inline.of("f")[0].rate.amount, host.desk)


def test_a_host_makes_its_guard_at_the_first_call_that_needs_it():
    made = []

    def make():
        made.append(1)
        host.desk = desk

    desk, host = Desk(), Host(make)
    assert (desk, desk, [1]) == (host.current(), host.current(), made)


def test_a_host_makes_one_guard_however_many_need_it_at_once():
    def make():
        pytest.fail("another thread has made it meanwhile")

    class Late(Host):
        __slots__ = ("looked",)

        @property
        def desk(self):
            """There is none at the first look, and one at the second, when the lock is held."""
            self.looked = getattr(self, "looked", 0) + 1
            return None if self.looked == 1 else desk

        @desk.setter
        def desk(self, value):
            pass

    desk = Desk()
    assert desk is Late(make).current()
