"""A listener on a thread of its own: it may hang, fail or fall behind, and no call knows."""

import contextvars
import logging
import os
from asyncio import CancelledError
from functools import partial
from threading import Event, get_ident

import pytest

from guardrail import Guard
from guardrail.telemetry.background import Background
from guardrail.telemetry.events import KeysOverflowed
from guardrail.testing import RecordingListener

PATIENCE_S = 20


def event(number):
    return KeysOverflowed(f"rule {number}", 1)


def test_it_hears_events_in_their_order():
    heard = RecordingListener()
    background = Background(heard)
    told = [event(number) for number in range(200)]
    for one in told:
        background(one)
    assert background.flush(PATIENCE_S)
    assert told == heard.events


def test_no_call_waits_for_a_listener_that_hangs():
    go_on, entered = Event(), Event()

    def hangs(_):
        entered.set()
        go_on.wait(PATIENCE_S)

    background = Background(hangs, most=3)
    guard = Guard([{"resource": "r", "kind": "limit", "rate": "1/h"}], listeners=[background])
    for _ in range(20):
        guard.try_enter("r").exit()
    assert entered.wait(PATIENCE_S)
    assert not background.flush(0)
    guard.try_enter("r").exit()
    assert 0 < background.left_out <= 18  # of 20 refusals, one is being told and three wait, with the flag
    go_on.set()
    assert background.flush(PATIENCE_S)


def test_what_is_left_out_is_said_once(caplog):
    go_on = Event()
    background = Background(lambda _: go_on.wait(PATIENCE_S), most=1)
    for number in range(10):
        background(event(number))
    go_on.set()
    assert 1 == len([one for one in caplog.records if "are left out" in one.getMessage()])
    assert background.flush(PATIENCE_S)


def test_what_is_left_out_is_said_without_what_the_listener_holds(caplog):
    go_on = Event()

    def post(url, _):
        go_on.wait(PATIENCE_S)

    background = Background(partial(post, "https://hooks.example/CANARY"), most=1)
    for number in range(10):
        background(event(number))
    go_on.set()
    [said] = [one.getMessage() for one in caplog.records]
    assert said.startswith("1 events wait for listener test_what_is_left_out_is_said_without")
    assert "CANARY" not in said
    assert background.flush(PATIENCE_S)


def test_it_is_told_elsewhere_but_in_the_context_of_the_call():
    span = contextvars.ContextVar("span")
    seen = []
    background = Background(lambda _: seen.append((span.get(), get_ident())))
    span.set("a")
    background(event(1))
    span.set("b")
    background(event(2))
    assert background.flush(PATIENCE_S)
    assert ["a", "b"] == [one for one, _ in seen]
    assert get_ident() not in {thread for _, thread in seen}


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, CancelledError, KeyboardInterrupt, GeneratorExit])
def test_one_that_fails_hears_the_next_event_whatever_it_raises(error, caplog):
    heard = []

    def fails(told):
        heard.append(told)
        raise error("full")

    background = Background(fails)
    background(event(1))
    background(event(2))
    assert background.flush(PATIENCE_S)
    assert [event(1), event(2)] == heard
    assert [(logging.ERROR, error)] * 2 == [(one.levelno, one.exc_info[0]) for one in caplog.records]


def test_one_that_fails_where_the_log_fails_as_well_hears_the_next_event(monkeypatch):
    heard = []

    def fails(told):
        heard.append(told)
        raise SystemExit

    def full(_):
        raise SystemExit

    monkeypatch.setattr(logging.getLogger("guardrail.listeners"), "handle", full)
    background = Background(fails)
    background(event(1))
    background(event(2))
    assert background.flush(PATIENCE_S)
    assert [event(1), event(2)] == heard


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_has_a_thread_of_its_own():
    background = Background(RecordingListener())
    background(event(1))
    assert background.flush(PATIENCE_S)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            background(event(2))
            status = 0 if background.flush(PATIENCE_S) else 2
        finally:
            os._exit(status)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("a name",), TypeError, "a listener must be a callable over an event, got 'a name'"),
        ((print, 0), ValueError, "most must be at least 1, got 0"),
    ],
)
def test_what_cannot_work_is_refused(arguments, error, text):
    listener, *most = arguments
    with pytest.raises(error, match=text):
        Background(listener, **({"most": most[0]} if most else {}))
