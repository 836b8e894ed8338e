"""GUARDRAIL_CONTROL opens an endpoint, and whatever is wrong with it is logged and nothing more."""

import gc
import logging
import socket
import threading

import pytest

from guardrail.control.environment import Attendance
from tests.admission.scene import in_child
from tests.control.scene import PATIENCE, TOKEN, ask, guard_of, wait_until
from tests.ports import free_ports


@pytest.fixture
def attendance(monkeypatch):
    monkeypatch.setenv("GUARDRAIL_CONTROL", "127.0.0.1:0")
    monkeypatch.setenv("GUARDRAIL_CONTROL_TOKEN", TOKEN)
    monkeypatch.setattr("guardrail.control.environment.attendance", Absent())  # guards are announced by hand here
    attendance = Attendance()
    yield attendance
    attendance.close()


class Absent:
    def attend(self, guard):
        """Leave it to the test."""

    def step_back(self, guard):
        """Leave it to the test."""


def limit(name):
    return {"name": name, "resource": "r", "kind": "limit", "rate": "1/s"}


def rules_of(control):
    said = ask(control, path="/v1/snapshot")
    return [one["name"] for one in said.content["rules"]] if said.status == 200 else said.status


def test_the_first_guard_opens_the_endpoint_and_others_share_it(attendance):
    first, second = guard_of(limit("first")), guard_of(limit("second"))
    attendance.attend(first)
    control = attendance.control
    attendance.attend(second)
    assert control is attendance.control
    assert ["first"] == rules_of(control)


def test_a_guard_that_is_closed_lets_the_next_one_go_first(attendance):
    """As `configure` does it: the new one is made before the old one is closed."""
    first, second = guard_of(limit("first")), guard_of(limit("second"))
    attendance.attend(first)
    attendance.attend(second)
    attendance.step_back(first)
    assert ["second"] == rules_of(attendance.control)
    attendance.step_back(second)
    assert ["first"] == rules_of(attendance.control)  # a closed guard still decides, so it can still be looked at
    third = guard_of(limit("third"))
    attendance.attend(third)
    assert ["third"] == rules_of(attendance.control)


def test_a_guard_is_not_kept_alive_for_it(attendance):
    guard = guard_of(limit("first"))
    attendance.attend(guard)
    del guard
    gc.collect()
    assert 503 == rules_of(attendance.control)
    other = guard_of(limit("second"))
    attendance.attend(other)
    assert ["second"] == rules_of(attendance.control)


@pytest.mark.parametrize(
    ("address", "token", "line"),
    [
        ("0.0.0.0:9911", TOKEN, "no control endpoint: GUARDRAIL_CONTROL must be on loopback"),
        ("9911", TOKEN, "no control endpoint: GUARDRAIL_CONTROL must be an address and a port"),
        ("127.0.0.1:0", None, "no control endpoint: GUARDRAIL_CONTROL_TOKEN must be set; make one with: python -c"),
        ("127.0.0.1:0", "canary", "no control endpoint: GUARDRAIL_CONTROL_TOKEN must have at least 16 characters"),
    ],
)
def test_what_cannot_be_used_is_logged_and_the_service_goes_on(attendance, monkeypatch, caplog, address, token, line):
    monkeypatch.setenv("GUARDRAIL_CONTROL", address)
    monkeypatch.delenv("GUARDRAIL_CONTROL_TOKEN") if token is None else monkeypatch.setenv(
        "GUARDRAIL_CONTROL_TOKEN", token
    )
    attendance.attend(guard_of())
    [record] = caplog.records
    assert ("guardrail.control", logging.ERROR) == (record.name, record.levelno)
    assert record.getMessage().startswith(line)
    assert "canary" not in record.getMessage()
    assert attendance.control is None


