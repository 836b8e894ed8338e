"""A listener on a thread of its own: it may hang, fail or fall behind, and no call knows."""

import asyncio
import contextvars
import logging
import multiprocessing
import os
import sys
import threading
from asyncio import CancelledError
from functools import partial
from gc import collect
from subprocess import run
from sys import executable
from threading import Event, get_ident
from time import monotonic, sleep

import pytest

from guardrail import Guard
from guardrail.telemetry.background import Background
from guardrail.telemetry.events import CallRefused, Immediate, KeysOverflowed
from guardrail.testing import RecordingListener
from tests.admission.scene import in_child

PATIENCE_S = 20
RULES = [{"resource": "r", "kind": "limit", "rate": "1/h"}]


def refuse(guard, resource="r"):
    """Have one call refused, if another one went before."""
    guard.try_enter(resource).exit()


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "guardrail-listener"]


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
    guard = Guard(RULES, listeners=[background])
    for _ in range(20):
        refuse(guard)
    assert entered.wait(PATIENCE_S)
    assert not background.flush(0)
    refuse(guard)
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


# -- as guards tell their listeners --------------------------------------------------------------------------------------


@pytest.mark.parametrize("added", [False, True], ids=["given", "added"])
def test_a_listener_that_hangs_holds_up_no_call_and_no_other_listener(added):
    go_on, heard = Event(), Event()

    def hangs(_):
        go_on.wait(PATIENCE_S)

    listeners = [hangs, lambda _: heard.set()]
    guard = Guard(RULES, listeners=() if added else listeners)
    for listener in listeners if added else ():
        guard.add_listener(listener)
    refuse(guard)
    refuse(guard)  # returns
    assert heard.wait(PATIENCE_S)
    assert not go_on.is_set()
    go_on.set()


def test_an_immediate_one_has_heard_when_the_call_goes_on():
    heard = []
    guard = Guard(RULES, listeners=[Immediate(heard.append)])
    refuse(guard)
    refuse(guard)
    assert [CallRefused] == [type(one) for one in heard]


@pytest.mark.parametrize("wrap", [lambda one: one, Immediate, Background], ids=["bare", "immediate", "background"])
def test_what_was_told_of_is_removed_by_the_name_it_was_added_with(wrap):
    heard = []
    guard = Guard(RULES)
    listener = wrap(heard.append)
    guard.add_listener(listener)
    guard.add_listener(listener)
    guard.remove_listener(listener)
    refuse(guard)
    refuse(guard)
    guard.close()
    assert 1 == len(heard)
    guard.remove_listener(listener)
    refuse(guard)
    guard.close()
    assert 1 == len(heard)


@pytest.mark.parametrize("close", [Guard.close, lambda guard: asyncio.run(guard.aclose())], ids=["close", "aclose"])
def test_who_closes_a_guard_finds_all_told(close):
    heard = []
    guard = Guard(RULES, listeners=[heard.append])
    for _ in range(100):
        refuse(guard)
    close(guard)
    assert 99 == len(heard)


@pytest.mark.parametrize("close", [Guard.close, lambda guard: asyncio.run(guard.aclose())], ids=["close", "aclose"])
def test_closing_waits_a_second_for_all_that_hang(close):
    go_on = Event()
    guard = Guard(RULES, listeners=[lambda _: go_on.wait(PATIENCE_S), lambda _: go_on.wait(PATIENCE_S)])
    refuse(guard)
    refuse(guard)
    begun = monotonic()
    close(guard)
    assert 1 <= monotonic() - begun < PATIENCE_S / 2
    go_on.set()


def test_a_listener_that_closes_its_guard_does_not_wait_for_itself():
    heard = []

    def closes(_):
        guard.close()
        heard.append(background.flush(PATIENCE_S))

    background = Background(closes)
    guard = Guard(RULES, listeners=[background])
    refuse(guard)
    refuse(guard)
    assert background.flush(PATIENCE_S)
    assert [False] == heard


def test_a_listener_does_not_hear_what_comes_of_its_own_calls():
    heard = []

    def calls(event):
        heard.append(event.resource)
        refuse(guard, "s")

    guard = Guard([*RULES, {"resource": "s", "kind": "limit", "rate": "1/h"}], listeners=[calls])
    refuse(guard, "s")
    refuse(guard)
    refuse(guard)
    guard.close()
    assert ["r"] == heard


