"""The files of multi-process mode: what prometheus_client's own collector makes of them, whoever has written what."""

import os

import pytest
from prometheus_client import CollectorRegistry, generate_latest, values

from guardrail.telemetry.prometheus import registration
from guardrail.telemetry.prometheus.dead import bury
from guardrail.telemetry.prometheus.files import ENVIRONMENT, folder
from guardrail.telemetry.prometheus.writer import Writer
from tests.telemetry.prometheus.full import ALLOWED, ALONE, FULL, NAMED, counted, in_child
from tests.telemetry.prometheus.scene import AT, Seen, bulkhead, of, reload


@pytest.fixture(autouse=True)
def forking_is_what_is_tested(recwarn):
    """From 3.12 on, Python warns of a fork while other threads run."""


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


REJECTING = counted(1, reload=reload(failures=1, error="rules.yaml:2:9: a rule needs a resource"))
SUCCESSFUL = "guardrail_rules_last_reload_successful"


def test_rules_that_any_process_cannot_use_are_seen_while_it_lives(writers, merged, path):
    writer, _ = writers(counted(1))
    writer.write()
    assert 1 == merged()[SUCCESSFUL]
    in_child(lambda: writers(REJECTING)[0].write() - 1)
    assert 0 == merged()[SUCCESSFUL]
    bury(str(path))
    assert 1 == merged()[SUCCESSFUL]


@pytest.mark.parametrize("ended", ["exited", "hidden"])
def test_who_says_nothing_more_of_its_rules_rejects_none(writers, merged, ended):
    writer, seen = writers(REJECTING)
    writer.write()
    assert 0 == merged()[SUCCESSFUL]
    writer.close() if ended == "exited" else writer.hide(seen)
    assert 1 == merged()[SUCCESSFUL]


def test_the_fullest_bulkhead_of_all_processes(writers, merged):
    in_child(lambda: writers(counted(1, bulkheads=[bulkhead("p", in_use=9, capacity=10, fullest=9)]))[0].write() - 1)
    writers(counted(1, bulkheads=[bulkhead("p", in_use=20, capacity=10, count=20, fullest=1)]))[0].write()
    assert [29, 9, 10] == [
        merged()[f"guardrail_bulkhead_{what}{{bulkhead=p}}"] for what in ("in_use", "fullest", "max_concurrent")
    ]


def test_numbers_of_all_processes_are_added_up(writers, merged):
    _, code = in_child(lambda: writers(FULL)[0].write() - 1)
    writers(FULL)[0].write()
    assert 0 == code
    largest = ("_info", "_active", "_timestamp_seconds", "_fullest", "_max_concurrent", "_successful")
    assert {
        place: value if place.partition("{")[0].endswith(largest) else 2 * value for place, value in ALONE.items()
    } == {place: pytest.approx(value) for place, value in merged().items()}


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


def test_registering_in_multi_process_mode(path, merged, monkeypatch):
    made = Writer(interval_s=3_600)
    monkeypatch.setattr(registration, "writer", lambda: made)
    monkeypatch.setattr(made, "_start", lambda: None)
    seen, registry = Seen(FULL), CollectorRegistry()
    registration.register(seen, registry)
    registration.register(seen, registry)
    with pytest.raises(ValueError, match="give this one a name= of its own"):
        registration.register(Seen(FULL), registry)
    registration.flush()
    assert [5, b""] == [merged()[ALLOWED], generate_latest(registry)]
    registration.unregister(seen, registry)
    assert 0 == merged()["guardrail_bulkhead_in_use{bulkhead=p}"]
    with pytest.raises(ValueError, match="not registered here"):
        registration.unregister(seen, registry)


def test_a_folder_that_is_not_there(path, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, str(path / "none"))
    with pytest.raises(ValueError, match="which is no folder; make an empty one before the workers start"):
        registration.register(Seen(FULL))


@pytest.mark.parametrize("value", ["", None])
def test_it_is_off_where_nothing_is_set(monkeypatch, value):
    monkeypatch.setenv(ENVIRONMENT, value) if value is not None else monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert folder() is None


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


@pytest.mark.parametrize("error", [PermissionError, OverflowError])
def test_whom_nobody_may_ask_is_taken_to_live(path, monkeypatch, error):
    for process in (os.getpid(), 1):
        (path / f"gauge_livesum_{process}.db").touch()

    def kill(process, signal):
        raise error

    monkeypatch.setattr(os, "kill", kill)
    assert [] == bury(str(path))