def test_a_busy_port_is_logged_with_what_next(attendance, monkeypatch, caplog):
    with socket.create_server(("127.0.0.1", free_ports(1))) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("GUARDRAIL_CONTROL", f"127.0.0.1:{port}")
        attendance.attend(guard_of())
    [record] = caplog.records
    assert logging.WARNING == record.levelno
    assert f"no endpoint at 127.0.0.1:{port}: Address already in use" in record.getMessage()
    assert "it is tried again every 5 s; where several processes run, give each a port, " in record.getMessage()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("guardrail.control.environment.RETRY_S", 0.02)


def waiting():
    return [one for one in threading.enumerate() if one.name == "guardrail-control-port"]


def test_a_port_that_becomes_free_is_taken(attendance, monkeypatch, caplog, impatient):
    guard, other = guard_of(limit("first")), guard_of(limit("second"))
    with socket.create_server(("127.0.0.1", free_ports(1))) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("GUARDRAIL_CONTROL", f"127.0.0.1:{port}")
        attendance.attend(guard)
        attendance.attend(other)
        assert 1 == len(waiting())
    wait_until(lambda: attendance.control, "it was opened")
    assert ["first"] == rules_of(attendance.control)
    wait_until(lambda: not waiting(), "it was over")
    assert 1 == len([one for one in caplog.records if "no control endpoint" in one.getMessage()])


@pytest.mark.parametrize("end", ["close", "step_back"])
def test_nobody_waits_for_a_port_when_there_is_no_guard_any_more(attendance, monkeypatch, end):
    guard = guard_of(limit("first"))
    with socket.create_server(("127.0.0.1", free_ports(1))) as taken:
        monkeypatch.setenv("GUARDRAIL_CONTROL", f"127.0.0.1:{taken.getsockname()[1]}")
        attendance.attend(guard)
        [thread] = waiting()
        attendance.close() if end == "close" else attendance.step_back(guard)
        thread.join(PATIENCE)
        assert not thread.is_alive()
        attendance.attend(guard)
        assert 1 == len(waiting())  # it is waited for anew


def test_a_child_for_which_no_port_is_free_waits_for_one(attendance, monkeypatch, impatient):
    first = free_ports(2)
    monkeypatch.setenv("GUARDRAIL_CONTROL", f"127.0.0.1:{first}-{first + 1}")
    guard = guard_of(limit("first"))
    attendance.attend(guard)
    taken = socket.create_server(("127.0.0.1", first + 1))

    def child():
        taken.close()  # its own copy; the parent's goes below
        wait_until(lambda: attendance.control, "it was opened")
        try:
            return attendance.control.url
        finally:
            attendance.close()

    threading.Timer(0.1, taken.close).start()
    assert repr(f"http://127.0.0.1:{first + 1}") == in_child(child)


def test_with_a_range_each_forked_child_has_a_port_of_its_own(attendance, monkeypatch):
    first = free_ports(2)
    guard = guard_of(limit("first"))
    monkeypatch.setenv("GUARDRAIL_CONTROL", f"127.0.0.1:{first}-{first + 1}")
    attendance.attend(guard)
    url = attendance.control.url

    def child():
        mine = attendance.control
        try:
            return mine.url, rules_of(mine), ask(mine, path="/v1/snapshot").content["pid"] != parent
        finally:
            mine.close()

    parent = ask(attendance.control, path="/v1/snapshot").content["pid"]
    assert repr((f"http://127.0.0.1:{first + 1}", ["first"], True)) == in_child(child)
    assert (url, ["first"]) == (attendance.control.url, rules_of(attendance.control))


def test_with_one_port_it_stays_the_parents(attendance):
    guard = guard_of(limit("first"))
    attendance.attend(guard)
    assert "None" == in_child(lambda: attendance.control)
    assert ["first"] == rules_of(attendance.control)


def test_where_the_ports_run_out_a_child_goes_on_without(attendance, monkeypatch):
    first = free_ports(2)
    monkeypatch.setenv("GUARDRAIL_CONTROL", f"127.0.0.1:{first}-{first + 1}")
    guard = guard_of(limit("first"))
    attendance.attend(guard)
    with socket.create_server(("127.0.0.1", first + 1)):
        assert "None" == in_child(lambda: attendance.control)