def test_what_waits_for_a_listener_it_hears_although_it_is_removed():
    heard, go_on = [], Event()

    def slow(event):
        go_on.wait(PATIENCE_S)
        heard.append(event)

    background = Background(slow)
    guard = Guard(RULES, listeners=[background])
    for _ in range(4):
        refuse(guard)
    guard.remove_listener(background)
    refuse(guard)
    go_on.set()
    assert background.flush(PATIENCE_S)
    assert 3 == len(heard)


def test_the_thread_ends_with_the_guard_once_all_is_told():
    before = workers()
    heard, go_on, holder = [], Event(), []

    def listener(_, holder=holder):  # it has the guard itself, which keeps nothing alive
        go_on.wait(PATIENCE_S)
        heard.append(len(holder))

    holder.append(Guard(RULES, listeners=[listener]))
    refuse(holder[0])
    refuse(holder[0])
    [thread] = [one for one in workers() if one not in before]
    del holder, listener
    collect()
    go_on.set()
    until = monotonic() + PATIENCE_S
    while thread.is_alive() and monotonic() < until:
        collect()
        thread.join(0.01)
    assert (False, [1]) == (thread.is_alive(), heard)


def test_a_program_that_ends_has_told_all_and_waits_for_nobody_that_hangs():
    program = """
import threading, time
from guardrail import Guard
rules = [{"resource": "r", "kind": "limit", "rate": "1/h"}]
guard = Guard(rules, listeners=[lambda event: (time.sleep(0.2), print(event.reason, flush=True))])
hung = Guard(rules, listeners=[lambda event: threading.Event().wait()])
for one in (hung, guard):
    one.try_enter("r").exit()
    one.try_enter("r").exit()
"""
    ended = run([executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (0, "rate\n", "") == (ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_threads_of_a_forked_child_that_tell_it_first_all_at_once_are_all_heard():
    background = Background(RecordingListener())
    background(event(0))
    assert background.flush(PATIENCE_S)

    def child():
        start = threading.Barrier(6)

        def tell(number):
            start.wait(PATIENCE_S)
            background(event(number))

        threads = [threading.Thread(target=tell, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return background.flush(PATIENCE_S), len(background.listener.events)

    sys.setswitchinterval(1e-6)
    try:
        assert {"(True, 7)"} == {in_child(child) for _ in range(20)}
    finally:
        sys.setswitchinterval(0.005)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="forks")
def test_a_child_of_multiprocessing_has_told_all_when_it_ends(tmp_path):
    told = tmp_path / "told"

    def work():
        guard = Guard(RULES, listeners=[lambda event: (sleep(0.1), told.write_text(event.reason))])
        refuse(guard)
        refuse(guard)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(PATIENCE_S)
    assert (0, "rate") == (child.exitcode, told.read_text())


def test_a_task_that_closes_a_guard_needs_no_thread_of_the_loop():
    heard = []

    async def close():
        guard = Guard(RULES, listeners=[heard.append])
        refuse(guard)
        refuse(guard)
        await asyncio.get_running_loop().shutdown_default_executor()
        await guard.aclose()

    asyncio.run(close())
    assert 1 == len(heard)


def test_removing_a_listener_asks_no_other_one_whether_they_are_equal():
    class Equal:
        def __init__(self, told):
            self.told = told

        def __call__(self, event):
            self.told.append(event)

        def __eq__(self, other):
            raise ValueError("of one truth value")

        __hash__ = None

    first, second = [], []
    guard = Guard(RULES, listeners=[one := Immediate(Equal(first)), other := Equal(second)])
    guard.remove_listener(other)
    refuse(guard)
    refuse(guard)
    assert (1, 0) == (len(first), len(second))
    guard.remove_listener(one)
    refuse(guard)
    assert 1 == len(first)


def test_a_coroutine_function_is_no_listener():
    async def listener(event):
        pass

    class Asynchronous:
        async def __call__(self, event):
            pass

    for one in (listener, Asynchronous(), partial(listener)):
        with pytest.raises(TypeError, match="listeners are called, and not awaited"):
            Guard(listeners=[one])
        with pytest.raises(TypeError, match="listeners are called, and not awaited"):
            Guard().add_listener(one)
