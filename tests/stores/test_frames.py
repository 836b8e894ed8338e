"""Calls as the script reads them, and its answers as calls read them."""

from __future__ import annotations

import pytest

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.limit import LARGEST, Charge
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket
from guardrail.stores import frames as module
from guardrail.stores import scripts
from guardrail.stores.frames import Frames
from guardrail.stores.protocol import Check, Refund, Reply
from tests.contract.lua_redis import words_of

BUCKET = TokenBucket(100, 60_000_000, 20, 5_000)
WINDOW = FixedWindow(10, 1_000)
HEAD = ["EVALSHA", scripts.admit().sha]


@pytest.fixture
def frames():
    return Frames("app")


def test_a_call_of_one_check(frames):
    order = frames.admit_order([Check("{a}:rule", BUCKET, 2, 5_000)], peek=False)
    assert (1, False) == (order.size, order.peek)
    words = words_of(frames.frame([order], None))
    assert [*HEAD, "1", "app:{a}:rule", "", "a 1 0 2 5000 b 1 600000 20 5000"] == words


def test_calls_of_several_checks_are_put_one_after_the_other(frames):
    checks = [Check("{a}:one", WINDOW, 0), Check("{a}:two", SlidingWindow(7, 70), 1, watches=True)]
    orders = [frames.admit_order(checks, peek=True), frames.admit_order(checks[:1], peek=False)]
    keys = ["app:{a}:one", "app:{a}:two", "app:{a}:one"]
    steps = ["p 2 0 0 0 f 10 1000", "c 0 1 1 0 w 7 70", "a 1 0 0 0 f 10 1000"]
    assert [*HEAD, "3", *keys, "1234", *steps] == words_of(frames.frame(orders, 1_234))


def test_a_leaky_bucket_is_not_a_token_bucket(frames):
    order = frames.owe_order([Check("{a}:rule", LeakyBucket(10, 1_000, 30), 4), Check("{a}:log", SlidingLog(3, 9), 1)])
    steps = ["o 0 0 4 0 q 1 100 1 30", "o 0 0 1 0 l 3 9"]
    assert steps == words_of(frames.frame([order], None))[-2:]


def test_a_refund_tells_of_the_charge(frames):
    refunds = [
        Refund("{a}:rule", BUCKET, 1, Charge(3, 77, (1_800_000, 77), waited=True), era=42),
        Refund("{a}:rule", WINDOW, 2, Charge(2, -5, (-1, 2)), era=43),
    ]
    steps = ["g 1 42 77 3 1800000 1 b 1 600000 20 5000", "g 2 43 -5 2 0 0 f 10 1000"]
    assert steps == words_of(frames.frame([frames.refund_order(refunds)], 99))[-2:]


def test_forgetting_and_nothing_at_all(frames):
    forget = frames.forget_order(["{a}:rule", "{ü}:rule"])
    assert [*HEAD, "2", "app:{a}:rule", "app:{Ã¼}:rule", "", "f", "f"] == words_of(frames.frame([forget], None))
    assert [*HEAD, "0", ""] == words_of(frames.frame([], None))
    assert [] == frames.replies(b"1234", [])


def test_a_cost_beyond_what_is_counted_is_the_largest(frames):
    order = frames.admit_order([Check("k", WINDOW, 10**30)], peek=False)
    assert f"a 1 0 {LARGEST} 0 f 10 1000" == words_of(frames.frame([order], None))[-1]


@pytest.mark.parametrize("cost", [2**60, 10**5000], ids=["large", "endless"])
def test_what_is_given_back_beyond_what_is_counted_is_the_largest(frames, cost):
    refund = Refund("k", WINDOW, cost - 1, Charge(cost, 7, (0, 1)), era=42)
    expected = f"g {LARGEST} 42 7 {LARGEST} 0 0 f 10 1000"
    assert expected == words_of(frames.frame([frames.refund_order([refund])], None))[-1]


