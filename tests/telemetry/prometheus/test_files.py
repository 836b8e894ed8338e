"""The files of multi-process mode: what prometheus_client's own collector makes of them, whoever has written what."""

import os
import signal

import pytest
from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from guardrail.telemetry.prometheus import registration
from guardrail.telemetry.prometheus.dead import bury
from guardrail.telemetry.prometheus.files import ENVIRONMENT, folder
from guardrail.telemetry.prometheus.writer import PAUSES, Writer
from tests.telemetry.prometheus.scene import (
    AT,
    Seen,
    breaker,
    bulkhead,
    distribution,
    of,
    reload,
    rule,
    scraped,
    series,
    snapshot,
    store,
)

ALLOWED = "guardrail_decisions_total{outcome=allow,resource=a,rule=r}"
FULL = snapshot(
    ("a", "r", 5, 1, 0, 0),
    rules=[rule("r", distribution(100, 5_000, 99_000_000))],
    breakers=[breaker("b", closed=1, successes=4, transitions={("closed", "open"): 1})],
    bulkheads=[bulkhead("p", in_use=2, capacity=3)],
    store=store(available=False, errors={"timeout": 1}, seconds=distribution(300)),
)
ALONE = scraped(Seen(FULL))
NAMED = scraped(Seen(FULL), name="out")


def counted(count, **more):
    return snapshot(("a", "r", count, 0, 0, 0), **more)


@pytest.fixture(autouse=True)
def forking_is_what_is_tested(recwarn):
    """From 3.12 on, Python warns of a fork while other threads run."""


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The folder of multi-process mode."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    yield tmp_path
    values.close_all_multiprocess_files()


@pytest.fixture
def merged(path):
    """What a scrape of any process shows."""

    def look():
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return series(generate_latest(registry).decode())

    return look


@pytest.fixture
def writers(path):
    """Writers without a thread of their own, one for each process that is played."""

    def make(shown, name=""):
        writer = Writer(interval_s=3_600)
        seen = shown if isinstance(shown, Seen) else Seen(shown)
        writer.sources.add(seen, name)
        return writer, seen

    return make


