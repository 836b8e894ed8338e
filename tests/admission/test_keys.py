"""Two calls share a state exactly when the values of the rule's key are equal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wrapt import ObjectProxy

from guardrail.admission.call import LONGEST_KEY, Call, _warn_once, bounded, falls_within, key_of, subjects_for, text_of
from guardrail.admission.keyring import OVERFLOW
from tests.admission.scene import breaker, bulkhead, decided, guard_of, held, left, limit, queued

TEXTS = (
    st.text("1:=a", max_size=3)
    | st.text(max_size=6)
    | st.sampled_from(["", "1:a", "u=v", "1", "\0", "\0overflow", "x" * 200, "x" * 201])
)


def keys_for(parts, values):
    """The keys of this process for values given by hand."""
    return [bounded(subject) for subject in subjects_for(parts, values)]


def call_of(**attributes):
    return Call("r", attributes.get)


NAMES = st.sampled_from(["user", "client.ip", "header.x", "header.x-1", "u", "v"])


# -- what a key is made of ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("u1", "u1"),
        ("", ""),
        (None, ""),
        (7, "7"),
        (True, "True"),
        (1.5, "1.5"),
        (("a", 1), "('a', 1)"),
    ],
)
def test_a_value_counts_as_its_text(value, text):
    assert text == text_of(value) == key_of((("user",),), call_of(user=value).get)


def test_integers_of_more_digits_than_python_writes_are_told_from_one_another():
    """A client may well send them as JSON."""
    values = 10**10_000, 10**10_000 + 1, "x"
    assert 3 == len({text_of(value) for value in values})
    assert [text_of(value) for value in values] == [text_of(value) for value in values]


class Bare:
    """Has an id, but no text of its own: Python writes its address, another one at every call."""

    id = 7

    def name(self):
        return "ann"


class Silent:
    """Does not say what it is."""

    def __str__(self):
        raise KeyError("name")


class Torn:
    """A proxy whose object is gone."""

    @property
    def __class__(self):
        raise RuntimeError("working outside of request context")


def later():
    yield


WITHOUT_TEXT = {
    "an object": Bare,
    "a proxy of one": lambda: ObjectProxy(Bare()),
    "a method that nobody called": lambda: Bare().name,
    "a function": lambda: later,
    "a generator": later,
    "one that cannot be written": Silent,
    "a proxy of nothing": Torn,
}


@pytest.mark.parametrize("make", WITHOUT_TEXT.values(), ids=WITHOUT_TEXT)
def test_a_value_without_a_text_of_its_own_is_missing(make):
    assert "" == text_of(make())
    assert key_of((("user",),), call_of().get) == key_of((("user",),), call_of(user=make()).get)
    either = (("user", "client.ip"),)
    assert "client.ip=::1" == key_of(either, call_of(user=make(), **{"client.ip": "::1"}).get)
    assert subjects_for((("user",),), [None]) == subjects_for((("user",),), [make()])


class Named(Bare):
    def __repr__(self):
        return "ann"


@pytest.mark.parametrize("value", [Named(), ObjectProxy(Named()), Bare, 7.0, b"ann", {"a": 1}], ids=str)
def test_a_value_has_a_text_where_its_class_says_how_it_is_written(value):
    assert str(value) == text_of(value)


def test_callers_without_a_text_of_their_own_share_a_limit(clock):
    guard = guard_of(clock, limit(rate="1/min", key="user"))
    assert [True, False] == [bool(guard.try_enter("r", {"user": Bare()})) for _ in range(2)]


def test_the_log_names_such_an_attribute_once(caplog):
    _warn_once.cache_clear()
    for _ in range(3):
        text_of(Bare(), "account")
        text_of(Silent(), "account")
        text_of(Bare())
    rest = "so it counts as missing; name a part of it, such as"
    assert [
        f"attribute 'account' is of type Bare, which has no text of its own, {rest} account.id",
        f"attribute 'account' is of type Silent, which cannot be written as text (KeyError), {rest} account.id",
        f"an attribute is of type Bare, which has no text of its own, {rest} user.id",
    ] == caplog.messages


@given(st.lists(TEXTS, min_size=2, max_size=4), st.lists(TEXTS, min_size=2, max_size=4))
def test_composite_keys_are_encoded_injectively(some, others):
    if len(some) == len(others):
        parts = tuple((str(place),) for place in range(len(some)))
        keys = [key_of(parts, {str(place): value for place, value in enumerate(row)}.get) for row in (some, others)]
        assert (some == others) == (keys[0] == keys[1])


@given(TEXTS, TEXTS)
def test_single_keys_are_encoded_injectively(one, other):
    keys = [key_of((("user",),), {"user": value}.get) for value in (one, other)]
    assert (one == other) == (keys[0] == keys[1])


@given(st.tuples(NAMES, TEXTS), st.tuples(NAMES, TEXTS))
def test_alternatives_are_tagged_with_the_name_that_was_present(one, other):
    """The same value under another name is somebody else; the empty value is missing, under whatever name."""
    names = tuple(dict.fromkeys([one[0], other[0]]))
    if len(names) == 1:
        names += ("another",)
    keys = [key_of((names,), dict([row]).get) for row in (one, other)]
    assert (one == other or (one[1], other[1]) == ("", "")) == (keys[0] == keys[1])


@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_keys_given_by_hand_are_those_of_calls(values):
    parts = tuple((str(place),) for place in range(len(values)))
    get = {str(place): value for place, value in enumerate(values)}.get
    assert [key_of(parts, get)] == keys_for(parts, values)


@given(TEXTS)
def test_no_key_is_encoded_to_that_of_the_overflow_state(value):
    """Not even one that quotes the source: there is a secret of this process in it."""
    assert OVERFLOW not in keys_for((("user",),), [value])


@pytest.mark.parametrize("length", [LONGEST_KEY - 1, LONGEST_KEY, LONGEST_KEY + 1, 1_000_000])
def test_long_keys_are_digested_and_short_ones_are_not(length):
    value = "x" * length
    [key] = keys_for((("user",),), [value])
    assert (key == value) == (length <= LONGEST_KEY)
    assert len(key) <= LONGEST_KEY
    assert [key] != keys_for((("user",),), [value[:-1] + "y"])


def test_a_text_that_is_no_unicode_has_a_digest_too():
    assert 1 == len(keys_for((("user",),), ["\udcff" * 200]))


# -- as callers see it -------------------------------------------------------------------------------------------------


def remaining(guard, **attributes):
    return decided(guard, attributes=attributes).remaining


def test_each_value_has_a_state_of_its_own(clock):
    guard = guard_of(clock, limit("3/min", key="user"))
    assert [2, 2, 1, 2] == [remaining(guard, user=user) for user in ("u1", "u2", "u1", "u3")]


def test_callers_without_the_attribute_share_one(clock):
    guard = guard_of(clock, limit("3/min", key="user"))
    assert [2, 1, 0] == [remaining(guard), remaining(guard, user=None), remaining(guard, user="")]


def test_a_number_and_its_text_are_the_same(clock):
    guard = guard_of(clock, limit("3/min", key="user"))
    assert [2, 1] == [remaining(guard, user=1), remaining(guard, user="1")]


def test_the_first_alternative_that_is_present_counts(clock):
    guard = guard_of(clock, limit("9/min", key="user|client.ip"))
    known = {"user": "u1", "client.ip": "10.0.0.7"}
    assert [8, 7, 8, 8, 7] == [
        remaining(guard, **known),
        remaining(guard, user="u1"),
        remaining(guard, **{"client.ip": "10.0.0.7"}),
        remaining(guard, **{"client.ip": "u1"}),  # an address that looks like a user is not that user
        remaining(guard, **{"user": "", "client.ip": "u1"}),
    ]


def test_callers_with_none_of_the_alternatives_share_one(clock):
    guard = guard_of(clock, limit("9/min", key="user|client.ip"))
    assert [8, 7] == [remaining(guard), remaining(guard, user="")]


def test_the_resource_is_an_attribute_of_every_call(clock):
    guard = guard_of(clock, limit("3/min", key="resource", resource="r*"))
    assert [2, 2, 1] == [decided(guard, resource).remaining for resource in ("r1", "r2", "r1")]


def test_a_resource_given_as_attribute_does_not_pass_for_the_resource(clock):
    guard = guard_of(clock, limit("3/min", key="resource"))
    assert [2, 1] == [remaining(guard, resource="elsewhere"), remaining(guard)]


# -- forgetting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "attributes", "reset"),
    [
        ("user", {"user": "u1"}, "u1"),
        ("user", {"user": "7"}, 7),
        ("user", {"user": ""}, ""),
        ("user", {"user": "x" * 500}, "x" * 500),
        (["user", "tenant"], {"user": "u1", "tenant": "t1"}, ["u1", "t1"]),
        (["user", "tenant"], {"user": "u1"}, ("u1", "")),
        (["user", "tenant"], {"user": "u1"}, ("u1", None)),
        ("user|client.ip", {"user": "u1"}, "u1"),
        ("user|client.ip", {"client.ip": "10.0.0.7"}, "10.0.0.7"),
        ("user|client.ip", {}, ""),
        (["user|client.ip", "tenant"], {"client.ip": "10.0.0.7", "tenant": "t1"}, ["10.0.0.7", "t1"]),
    ],
)
def test_reset_forgets_the_state_of_one_key(clock, key, attributes, reset):
    guard = guard_of(clock, limit("3/min", key=key))
    other = {"user": "somebody", "tenant": "else", "client.ip": "10.9.9.9"}
    decided(guard, attributes=attributes, cost=2)
    decided(guard, attributes=other, cost=2)
    guard.reset("r/limit", reset)
    assert (3, 1) == tuple(guard.peek("r", one, cost=0).remaining for one in (attributes, other))


def test_reset_without_a_key_forgets_the_whole_rule_and_no_other(clock):
    guard = guard_of(clock, limit("3/min", key="user"), limit("5/min", name="other", key="user"))
    for user in ("u1", "u2"):
        decided(guard, attributes={"user": user}, cost=3)
    guard.reset("r/limit")
    for user in ("u1", "u2"):
        assert [3, 2] == [one.remaining for one in guard.peek("r", {"user": user}, cost=0).verdicts]


def test_reset_of_an_unkeyed_rule_and_of_its_key_that_is_none(clock):
    guard = guard_of(clock, limit("3/min"))
    decided(guard, cost=3)
    guard.reset("r/limit")
    assert 3 == left(guard)
    with pytest.raises(ValueError, match="has no key"):
        guard.reset("r/limit", "u1")


def test_reset_of_what_was_never_used_does_nothing(clock):
    guard = guard_of(clock, limit("3/min", key="user"), breaker(key="user"), bulkhead(key="user"))
    for rule in ("r/limit", "r/breaker", "r/bulkhead"):
        guard.reset(rule)
        guard.reset(rule, "u1")
    assert decided(guard).allowed


@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window", "fixed_window", "sliding_log"])
def test_reset_works_for_every_algorithm(clock, algorithm):
    for key in ({}, {"key": "user"}):
        guard = guard_of(clock, limit("3/min", algorithm=algorithm, **key))
        decided(guard, attributes={"user": "u1"}, cost=3)
        assert "rate" == decided(guard, attributes={"user": "u1"}).reason
        guard.reset("r/limit", "u1" if key else None)
        assert 2 == decided(guard, attributes={"user": "u1"}).remaining


def test_reset_of_a_key_that_has_no_breaker_does_nothing(clock):
    guard = guard_of(clock, breaker(consecutive_failures=1, key="user"))
    held(guard, attributes={"user": "u1"}).exit(OSError())
    guard.reset("r/breaker", "u2")
    assert ["r/breaker/u1"] == list(guard.breakers)


def test_a_key_given_by_hand_has_as_many_values_as_the_rule_has_parts():
    with pytest.raises(ValueError, match="the key has 2 parts, got 1 values"):
        keys_for((("user",), ("tenant",)), ["u1"])


def test_reset_of_a_breaker_closes_it_and_of_one_key_only_that(clock):
    guard = guard_of(clock, breaker(consecutive_failures=1, key="user"))
    for user in ("u1", "u2", "u3"):
        held(guard, attributes={"user": user}).exit(OSError())
    guard.reset("r/breaker", "u1")
    states = [guard.breakers[f"r/breaker/{user}"].state for user in ("u1", "u2", "u3")]
    assert ["closed", "open", "open"] == states
    guard.reset("r/breaker")
    assert ["closed"] * 3 == [guard.breakers[f"r/breaker/{user}"].state for user in ("u1", "u2", "u3")]


def test_reset_of_a_bulkhead_throws_nobody_out(clock):
    guard = guard_of(clock, bulkhead())
    holder = held(guard)
    guard.reset("r/bulkhead")
    assert "bulkhead_full" == decided(guard).reason
    holder.exit()
    assert (0, True) == (queued(guard), decided(guard).allowed)


# -- a share of the keys -----------------------------------------------------------------------------------------------


def test_the_enforced_share_of_keys_is_stable_and_of_the_right_size():
    within = [falls_within(1, 10, "rule", f"user-{number}") for number in range(20_000)]
    assert 0.09 < sum(within) / len(within) < 0.11
    assert within == [falls_within(1, 10, "rule", f"user-{number}") for number in range(20_000)]


def test_a_larger_share_contains_the_smaller_one():
    for number in range(2_000):
        rising = [falls_within(percent, 100, "rule", f"user-{number}") for percent in (0, 1, 10, 50, 99, 100)]
        assert sorted(rising) == rising
        assert (False, True) == (rising[0], rising[-1])


def test_the_share_is_another_one_for_another_rule():
    one, other = ([falls_within(1, 2, rule, str(number)) for number in range(200)] for rule in ("a", "b"))
    assert one != other
