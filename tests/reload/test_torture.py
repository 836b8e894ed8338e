"""Rule files are changed in every way there is while threads and tasks keep calling."""

import logging
import os
import signal

import pytest

from guardrail import Guard
from guardrail.telemetry.events import RulesRejected, RulesReloaded
from tests.decorators.scene import inside
from tests.reload.layouts import LAYOUTS, File
from tests.reload.traffic import BUDGET, MOST_INSIDE, PATIENCE, Heard, Traffic, number_of, numbers_in, rules

TIMES = 8


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.__name__)
def layout(request, tmp_path):
    layout = request.param(tmp_path)
    layout.write(rules(0))
    return layout


def test_calls_go_on_and_each_sees_one_revision(layout, heard, quick, caplog):
    caplog.set_level(logging.CRITICAL)  # what is rejected here is meant to be
    with Guard(layout.watched, listeners=[heard]) as guard:
        traffic = Traffic(guard)
        with traffic.flowing():
            assert traffic.sees(0)
            for number, way in enumerate(layout.ways * TIMES, 1):
                if way in ("returns", "mended"):
                    layout.harm(way)
                    assert heard.hears(RulesRejected), f"{way}: nobody noticed"
                    assert number - 1 == number_of(guard)
                layout.write(rules(number), way)
                assert heard.hears(RulesReloaded, lambda number=number: number_of(guard) == number), (
                    f"{way}: nobody noticed"
                )
                assert traffic.sees(number)
                assert "forced_open" == guard.breakers["broken"].state
        assert [] == traffic.errors + traffic.torn + traffic.stuck
        traffic.exhaust()
        assert set(range(number + 1)) == traffic.seen
        assert BUDGET == len(traffic.admitted)  # what was used stayed used, however often the rules changed
        assert 1 < traffic.most_inside <= MOST_INSIDE
        assert 0 == inside(guard)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_children_that_are_forked_off_in_the_middle_follow_the_files_too(tmp_path, heard, quick):
    layout = File(tmp_path)
    layout.write(rules(0))
    with Guard(layout.watched, listeners=[heard]) as guard:
        traffic = Traffic(guard)

        def follow():
            mine = Heard()
            guard.ledger.listeners = (mine,)
            layout.write(rules(7), "atomically")
            return mine.hears(RulesReloaded, lambda: number_of(guard) == 7), numbers_in(guard.peek("r"))

        with traffic.flowing(threads=2, tasks=5):
            assert traffic.sees(0)
            assert "(True, {7})" == in_child(follow)
            assert heard.hears(RulesReloaded, lambda: number_of(guard) == 7)
            assert traffic.sees(7)
        assert [] == traffic.errors + traffic.torn + traffic.stuck


def in_child(act):
    """What *act* returns in a child, which is not asked to tidy up: coverage's locks may be held by threads it has not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)
        try:
            os.write(writing, repr(act()).encode())
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said