def in_child(act):
    """Call *act* in a forked child, and return what the child exits with once it has ended."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # rather than to hang
        code = 99
        try:
            code = act() or 0
        finally:
            os._exit(code)
    return child, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_one_process_shows_what_it_would_show_without_files(writers, merged):
    writer, _ = writers(FULL)
    assert writer.write()
    assert ALONE == merged()


def test_a_named_guard(writers, merged):
    writer, _ = writers(FULL, name="out")
    writer.write()
    assert NAMED == merged()


def test_counters_go_on(writers, merged):
    writer, seen = writers(counted(5))
    for count in (5, 5, 12):
        seen.shown = counted(count)
        writer.write()
        assert count == merged()[ALLOWED]


def test_a_rule_that_was_away_begins_anew(writers, merged):
    writer, seen = writers(counted(5))
    for count in (5, 2, 3):
        seen.shown = counted(count)
        writer.write()
    assert 8 == merged()[ALLOWED]


def test_what_a_process_of_the_same_id_has_left_stays_counted(writers, merged):
    for count in (5, 7):
        writer, _ = writers(
            FULL._replace(counts=counted(count).counts) if hasattr(FULL, "_replace") else counted(count)
        )
        writer.write()
        values.close_all_multiprocess_files()
    assert 12 == merged()[ALLOWED]


def test_gauges_of_what_is_gone_are_0(writers, merged):
    writer, seen = writers(FULL)
    writer.write()
    seen.shown = counted(5)
    writer.write()
    found = merged()
    assert {0} == set(of(found, "guardrail_breaker_state").values())
    assert {0} == set(of(found, "guardrail_bulkhead_capacity").values())
    assert 5 == found[ALLOWED]
    assert 4 == found["guardrail_breaker_calls_total{breaker=b,outcome=success}"]


def test_only_the_revision_in_force_is_1(writers, merged):
    writer, seen = writers(counted(1))
    writer.write()
    seen.shown = counted(1, reload=reload(revision="r2", at=AT + 60.0))
    writer.write()
    assert {"{revision=r1}": 0, "{revision=r2}": 1} == of(merged(), "guardrail_rules_info")
    assert AT + 60 == merged()["guardrail_rules_last_reload_success_timestamp_seconds"]


def test_the_latest_reload_of_any_process_is_shown(writers, merged):
    in_child(lambda: writers(counted(1, reload=reload(at=AT + 60.0)))[0].write() - 1)
    writers(counted(1))[0].write()
    assert AT + 60 == merged()["guardrail_rules_last_reload_success_timestamp_seconds"]


def test_numbers_of_all_processes_are_added_up(writers, merged):
    _, code = in_child(lambda: writers(FULL)[0].write() - 1)
    writers(FULL)[0].write()
    assert 0 == code
    largest = ("_info", "_active", "_timestamp_seconds")
    assert {
        place: value if place.partition("{")[0].endswith(largest) else 2 * value for place, value in ALONE.items()
    } == {place: pytest.approx(value) for place, value in merged().items()}


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


def test_one_that_exits_counts_on_and_lives_no_more(writers, merged):
    writer, seen = writers(FULL)
    writer.write()
    seen.shown = counted(9, breakers=FULL.breakers, bulkheads=FULL.bulkheads)
    writer.close()
    found = merged()
    assert 9 == found[ALLOWED]
    assert {0} == {*of(found, "guardrail_breaker_state").values(), *of(found, "guardrail_bulkhead_in_use").values()}
    assert AT == found["guardrail_rules_last_reload_success_timestamp_seconds"]


def test_a_guard_taken_out_keeps_what_it_counted(writers, merged):
    writer, seen = writers(FULL)
    writer.write()
    writer.hide(seen)
    seen.shown = counted(100)
    writer.write()
    assert [5, 0] == [merged()[ALLOWED], merged()["guardrail_bulkhead_in_use{bulkhead=p}"]]


def test_a_guard_that_cannot_be_looked_at_keeps_its_last_numbers(writers, merged, caplog):
    writer, seen = writers(FULL)
    writer.write()
    before = merged()
    seen.shown = lambda: 1 / 0
    writer.write()
    assert before == merged()
    assert 1 == len(caplog.messages)


def test_files_that_cannot_be_written_are_said_so_once(writers, merged, caplog):
    writer, seen = writers(counted(1))
    writer.write()
    values.close_all_multiprocess_files()
    for count in (2, 3):
        seen.shown = counted(count)
        assert not writer.write()
    assert ["metrics cannot be written, so scrapes show the last ones until they can"] == caplog.messages
    assert 1 == merged()[ALLOWED]


def test_the_dead_are_buried_and_what_they_counted_stays(writers, merged, path):
    pid, _ = in_child(lambda: writers(FULL)[0].write() - 1)
    writers(FULL)[0].write()
    assert [10, 4] == [merged()[ALLOWED], merged()["guardrail_bulkhead_in_use{bulkhead=p}"]]
    assert [pid] == bury(str(path))
    assert [10, 2] == [merged()[ALLOWED], merged()["guardrail_bulkhead_in_use{bulkhead=p}"]]
    assert [] == bury(str(path))


def test_nobody_is_buried_where_files_are_not_named_by_processes(path):
    (path / "gauge_livesum_worker-7.db").touch()
    (path / "gauge_livesum_999999999.db").touch()
    assert [] == bury(str(path))
    (path / f"gauge_livesum_{os.getpid()}.db").touch()
    (path / "gauge_livesum_1.db").touch()
    assert [999_999_999] == bury(str(path))
    assert (path / "gauge_livesum_worker-7.db").exists()


def test_a_folder_that_is_not_there(path, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, str(path / "none"))
    with pytest.raises(ValueError, match="which is no folder; make an empty one before the workers start"):
        registration.register(Seen(FULL))


@pytest.mark.parametrize("value", ["", None])
def test_it_is_off_where_nothing_is_set(monkeypatch, value):
    monkeypatch.setenv(ENVIRONMENT, value) if value is not None else monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert folder() is None


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