def test_what_nobody_is_told_of_names_its_places(frames):
    refund = Refund("r", WINDOW, 1, Charge(1, 7, (0, 1)), era=42)
    orders = [frames.owe_order([Check("o", WINDOW, 1)]), frames.refund_order([refund]), frames.forget_order(["f", "g"])]
    assert [["o"], ["r"], ["f", "g"]] == [order.places for order in orders]
    assert () == frames.admit_order([Check("a", WINDOW, 1)], peek=False).places


def test_no_limit_of_ours_is_refused(frames):
    with pytest.raises(TypeError, match="no limit that a store can keep: 'this'"):
        frames.admit_order([Check("k", "this", 1)], peek=False)


def test_an_answer_has_a_row_for_each_call_that_waits_for_one(frames):
    checks = [
        Check("k", BUCKET, 1),
        Check("k", WINDOW, 1),
        Check("k", SlidingWindow(9, 100), 1),
        Check("k", SlidingLog(9, 100), 1),
    ]
    orders = [
        frames.forget_order(["k"]),
        frames.admit_order(checks, peek=False),
        frames.owe_order(checks),
        frames.admit_order(checks[:1], peek=True),
    ]
    answer = b"12345 0 7 600 8 3 9 4 120 1 123 2 10 0 1 7 0"
    states = ((600, 12_345), (12, 3), (120, 1, 123, 2), ())
    expected = [None, Reply(False, 12_345, states, (7, 8, 9, 10)), None, Reply(True, 12_345, ((0, 12_345),), (7,))]
    assert expected == frames.replies(answer, orders)


@pytest.mark.parametrize("answer", [b"", b"OK", b"1", b"1 1", b"1 1 2", b"1 1 2 3 4", b"1 1 2 x", b"1.5 1 2 3"])
def test_what_is_no_answer_is_said_to_be_none(answer, frames):
    order = frames.admit_order([Check("k", BUCKET, 1)], peek=False)
    with pytest.raises(ValueError):
        frames.replies(answer, [order])


NINES = b"9" * 4_000


@pytest.mark.parametrize(
    ("limit", "answer"),
    [
        *[(limit, b"7 1 5 3 1 2 3") for limit in (SlidingWindow(9, 100), SlidingLog(9, 100))],
        *[(limit, b"7 1 5 -1") for limit in (BUCKET, WINDOW, SlidingWindow(9, 100), SlidingLog(9, 100))],
        *[(limit, b"7 1 5 " + NINES) for limit in (BUCKET, WINDOW, SlidingWindow(9, 100))],
        (SlidingWindow(9, 100), b"7 1 5 2 1 -" + NINES),
        (BUCKET, b"7 1 5 " + b"9" * 5_000),
    ],
)
def test_what_no_state_can_be_is_no_answer(limit, answer, frames):
    order = frames.admit_order([Check("k", limit, 1)], peek=False)
    with pytest.raises(ValueError):
        frames.replies(answer, [order])


def test_what_is_kept_encoded_is_bounded_and_stays_right(frames, monkeypatch):
    monkeypatch.setattr(module, "MOST_PIECES", 3)
    monkeypatch.setattr(module, "MOST_LIMITS", 2)
    for cost in range(20):
        limit = FixedWindow(100 + cost % 5, 1_000)
        for key in ("a", f"k{cost}"):
            order = frames.admit_order([Check(key, limit, cost)], peek=False)
            words = words_of(frames.frame([order], 0))
            assert [f"app:{key}", "0", f"a 1 0 {cost} 0 f {limit.limit} 1000"] == words[3:]
    assert len(frames._keys) <= 3
    assert len(frames._steps) <= 2


def test_costs_of_one_limit_are_kept_up_to_the_bound(frames, monkeypatch):
    monkeypatch.setattr(module, "MOST_PIECES", 3)
    for cost in [0, 1, 2, 3, 0, 4]:
        order = frames.admit_order([Check("k", WINDOW, cost)], peek=False)
        assert f"a 1 0 {cost} 0 f 10 1000" == words_of(frames.frame([order], 0))[-1]
    assert len(frames._steps[id(WINDOW)][1]) <= 3
