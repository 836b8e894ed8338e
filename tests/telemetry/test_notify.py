"""Whatever a listener does, every listener hears every event, in order."""

import logging
from functools import partial

import pytest

from guardrail.telemetry.events import KeysOverflowed, RulesReloaded
from guardrail.telemetry.notify import notify

FIRST = KeysOverflowed("per-user", 250_000)
SECOND = RulesReloaded("rules.yaml", "new", "old")


def failing(event):
    raise ValueError(f"no use for {type(event).__name__}")


def test_each_event_is_told_to_each_listener_in_order():
    told = []
    notify([lambda event: told.append((1, event)), lambda event: told.append((2, event))], [FIRST, SECOND])
    assert [(1, FIRST), (2, FIRST), (1, SECOND), (2, SECOND)] == told


def test_a_listener_that_raises_changes_nothing_but_a_log_line_each_time(caplog):
    told = []
    notify([failing, told.append], [FIRST, SECOND])
    assert [FIRST, SECOND] == told
    assert [
        ("guardrail.listeners", logging.ERROR, "listener failing failed at a KeysOverflowed"),
        ("guardrail.listeners", logging.ERROR, "listener failing failed at a RulesReloaded"),
    ] == caplog.record_tuples
    assert 1 == caplog.text.count("ValueError: no use for KeysOverflowed")


def test_a_listener_that_is_an_object_is_named_by_its_class(caplog):
    class Pager:
        def __call__(self, event):
            raise OSError("no line")

        def __repr__(self):
            raise AssertionError("not asked")

    notify([Pager()], [FIRST])
    assert "Pager failed at a KeysOverflowed" in caplog.messages[0]


def test_a_listener_with_arguments_is_named_without_them(caplog):
    def post(url, token, event):
        raise OSError("no line")

    notify([partial(partial(post, "https://hooks.example/CANARY"), "CANARY")], [FIRST])
    assert "post failed at a KeysOverflowed" in caplog.messages[0]
    assert "CANARY" not in caplog.messages[0]


def test_a_listener_may_remove_itself():
    told = []
    listeners = [lambda _: listeners.clear(), told.append]
    notify(listeners, [FIRST])
    assert [FIRST] == told


def test_where_the_log_fails_as_well_every_other_listener_still_hears_every_event(monkeypatch):
    def full(record):
        raise OSError("the disk is full")

    told = []
    monkeypatch.setattr(logging.getLogger("guardrail.listeners"), "handle", full)
    notify([failing, told.append], [FIRST, SECOND])
    assert [FIRST, SECOND] == told


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_passes_through(end):
    def ending(event):
        raise end

    with pytest.raises(end):
        notify([ending], [FIRST])
