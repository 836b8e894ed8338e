"""Forgetting what a rule has counted: for one key, or for all."""

import asyncio

import pytest

from guardrail import Guard
from tests.decorators.scene import inside

RULES = [
    {"resource": "r", "kind": "limit", "rate": "1/h"},
    {"name": "per-user", "resource": "u", "kind": "limit", "rate": "1/h", "key": "user"},
    {"name": "pair", "resource": "p", "kind": "limit", "rate": "1/h", "key": ["user", "tenant"]},
    {"name": "either", "resource": "e", "kind": "limit", "rate": "1/h", "key": "user|client.ip"},
    {"name": "windowed", "resource": "w", "kind": "limit", "rate": "1/h", "algorithm": "sliding_log"},
    {"name": "broken", "resource": "b", "kind": "breaker", "consecutive_failures": 1, "key": "host"},
    {"name": "full", "resource": "f", "kind": "bulkhead", "max_concurrent": 1},
]


@pytest.fixture
def guard(clock, news):
    return Guard(RULES, clock=clock, listeners=[news])


def spent(guard, resource, **attributes):
    """Use the one token up, if it is there."""
    permit = guard.try_enter(resource, {name.replace("_", "."): value for name, value in attributes.items()})
    permit.exit()
    return not permit


@pytest.mark.parametrize("name", ["r", "w"])
def test_a_rule_without_a_key_forgets_its_one_state(guard, name):
    assert [False, True] == [spent(guard, name), spent(guard, name)]
    guard.reset({"r": "r/limit", "w": "windowed"}[name])
    assert [False, True] == [spent(guard, name), spent(guard, name)]


def test_one_key_is_forgotten_and_the_others_are_not(guard):
    assert [False, False] == [spent(guard, "u", user="u1"), spent(guard, "u", user="u2")]
    guard.reset("per-user", "u1")
    assert [False, True] == [spent(guard, "u", user="u1"), spent(guard, "u", user="u2")]


def test_all_keys_are_forgotten(guard):
    for user in "ab":
        spent(guard, "u", user=user)
    guard.reset("per-user")
    assert [False, False] == [spent(guard, "u", user=user) for user in "ab"]


@pytest.mark.parametrize("key", [["u1", "acme"], ("u1", "acme")])
def test_a_composite_key_is_a_list(guard, key):
    spent(guard, "p", user="u1", tenant="acme")
    guard.reset("pair", ["acme", "u1"])
    assert spent(guard, "p", user="u1", tenant="acme")
    guard.reset("pair", key)
    assert not spent(guard, "p", user="u1", tenant="acme")


def test_of_alternatives_whichever_had_the_value_is_forgotten(guard):
    spent(guard, "e", user="x")
    spent(guard, "e", client_ip="x")
    guard.reset("either", "x")
    assert [False, False] == [spent(guard, "e", user="x"), spent(guard, "e", client_ip="x")]


def test_a_number_is_the_text_it_reads_as(guard):
    spent(guard, "u", user=7)
    guard.reset("per-user", 7)
    assert not spent(guard, "u", user="7")


def test_breakers_close(guard):
    for host in "ab":
        guard.try_enter("b", {"host": host}).exit(OSError())
    guard.reset("broken", "a")
    assert ["closed", "open"] == [guard.breakers[f"broken/{host}"].state for host in "ab"]
    guard.reset("broken")
    assert "closed" == guard.breakers["broken/b"].state
    guard.reset("broken", "never seen")


def test_whoever_is_inside_a_bulkhead_stays_inside(guard):
    permit = guard.try_enter("f")
    guard.reset("full")
    assert 1 == inside(guard)
    permit.exit()
    assert 0 == inside(guard)


def test_what_was_never_used_is_forgotten_already(guard):
    for name in ("r/limit", "broken", "full"):
        guard.reset(name)


def test_the_async_twin_does_the_same(guard):
    spent(guard, "u", user="u1")
    asyncio.run(guard.areset("per-user", "u1"))
    assert not spent(guard, "u", user="u1")


def test_rules_in_code_are_reset_by_their_names_and_by_those_files_give_them(guard):
    call = guard.limit("1/h", key="user", name="c")(lambda user: user)
    call("u1")
    guard.reset("c/limit", "u1")
    call("u1")
    guard.apply([{"name": "tuned", "resource": "c", "kind": "limit", "rate": "1/h"}])
    guard.reset("tuned", "u1")
    assert "u1" == call("u1")
    with pytest.raises(KeyError):
        guard.reset("c/limit")


WRONG = [
    ("r/limits", None, KeyError, "no rule 'r/limits'; did you mean 'r/limit'?"),
    ("nothing of the kind", None, KeyError, "no rule 'nothing of the kind'"),
    ("r/limit", "u1", ValueError, "rule 'r/limit' has no key, so there is one state: leave out 'u1'"),
    ("pair", "u1", ValueError, "the key has 2 parts, got 1 values"),
    ("per-user", ["u1", "acme"], ValueError, "the key has 1 parts, got 2 values"),
]


@pytest.mark.parametrize(("rule", "key", "error", "message"), WRONG)
def test_mistakes_are_told_of(guard, rule, key, error, message):
    with pytest.raises(error) as raised:
        guard.reset(rule, key)
    assert message in raised.value.args[0]
