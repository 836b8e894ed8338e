"""Calls are taken in the order of their times; what is counted takes bounded memory."""

import itertools
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from guardrail.cli.replay.call import SECOND_US
from guardrail.cli.replay.order import HOLD_US, Order
from guardrail.cli.replay.tally import MOST_SLOTS, Timeline
from guardrail.telemetry.sketch import Sketch
from tests.cli.replay.scene import START_US, call


def ordered(calls, block=7, **options):
    order = Order(**options)
    found = []
    for start in range(0, len(calls), block):
        found += order.put(calls[start : start + block])
    return [*found, *order.rest()], order


def shuffled(count, by_us, seed=1):
    draw = random.Random(seed)
    at = [START_US + place * 10_000 + draw.randrange(by_us) for place in range(count)]
    return [call(number, at_us) for number, at_us in enumerate(at, start=1)]


def test_lines_that_are_a_little_late_are_sorted_in():
    calls = shuffled(500, 2 * SECOND_US)
    found, order = ordered(calls)
    assert sorted(calls) == found
    assert order.early > 0
    assert SECOND_US < order.furthest_us < 2 * SECOND_US
    assert 0 == order.late


def test_calls_of_one_time_stay_as_they_stand():
    calls = [call(number, START_US) for number in range(1, 50)]
    found, order = ordered(calls)
    assert calls == found
    assert (0, 0) == (order.early, order.late)


def test_a_line_that_is_much_too_late_is_counted_and_comes_when_it_comes():
    calls = [call(number, START_US + number * HOLD_US) for number in range(1, 6)] + [call(9, START_US)]
    found, order = ordered(calls, block=1)
    assert sorted(one.number for one in calls) == sorted(one.number for one in found)
    assert (1, 1) == (order.early, order.late)


def test_no_more_than_so_many_are_held_back(monkeypatch):
    monkeypatch.setattr("guardrail.cli.replay.order.MOST_HELD", 10)
    order = Order()
    assert 90 == len(order.put([call(number, START_US + number) for number in range(100)]))
    assert 10 == len(order.rest())


def test_spread_lays_a_second_out_evenly():
    calls = [call(number, START_US + number // 4 * SECOND_US, coarse=True) for number in range(12)]
    found, _ = ordered(calls, block=3, spread=True)
    assert [START_US + number * SECOND_US // 4 for number in range(12)] == [one.at_us for one in found]
    assert [one.number for one in calls] == [one.number for one in found]


def test_spread_leaves_exact_times_alone():
    calls = shuffled(100, 5_000)
    assert sorted(calls) == ordered(calls, spread=True)[0]


def test_a_spread_second_is_whole_however_lines_come_in_blocks():
    calls = [call(number, START_US + number // 50 * SECOND_US, coarse=True) for number in range(50 * 200)]
    found, _ = ordered(calls, block=333, spread=True)
    assert [START_US + number * SECOND_US // 50 for number in range(len(calls))] == [one.at_us for one in found]


@given(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=300), st.integers(1, 12))
def test_the_sketch_keeps_its_law(stream, size):
    sketch, truth = Sketch(size), Counter(stream)
    for key in stream:
        sketch.add(key)
    found = {one.key: one for one in sketch.top(size)}
    assert len(found) <= size
    for key, times in truth.items():
        if times > len(stream) / size:
            assert key in found
    for key, one in found.items():
        assert one.times - one.error <= truth[key] <= one.times


def test_without_too_many_keys_the_sketch_is_exact():
    sketch = Sketch(10)
    for key in "aabbbc":
        sketch.add(key)
    assert [("b", 3, 0), ("a", 2, 0)] == [tuple(one) for one in sketch.top(2)]


def test_slots_are_joined_when_there_are_too_many():
    timeline, draw = Timeline(), random.Random(1)
    for _ in range(5_000):
        timeline.add(START_US + draw.randrange(90 * 86_400) * SECOND_US, draw.random() < 0.7)
    slots = timeline.slots()
    assert MOST_SLOTS / 2 - 1 <= len(slots) <= MOST_SLOTS + 1
    assert 5_000 == sum(allowed + refused for _, allowed, refused in slots)
    assert [timeline.width_us] * (len(slots) - 1) == [
        later - earlier for (earlier, *_), (later, *_) in itertools.pairwise(slots)
    ]


def test_slots_without_calls_are_there_too():
    timeline = Timeline()
    timeline.add(START_US, allowed=True)
    timeline.add(START_US + 2 * SECOND_US, allowed=False)
    assert [(START_US, 1, 0), (START_US + SECOND_US, 0, 0), (START_US + 2 * SECOND_US, 0, 1)] == timeline.slots()
    timeline.widen(2 * SECOND_US)
    assert [(START_US, 1, 0), (START_US + 2 * SECOND_US, 0, 1)] == timeline.slots()
    assert [] == Timeline().slots()
