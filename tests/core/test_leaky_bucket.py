"""Leaky bucket: one after the other. Its tables; the law is in test_laws.py."""

from __future__ import annotations

from itertools import pairwise

from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.limit import Ruling
from guardrail.core.token_bucket import TokenBucket
from tests.core.limit_run import MS, Run, S

# four a second, each after at most half a second: now, then wait or retry_after
ONE_AFTER_THE_OTHER = [
    (0 * MS,     Ruling(True)),
    (0 * MS,     Ruling(True, wait_us=250 * MS)),
    (0 * MS,     Ruling(True, wait_us=500 * MS)),
    (0 * MS,     Ruling(False, retry_after_us=250 * MS, reason="rate")),
    (249_999,    Ruling(False, retry_after_us=1, reason="rate")),
    (250 * MS,   Ruling(True, wait_us=500 * MS)),
    (900 * MS,   Ruling(True, wait_us=100 * MS)),
    (1_250 * MS, Ruling(True)),
    (9_000 * MS, Ruling(True)),  # a pause saves nothing up
    (9_000 * MS, Ruling(True, wait_us=250 * MS)),
]  # fmt: skip


def test_rows():
    run = Run(LeakyBucket(4, S, 500 * MS))
    played = []
    for now_us, _ in ONE_AFTER_THE_OTHER:
        run.go(now_us)
        played.append((now_us, run.call()))
    assert ONE_AFTER_THE_OTHER == played


def test_uneven_spacing_is_rounded_for_each_start_and_never_adds_up():
    run = Run(LeakyBucket(3, 10, 1_000))
    for _ in range(301):
        run.call()
    starts_us = [start.at_us for start in run.starts]
    assert [0, 4, 7, 10, 14, 17, 20] == starts_us[:7]
    assert 1_000 == starts_us[300]
    assert {3, 4} == {later - earlier for earlier, later in pairwise(starts_us)}


def test_it_holds_one_at_a_time():
    run = Run(LeakyBucket(4, S, 500 * MS))
    assert 1 == run.limit.capacity
    assert Ruling(False, reason="cost_too_large") == run.call(2)


def test_whoever_leaves_the_end_of_the_row_makes_room_and_nobody_else_does():
    run = Run(LeakyBucket(4, S, S))
    for _ in range(3):
        run.call()
    run.give_back(1)
    run.give_back(0)
    assert 750 * MS == run.look().wait_us
    run.give_back(2)
    assert 500 * MS == run.look().wait_us


def test_it_is_a_token_bucket_with_burst_1():
    leaky, bucket = LeakyBucket(4, S, 500 * MS), TokenBucket(4, S, 1, 500 * MS)
    assert isinstance(leaky, TokenBucket)
    assert (bucket.r, bucket.p, bucket.capacity_debt) == (leaky.r, leaky.p, leaky.capacity_debt)
