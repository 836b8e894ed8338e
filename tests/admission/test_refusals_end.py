"""What ends the memory of a refusal: whatever may make it untrue."""

import asyncio

import pytest

from tests.admission.scene import S, breaker, decided, guard_of, held, limit
from tests.admission.shared_scene import alone_or_not, asks, spent

# -- what ends it ------------------------------------------------------------------------------------------------------


@alone_or_not
def test_giving_back_ends_it(store, shared, others):
    guard = shared(limit("10/min"), *others)
    permit = held(guard, cost=10)
    assert not decided(guard).allowed
    permit.settle(7)
    assert decided(guard).allowed


def test_what_is_given_back_at_an_exit_ends_it(store, shared):
    guard = shared(limit("1/min", charge="failure"))
    permit = held(guard)
    assert not decided(guard).allowed
    permit.exit()
    assert decided(guard).allowed


@alone_or_not
def test_a_deficit_that_is_charged_later_is_not_forgotten(clock, shared, others):
    guard, local = shared(limit("10/min"), *others), guard_of(clock, limit("10/min"), *others)
    said = []
    for one in (guard, local):
        permit = held(one, cost=10)
        decided(one)
        permit.settle(20)
        said.append(decided(one))
    assert said[0] == said[1]


@alone_or_not
@pytest.mark.parametrize("step_us", [1, S])
def test_a_clock_that_steps_back_ends_it(clock, store, shared, others, step_us):
    guard = spent(shared(limit("10/min"), *others))
    clock.set_us(clock.now_us() - step_us)
    assert [1, 0] == [asks(store, lambda: decided(guard)) for _ in range(2)]
    assert 6.0 == decided(guard).retry_after


@alone_or_not
def test_a_reload_ends_it(store, shared, others):
    guard = spent(shared(limit("10/min"), *others))
    guard.apply([limit("10/min"), *others])
    assert 1 == asks(store, lambda: decided(guard))


def test_a_rule_in_code_that_is_changed_ends_it(clock, store):
    guard = guard_of(clock, store=store)

    def call():
        pass

    guard.limit("10/min", name="r")(call)
    spent(guard)
    with pytest.warns(UserWarning, match="replace"):
        guard.limit("20/min", name="r")(call)
    assert decided(guard).allowed


@pytest.mark.parametrize("key", [None, "u1"])
def test_reset_ends_it(store, shared, key):
    guard = spent(shared(limit("10/min", key="user"), limit("5/min", resource="s")), attributes={"user": "u1"})
    for _ in range(2):
        decided(guard, "s", cost=3)
    guard.reset("r/limit", key)
    assert decided(guard, attributes={"user": "u1"}).allowed
    assert 0 == asks(store, lambda: decided(guard, "s", cost=3))


# -- an answer that is older than what was given back ------------------------------------------------------------------


def waiting(store, guard, meanwhile):
    """Let *meanwhile* happen while a refusal is on its way."""

    def once():
        store.meanwhile = lambda: None
        meanwhile()

    store.meanwhile = once
    return decided(guard)


LATE = limit("1/h", charge="failure")


@pytest.mark.parametrize(
    "act",
    [
        lambda guard, permit: permit.exit(),
        lambda guard, permit: guard.reset("r/limit"),
        lambda guard, permit: asyncio.run(guard.areset("r/limit")),
    ],
    ids=["giving back", "reset", "areset"],
)
def test_a_refusal_that_was_on_its_way_meanwhile_is_not_remembered(store, shared, act):
    guard = shared(LATE, breaker())
    permit = held(guard)
    assert not waiting(store, guard, lambda: act(guard, permit)).allowed
    assert decided(guard).allowed


def test_what_happens_to_others_meanwhile_does_not_matter(store, shared):
    guard = shared(limit("1/h", key="user"), breaker())
    for user in ("u1", "u2"):
        decided(guard, attributes={"user": user})
    permit = held(guard, attributes={"user": "u3"})
    waiting(store, guard, lambda: permit.settle(2))
    assert not decided(guard).allowed


@alone_or_not
def test_what_a_call_that_is_broken_off_was_granted_ends_it(store, shared, others):
    """Between the grant and its end, another call is refused: that is untrue as soon as the grant is given back."""
    guard, heard = shared(limit("1/min"), *others), []

    def interrupt():
        store.meanwhile = lambda: None
        heard.append(decided(guard).allowed)
        raise KeyboardInterrupt

    store.meanwhile = interrupt
    with pytest.raises(KeyboardInterrupt):
        decided(guard)
    assert [False] == heard
    assert decided(guard).allowed


def test_what_another_guard_gives_back_ends_it(store, shared):
    one, other = shared(limit("10/min")), shared(limit("10/min"))
    permit = held(one, cost=10)
    assert not decided(other).allowed
    permit.settle(7)
    assert decided(other).allowed
