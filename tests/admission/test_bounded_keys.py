"""Keys are bounded: what is full again makes room, what is in use stays, and who rotates keys wins nothing by it."""

import gc
import sys
import tracemalloc

import pytest

from guardrail.admission import object_states
from guardrail.telemetry.events import KeysOverflowed
from tests.admission.scene import ByHand, breaker, bulkhead, decided, guard_of, held, inside, limit

ALGORITHMS = ["token_bucket", "sliding_window", "fixed_window", "sliding_log"]


def spend(guard, *users, cost=1):
    """Which of these users get in."""
    return [decided(guard, attributes={"user": user}, cost=cost).allowed for user in users]


def remaining(guard, user, resource="r"):
    return guard.peek(resource, {"user": user}, cost=0).remaining


def users(count, name="u"):
    return [f"{name}{number}" for number in range(count)]


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_attacker_who_rotates_keys_never_gets_a_fresh_burst(clock, news, algorithm):
    """All states are in use, so that further keys share one."""
    guard = guard_of(clock, limit("3/min", key="user", algorithm=algorithm), max_keys=10, listeners=[news])
    assert all(spend(guard, *users(10), cost=3))
    assert [True] * 3 + [False] * 47 == spend(guard, *users(50, "new"))
    assert not any(spend(guard, *users(10)))
    assert [("r/limit", 10)] == [(event.rule, event.max_keys) for event in news.of(KeysOverflowed)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_states_that_are_full_again_make_room(clock, news, algorithm):
    guard = guard_of(clock, limit("3/min", key="user", algorithm=algorithm), max_keys=10, listeners=[news])
    for _ in range(5):
        assert all(spend(guard, *users(10), cost=3))
        clock.advance(66)
        assert all(spend(guard, *users(10, "new"), cost=3))
        assert not any(spend(guard, *users(10, "new")))
        clock.advance(66)
    assert [] == news.of(KeysOverflowed)


def test_idle_states_go_first(clock):
    """The one that is in use outlives a hundred times as many as there is room for."""
    guard = guard_of(clock, limit("6/min", key="user"), max_keys=20)
    spend(guard, "busy", cost=6)
    for number in range(2_000):
        assert spend(guard, f"u{number}") == [True]
        if number % 10 == 9:
            clock.advance(10)
            assert spend(guard, "busy") == [True]
            assert spend(guard, "busy") == [False]


def test_who_was_in_the_shared_state_gets_one_of_his_own_when_there_is_room(clock):
    guard = guard_of(clock, limit("3/min", key="user"), max_keys=2)
    spend(guard, "u1", "u2", cost=3)
    assert (3, 1) == (remaining(guard, "new"), [spend(guard, "new", cost=2), remaining(guard, "other")][1])
    clock.advance(60)
    assert [True, False] == spend(guard, "new", "new", cost=3)


def test_other_rules_are_not_hurt(clock):
    guard = guard_of(
        clock, limit("3/min", key="user", name="a"), limit("3/min", key="user", resource="s", name="b"), max_keys=5
    )
    spend(guard, *users(100))
    assert [2] * 5 == [decided(guard, "s", {"user": user}).remaining for user in users(5)]


def test_the_event_comes_once_until_the_rule_is_reset(clock, news):
    guard = guard_of(clock, limit("3/min", key="user"), max_keys=2, listeners=[news])
    for _ in range(2):
        spend(guard, *users(20))
        assert not any(spend(guard, *users(2, "more"), cost=3))
    assert 1 == len(news.of(KeysOverflowed))
    guard.reset("r/limit")
    assert 3 == remaining(guard, "more0")
    spend(guard, *users(20))
    assert 2 == len(news.of(KeysOverflowed))


@pytest.mark.parametrize("touch", ["peek", "cost 0", "refused by another rule", "reset"])
def test_what_charges_nothing_takes_no_room(clock, news, touch):
    """However often a key is looked at, it takes the room of one; others find all the rest."""
    guard = guard_of(
        clock,
        limit("3/min", key="user", name="r/limit"),
        limit("1/min", when={"plan": "free"}, name="free"),
        max_keys=40,
        listeners=[news],
    )
    decided(guard, attributes={"user": "u0", "plan": "free"})
    assert all(spend(guard, *users(30), cost=2))
    for _ in range(500):
        match touch:
            case "peek":
                guard.peek("r", {"user": "often"})
            case "cost 0":
                decided(guard, attributes={"user": "often"}, cost=0)
            case "refused by another rule":
                assert "free" == decided(guard, attributes={"user": "often", "plan": "free"}).rule
            case _:
                guard.reset("r/limit", "often")
                spend(guard, "often")
    assert all(spend(guard, "often", *users(9, "new"), cost=2))
    assert not any(spend(guard, *users(30), *users(9, "new"), cost=2))
    assert [] == news.of(KeysOverflowed)


def test_keys_with_rates_of_their_own_are_bounded_too(clock):
    """Their states are kept apart, and make room alike."""
    overrides = dict.fromkeys(users(100), "9/min")
    guard = guard_of(clock, limit("3/min", key="user", overrides=overrides), max_keys=10)
    assert all(spend(guard, *users(10), cost=9))
    assert 9 == sum(spend(guard, *users(100)[10:]))
    clock.advance(60)
    assert all(spend(guard, *users(100)[10:20], cost=9))
    assert len(guard.ledger.limits["r/limit"]) <= 11


def test_keys_from_before_a_change_of_rate_are_bounded_too(clock):
    guard = guard_of(clock, limit("3/min", key="user"), max_keys=10)
    for amount in range(4, 12):
        spend(guard, *users(10, f"{amount}-"))
        guard.apply([limit(f"{amount}/min", key="user")])
        clock.advance(60)
    assert len(guard.ledger.limits["r/limit"]) <= 11


def test_one_key_is_enough_for_a_bound(clock):
    guard = guard_of(clock, limit("3/min", key="user"), max_keys=1)
    assert [True, True, True, True, False] == spend(guard, "u1", "u2", "u2", "u2", "u2")


def test_decorated_functions_rotate_keys_alike(clock, news):
    guard = guard_of(clock, max_keys=10, listeners=[news])

    @guard.limit("3/min", key="user", name="f", fallback=False)
    def call(user):
        return True

    assert all(call(user) for user in users(10) * 3)
    assert 3 == sum(call(user) for user in users(50, "new"))
    assert not any(call(user) for user in users(10))
    assert 1 == len(news.of(KeysOverflowed))


# -- breakers and bulkheads --------------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(object_states, "MOST_OBJECTS", 10)


def test_open_half_open_and_forced_breakers_are_never_dropped(clock, few):
    guard = guard_of(clock, breaker(key="user", consecutive_failures=1, window="1s", open_for="1s", half_open_calls=2))
    held(guard, attributes={"user": "half_open"}).exit(OSError())
    clock.advance(1)
    held(guard, attributes={"user": "half_open"})
    held(guard, attributes={"user": "open"}).exit(OSError())
    guard.breakers["r/breaker/forced_open"].force_open()
    guard.breakers["r/breaker/forced_closed"].force_closed()
    for number in range(500):
        decided(guard, attributes={"user": f"u{number}"})
        clock.advance(0.5)
    for name in ("half_open", "open", "forced_open", "forced_closed"):
        assert name == guard.breakers[f"r/breaker/{name}"].state
    assert len(guard.breakers) <= 10


def test_a_breaker_with_failures_in_its_window_is_not_dropped(clock, few):
    guard = guard_of(clock, breaker(key="user", min_calls=2, window="1h"))
    held(guard, attributes={"user": "u"}).exit(OSError())
    clock.advance(3000)
    for number in range(100):
        guard.breakers[f"r/breaker/u{number}"].state  # noqa: B018  it exists from the first look
    held(guard, attributes={"user": "u"}).exit(OSError())
    assert "open" == guard.breakers["r/breaker/u"].state


def test_breakers_of_further_keys_share_one(clock, few, news):
    guard = guard_of(clock, breaker(key="user", consecutive_failures=1), listeners=[news])
    for user in users(10):
        held(guard, attributes={"user": user}).exit(OSError())
    held(guard, attributes={"user": "new"}).exit(OSError())
    assert "breaker_open" == decided(guard, attributes={"user": "newer"}).reason
    assert [KeysOverflowed("r/breaker", 10)] == news.of(KeysOverflowed)


def test_bulkheads_with_somebody_inside_or_waiting_are_never_dropped(clock, few):
    guard = guard_of(clock, bulkhead(key="user", max_wait="1h"))
    holder = held(guard, attributes={"user": "busy"})
    waiting = ByHand(guard, attributes={"user": "busy"})
    for user in users(200):
        decided(guard, attributes={"user": user})
    holder.exit()
    assert waiting.go_on().is_in
    assert "bulkhead_full" == decided(guard, attributes={"user": "busy"}, max_wait=0).reason
    assert len(guard.ledger.bulkheads["r/bulkhead"].states) <= 10


def test_bulkheads_of_further_keys_share_one(clock, few, news):
    guard = guard_of(clock, bulkhead(key="user"), listeners=[news])
    for user in users(10):
        held(guard, attributes={"user": user})
    held(guard, attributes={"user": "new"})
    assert "bulkhead_full" == decided(guard, attributes={"user": "newer"}).reason
    assert (11, [KeysOverflowed("r/bulkhead", 10)]) == (inside(guard), news.of(KeysOverflowed))


def test_a_compiled_plan_never_loses_the_state_it_holds_on_to(clock, few):
    """Even where nothing has happened for so long that anybody else's would make room."""
    guard = guard_of(clock, breaker(consecutive_failures=1, resource="**"))

    @guard.guarded("f")
    def call(error=None):
        if error:
            raise error

    call()
    clock.advance(60)
    for number in range(200):
        decided(guard, f"other{number}")
        clock.advance(1)
    with pytest.raises(OSError, match="away"):
        call(OSError("away"))
    assert "breaker_open" == guard.peek("f").reason


def test_a_child_has_room_for_bulkheads_like_its_parent(clock, few, news):
    """After a fork the states are gone, and so are their places on the ring."""
    guard = guard_of(clock, bulkhead(key="user"), listeners=[news])
    for _ in range(3):
        for user in users(8):
            held(guard, attributes={"user": user})
        guard.after_fork()
    for user in users(10):
        assert held(guard, attributes={"user": user})
    assert [] == news.of(KeysOverflowed)


# -- memory ------------------------------------------------------------------------------------------------------------


def touch(guard, clock, keys):
    """Charge a limit under these keys, as calls do, a thousand in a turn."""
    states = guard.ledger.limits["r/limit"]
    for key in keys:
        home, state = states.find(key, states.limit, clock.now_us())
        states.put(home, states.limit, states.limit.charge(states.limit.at(state, clock.now_us()), clock.now_us(), 1))


def blocks():
    """How many blocks of memory are in use."""
    gc.collect()
    return sys.getallocatedblocks()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_memory_stays_flat_while_keys_rotate_for_ever(clock, algorithm):
    guard = guard_of(clock, limit("3/min", key="user", algorithm=algorithm), max_keys=1_000)
    spend(guard, "first")

    def rotate(times):
        for turn in range(times):
            touch(guard, clock, (f"{clock.now_us()}-{number}" for number in range(100)))
            clock.advance(0.1 if turn % 3 else 10)

    rotate(100)
    before = blocks()
    rotate(400)
    assert blocks() - before < 5_000  # one key is at least two; there were 40,000
    assert len(guard.ledger.limits["r/limit"]) <= 1_001


def test_memory_stays_flat_while_all_keys_are_in_use(clock):
    guard = guard_of(clock, limit("3/min", key="user"), max_keys=1_000)
    spend(guard, *users(1_200))
    before = blocks()
    touch(guard, clock, users(30_000))
    assert blocks() - before < 1_000
    assert 1_001 == len(guard.ledger.limits["r/limit"])


def test_a_key_costs_at_most_220_bytes(clock):
    """Its text, its state and its share of the tables."""
    guard = guard_of(clock, limit("3/min", key="user"))
    spend(guard, "first")
    gc.collect()
    tracemalloc.start()
    try:
        touch(guard, clock, (f"user-{number:08}" for number in range(100_000)))
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 100_001 == len(guard.ledger.limits["r/limit"])
    assert grown / 100_000 <= 220
