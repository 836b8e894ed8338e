"""A forked child goes on with the rules and limits of its parent, and with none of its threads and places."""

import threading

import pytest

from guardrail import Guard, Refused
from tests.admission.scene import in_child
from tests.decorators.scene import inside

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)  # that is the point


def calls(call, times):
    """How many of so many calls are let in."""
    admitted = 0
    for _ in range(times):
        try:
            call()
            admitted += 1
        except Refused:
            continue
    return admitted


@pytest.mark.parametrize("clocked", [True, False])
def test_functions_go_on_where_they_were(clock, clocked):
    guard = Guard(clock=clock if clocked else None)
    call = guard.limit("3/h", name="r")(lambda: 1)
    assert 1 == calls(call, 1)
    assert "2" == in_child(lambda: calls(call, 9))
    assert 2 == calls(call, 9)


def test_a_place_that_another_thread_holds_is_not_held_in_the_child(guard):
    entered, leave = threading.Event(), threading.Event()

    @guard.bulkhead(1, name="r")
    def hold():
        entered.set()
        assert leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(20)
    try:
        assert "0" == in_child(lambda: inside(guard))
        assert 1 == inside(guard)
    finally:
        leave.set()
        thread.join()


def test_a_place_that_the_forking_call_holds_is_the_parents(guard):
    @guard.bulkhead(1, name="r")
    def fork():
        return in_child(lambda: (inside(guard), calls(guard.bulkhead(1, name="r")(lambda: 1), 3)))

    assert "(0, 3)" == fork()
    assert 0 == inside(guard)


def test_a_lock_that_another_thread_holds_does_not_stop_the_child(guard):
    call = guard.limit("9/h", name="r")(lambda: 1)
    call()
    with guard.ledger.lock, guard._swapping:
        assert "3" == in_child(lambda: calls(call, 3))


def test_rules_change_in_the_child_for_itself(guard):
    call = guard.limit("9/h", name="r")(lambda: 1)

    def change():
        guard.apply([{"resource": "r", "kind": "limit", "rate": "2/h"}])
        return calls(call, 9), len(guard.rules)

    assert "(2, 1)" == in_child(change)
    assert (9, 0) == (calls(call, 20), len(guard.rules))


def test_a_child_watches_the_files_itself(path, clock):
    others = set(threading.enumerate())
    with Guard(str(path), clock=clock) as guard:
        call = guard.limit("9/h", name="r")(lambda: 1)
        call()
        [thread] = set(threading.enumerate()) - others

        def follow():
            swapped = threading.Event()
            swap = guard._live._on_change
            guard._live._on_change = lambda rules: (swap(rules), swapped.set())
            path.write_text("version: 1\nrules:\n- {resource: r, kind: limit, rate: 2/h}\n")
            return swapped.wait(20), calls(call, 9)

        assert "(True, 1)" == in_child(follow)
        assert thread.is_alive()


def test_a_default_guard_that_another_thread_is_making_does_not_stop_the_child():
    from guardrail.admission.host import Host

    making, made = threading.Event(), threading.Event()
    host = Host(lambda: seat(host))

    def seat(host):
        making.set()
        assert made.wait(20)
        host.desk = "guard"

    thread = threading.Thread(target=host.current)
    thread.start()
    assert making.wait(20)

    def make():
        made.set()
        return host.current()

    try:
        assert "'guard'" == in_child(make)
    finally:
        made.set()
        thread.join()
