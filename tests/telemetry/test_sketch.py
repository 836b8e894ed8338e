"""Space-saving sketches: what is frequent is in them, and no count is off by more than it says."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.telemetry.sketch import Counted, Sketch

KEYS = st.one_of(st.sampled_from("abc"), st.integers(0, 30).map(str))
STREAMS = st.lists(st.tuples(KEYS, st.one_of(st.just(1), st.integers(1, 50))), max_size=300)
EVERYTHING = 10_000


def sketch_of(stream, size):
    sketch = Sketch(size)
    exact = Counter()
    for key, times in stream:
        sketch.add(key, times)
        exact[key] += times
    return sketch, exact


def law_holds(sketch, exact, size):
    """See that the law holds of a sketch of what was counted exactly."""
    total, found = exact.total(), {one.key: one for one in sketch.top(EVERYTHING)}
    assert max(len(found), len(sketch._errors)) <= size
    assert total == sum(one.times for one in found.values())
    for key, times in exact.items():
        assert key in found or times * size <= total, f"{key} was counted {times} times of {total}"
    for one in found.values():
        assert one.times - one.error <= exact[one.key] <= one.times
        assert 0 <= one.error * size <= total


@given(STREAMS, st.integers(1, 12))
def test_the_law_of_space_saving_holds_whatever_is_counted(stream, size):
    law_holds(*sketch_of(stream, size), size)


@given(STREAMS, st.integers(1, 12))
def test_the_law_holds_at_every_moment(stream, size):
    sketch, exact = Sketch(size), Counter()
    for key, times in stream[:60]:
        sketch.add(key, times)
        exact[key] += times
        law_holds(sketch, exact, size)


@pytest.mark.parametrize("weight", [1, 64])
def test_keys_that_rotate_do_not_push_out_what_is_frequent(weight):
    draw = random.Random(7)
    stream = [
        (f"new {number}", 1) if draw.random() < 0.9 else ("often", draw.randrange(1, 2 * weight))
        for number in range(20_000)
    ]
    sketch, exact = sketch_of(stream, 50)
    law_holds(sketch, exact, 50)
    assert "often" == sketch.top(1)[0].key


@given(STREAMS)
def test_where_all_have_room_every_count_is_exact(stream):
    sketch, exact = sketch_of(stream, 100)
    assert {Counted(key, times, 0) for key, times in exact.items()} == set(sketch.top(EVERYTHING))


def test_the_surest_of_equal_counts_comes_first():
    sketch, _ = sketch_of([("a", 3), ("b", 2), ("c", 1)], 2)  # c takes the place of b, with its count
    assert [Counted("a", 3, 0), Counted("c", 3, 2)] == sketch.top(2)
    assert [Counted("a", 3, 0)] == sketch.top(1)


def test_a_key_that_comes_back_is_as_unsure_as_a_new_one():
    sketch, exact = sketch_of([("a", 5), ("b", 9), ("c", 1), ("a", 1)], 2)
    law_holds(sketch, exact, 2)
    assert {Counted("a", 7, 6), Counted("b", 9, 0)} == set(sketch.top(2))
