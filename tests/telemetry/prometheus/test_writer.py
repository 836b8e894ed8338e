"""The writer of multi-process mode: forks, looks that hang, and how much of a core it takes."""

from threading import Event, Thread

import pytest

from guardrail.telemetry.prometheus import writer as writer_module
from guardrail.telemetry.prometheus.writer import PAUSES
from tests.telemetry.prometheus.full import ALLOWED, ALONE, FULL, counted, in_child
from tests.telemetry.prometheus.scene import breaker, of, snapshot


@pytest.fixture(autouse=True)
def forking_is_what_is_tested(recwarn):
    """From 3.12 on, Python warns of a fork while other threads run."""


def test_a_forked_child_begins_at_0_and_has_its_own_files(writers, merged, path):
    breakers = [breaker("b", closed=1)]
    writer, seen = writers(counted(5, breakers=breakers))
    writer.write()
    writer.before_fork()

    def child():
        writer.after_fork_in_child()
        seen.shown = counted(7, breakers=breakers)
        return writer.write() - 1

    pid, code = in_child(child)
    writer.after_fork_in_parent()
    seen.shown = counted(6, breakers=breakers)
    writer.write()
    assert [0, True] == [code, (path / f"counter_{pid}.db").exists()]
    assert [13, 2] == [merged()[ALLOWED], merged()["guardrail_breaker_state{breaker=b,state=closed}"]]


def test_a_forked_child_begins_every_metric_at_0(writers, merged):
    writer, _ = writers(FULL)
    writer.write()
    writer.before_fork()

    def child():
        writer.after_fork_in_child()
        return writer.write() - 1

    assert 0 == in_child(child)[1]
    writer.after_fork_in_parent()
    found = merged()
    counted_twice = {
        place for place in ALONE if place.partition("{")[0].endswith(("_total", "_bucket", "_count", "_sum"))
    }
    assert {place: pytest.approx(2 * ALONE[place]) for place in counted_twice} == {
        place: found[place] for place in counted_twice
    }


def test_a_child_forked_before_anything_was_written(writers, merged):
    writer, seen = writers(counted(0))
    writer.before_fork()

    def child():
        writer.after_fork_in_child()
        seen.shown = counted(2)
        return writer.write() - 1

    assert 0 == in_child(child)[1]
    writer.after_fork_in_parent()
    assert 2 == merged()[ALLOWED]


def test_a_parent_that_only_forks_has_no_breakers(writers, merged):
    writer, seen = writers(snapshot(breakers=[breaker("b", closed=1)]))
    writer.write()
    assert 1 == merged()["guardrail_breaker_state{breaker=b,state=closed}"]
    writer.before_fork()
    writer.after_fork_in_parent()
    writer.write()
    assert {0} == set(of(merged(), "guardrail_breaker_state").values())
    seen.shown = counted(1, breakers=[breaker("b", closed=1)])
    writer.write()
    assert 1 == merged()["guardrail_breaker_state{breaker=b,state=closed}"]


def test_nobody_forks_in_the_middle_of_writing(writers, monkeypatch):
    monkeypatch.setattr(writer_module, "FORK_PATIENCE_S", 0.01)
    writer, _ = writers(counted(5))
    forked = []

    def fork():
        writer.before_fork()
        forked.append(True)
        writer.after_fork_in_parent()

    with writer._writing:
        thread = Thread(target=fork)
        thread.start()
        thread.join(20)  # its patience has an end
        assert [True] == forked
        monkeypatch.setattr(writer_module, "FORK_PATIENCE_S", 20)
        thread = Thread(target=fork)
        thread.start()
        assert writer._writing.locked()
        assert [True] == forked
    thread.join(20)
    assert [True, True] == forked
    assert not writer._writing.locked()


def test_a_look_that_hangs_holds_up_nobody_for_long(writers, merged, monkeypatch):
    monkeypatch.setattr(writer_module, "PATIENCE_S", 0.01)
    writer, seen = writers(counted(5))
    writer.write()
    begun, may_end = Event(), Event()

    def hanging():
        begun.set()
        assert may_end.wait(20)
        return counted(6)

    seen.shown = hanging
    thread = Thread(target=writer.write)
    thread.start()
    assert begun.wait(20)
    assert not writer.write()
    assert 5 == merged()[ALLOWED]
    writer.before_fork()  # does not wait for it
    writer.after_fork_in_parent()
    may_end.set()
    thread.join(20)
    assert 6 == merged()[ALLOWED]


def test_a_look_that_takes_long_is_followed_by_a_long_pause(writers, monkeypatch):
    writer, _ = writers(counted(1))
    clock = iter([10.0, 10.5, 20.0, 20.01])
    monkeypatch.setattr("guardrail.telemetry.prometheus.writer.monotonic", lambda: next(clock))
    pauses = []

    class Ended:
        def wait(self, pause_s):
            pauses.append(pause_s)
            return len(pauses) == 3

    writer._interval_s = 1.0
    writer._run(Ended())
    assert [1.0, 0.5 * PAUSES, 1.0] == pauses
