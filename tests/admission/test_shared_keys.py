"""What goes to the store, and under which key; and that looking and forgetting reach it there."""

import asyncio
from hashlib import blake2b

import pytest

from guardrail import Guard
from tests.admission.scene import (
    START_US,
    breaker,
    bulkhead,
    decided,
    guard_of,
    held,
    left,
    limit,
    shown,
)
from tests.admission.shared_scene import HERE, alone_or_not, both, digest, keys

# -- what goes to the store, and under which key -----------------------------------------------------------------------


@both
def test_what_is_local_stays_out_of_the_store(store, shared, decided):
    guard = shared(limit("5/min", **HERE), bulkhead(2), breaker())
    decided(guard)
    assert [] == store.asked


@pytest.mark.parametrize("url", ["", "memory://"])
def test_without_a_store_everything_is_local(clock, url):
    guard = guard_of(clock, limit("2/min"), store=url)
    decided(guard)
    assert 1 == left(guard)


@pytest.mark.parametrize("user", ["u1", "", "ü", "\0", "\0" + "0" * 32, "x" * 128, "x" * 129, "\ud800", "y" * 5_000])
def test_limits_on_one_subject_share_a_tag_that_all_processes_make_alike(store, shared, user):
    guard = shared(limit("5/min", name="minute", key="user"), limit("9/h", name="hour", key="user"))
    held(guard, attributes={"user": user})
    tag = blake2b(user.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    assert [[f"{{{tag}}}:minute", f"{{{tag}}}:hour"]] == keys(store)


@alone_or_not
@pytest.mark.parametrize("user", ["u1", "\0x", "x" * 129])
def test_a_keyed_limit_is_kept_under_the_digest_of_the_key(store, shared, others, user):
    guard = shared(limit("5/min", name="n", key="user"), *others)
    for _ in range(2):
        held(guard, attributes={"user": user})
    assert [[f"{{{digest(user)}}}:n"]] * 2 == keys(store)
    assert 3 == store.only_left()


def test_a_composite_key_is_one_subject(store, shared):
    guard = shared(limit("5/min", name="n", key=["user", "tenant"]))
    held(guard, attributes={"user": "1:", "tenant": "a"})
    held(guard, attributes={"user": "1", "tenant": ":a"})
    assert [[f"{{{digest('2:1:1:a')}}}:n"], [f"{{{digest('1:12::a')}}}:n"]] == keys(store)


def test_a_limit_without_a_key_is_kept_under_its_resources(store, shared):
    guard = shared(limit("5/min", name="n", resource=["r", "s.*"]))
    for resource in ("r", "s.1"):
        held(guard, resource)
    assert [[f"{{{digest('r, s.*')}}}:n"]] * 2 == keys(store)


def test_more_keys_than_are_remembered_are_found_all_the_same(store, shared, monkeypatch):
    monkeypatch.setattr("guardrail.admission.shared.MOST_PLACES", 2)
    guard = shared(limit("5/min", name="n", key="user"))
    for user in "abcabc":
        held(guard, attributes={"user": user})
    assert [[f"{{{digest(user)}}}:n"] for user in "abcabc"] == keys(store)
    assert 2 == len(guard._plan("r").gates[0].shared._places)


def test_a_rule_in_code_is_kept_under_its_name_also_where_a_file_takes_it_over(clock, store):
    guard = Guard([{"name": "n", "kind": "limit", "resource": "f", "rate": "5/min"}], clock=clock, store=store)

    @guard.limit("9/min", name="f")
    def call():
        pass

    call()
    assert [[f"{{{digest('f')}}}:f/limit"]] == keys(store)
    assert 4 == store.only_left()


# -- looking, and forgetting -------------------------------------------------------------------------------------------


def apeeked(guard, **options):
    return asyncio.run(guard.apeek("r", **options))


def peeked(guard, **options):
    return guard.peek("r", **options)


@pytest.mark.parametrize("peeked", [peeked, apeeked])
def test_peek_asks_the_store_and_leaves_no_trace(clock, store, shared, peeked):
    guard = shared(limit("5/min", name="a"), limit("9/min", name="b", mode="shadow"), limit("7/min", name="c", **HERE))
    held(guard, cost=2)
    before = dict(store.kept)
    rows = [("a", True, None, 2), ("b", True, None, 6), ("c", True, None, 4)]
    assert [rows, rows] == [shown(peeked(guard)) for _ in range(2)]
    refused = [("a", False, "rate", 3), ("c", True, None, 5)]
    assert [refused, refused] == [shown(peeked(guard, cost=4)) for _ in range(2)]
    clock.advance(-5)
    peeked(guard)
    assert (before, [], 5) == (store.kept, store.refunds, left(guard, "c"))


@pytest.mark.parametrize("peeked", [peeked, apeeked])
def test_peek_says_what_a_wait_would_be_and_does_not_wait(clock, shared, peeked):
    guard = shared(limit("1/s", burst=1, max_wait="5s"))
    held(guard)
    assert (True, 1.0, START_US) == (peeked(guard).allowed, peeked(guard).wait, clock.now_us())


def test_peek_does_not_ask_the_store_where_something_else_refuses(store, shared):
    guard = shared(limit("5/min"), breaker())
    guard.breakers["r/breaker"].force_open()
    assert "breaker_forced" == guard.peek("r").reason
    assert [] == store.asked


def reset(guard, *what):
    guard.reset(*what)


def areset(guard, *what):
    asyncio.run(guard.areset(*what))


@pytest.mark.parametrize("reset", [reset, areset])
@alone_or_not
def test_reset_forgets_one_key_here_and_in_the_store(store, shared, reset, others):
    guard = shared(limit("1/min", name="n", key="user"), *others)
    for user in ("u1", "u2") * 2:
        held(guard, attributes={"user": user})
    reset(guard, "n", "u1")
    assert [("n", [f"{{{digest('u1')}}}:n"])] == store.forgotten
    assert [True, False] == [bool(held(guard, attributes={"user": user})) for user in ("u1", "u2")]


@pytest.mark.parametrize("reset", [reset, areset])
def test_reset_of_a_long_key_reaches_it_too(store, shared, reset):
    guard = shared(limit("1/min", name="n", key="user"))
    held(guard, attributes={"user": "x" * 500})
    reset(guard, "n", "x" * 500)
    assert held(guard, attributes={"user": "x" * 500})


@pytest.mark.parametrize("reset", [reset, areset])
def test_reset_of_a_rule_forgets_all_of_it(store, shared, reset):
    guard = shared(limit("1/min", name="n", key="user"), limit("1/min", name="other", key="user", resource="s"))
    for resource in "rs":
        held(guard, resource, {"user": "u1"})
    reset(guard, "n")
    assert [("n", None)] == store.forgotten
    assert [True, False] == [bool(held(guard, resource, {"user": "u1"})) for resource in "rs"]


@pytest.mark.parametrize("reset", [reset, areset])
def test_reset_of_a_local_rule_leaves_the_store_alone(store, shared, reset):
    guard = shared(limit("1/min", **HERE))
    held(guard)
    reset(guard, "r/limit")
    assert ([], 1) == (store.forgotten, left(guard))
